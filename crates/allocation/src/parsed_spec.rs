//! Lenient parsing of pool and reservation specs from JSON, with a report of unknown keys and wrong
//! types.
//!
//! serde alone would stop at the first value of a wrong type and silently skip misspelt keys. This
//! parser reads the rest and reports both with their paths. The API server enforces the same shape
//! through the schemas of the CRDs; folders of manifests and plain HTTP requests have no schema.
//!
//! It shares nothing with the readers of documents (`nadmit.yaml`, manifests): its input is a JSON value
//! without positions, which it also cleans for serde, and its table of types nests.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{
    pool::Pool,
    reservation::Reservation,
    spec::{PoolSpec, ReservationSpec},
    spec_error::SpecError,
};

/// A spec without the values that could not be read, and the problems found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ParsedSpec<T> {
    /// The spec; values of a wrong type are left out.
    pub spec: T,
    /// Values of a wrong type.
    pub type_errors: Vec<SpecError>,
    pub unknown_keys: Vec<UnknownKey>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownKey {
    /// The path below `spec` (`ranges[0].excludes`).
    pub path: String,
    pub key: String,
    /// The keys that are valid there.
    pub known_keys: Vec<&'static str>,
}

/// The keys of an object, with the type of each value.
type ObjectSchema = [(&'static str, ValueType)];

#[derive(Clone, Copy)]
enum ValueType {
    Text,
    /// A text such as `30s`.
    Duration,
    Integer,
    Boolean,
    TextList,
    TextMap,
    Object(&'static ObjectSchema),
    ObjectList(&'static ObjectSchema),
}

use ValueType::{Boolean, Duration, Integer, Object, ObjectList, Text, TextList, TextMap};

const POOL: &ObjectSchema = &[
    ("ranges", ObjectList(RANGE)),
    ("macs", Object(MACS)),
    ("networkName", Text),
    ("nodeSliceSize", Text),
    ("strictSlices", Boolean),
    ("retention", Text),
    ("workloadRetention", Object(WORKLOAD_RETENTION)),
    ("quarantine", Duration),
    ("lostNodeQuarantine", Duration),
    ("maxPerNamespace", Integer),
    ("namespaceSelector", Object(SELECTOR)),
    ("virtualMachines", Text),
    ("whereabouts", Object(NETWORKS)),
];

const NETWORKS: &ObjectSchema = &[("networks", TextList)];

const RANGE: &ObjectSchema = &[
    ("range", Text),
    ("rangeStart", Text),
    ("rangeEnd", Text),
    ("exclude", TextList),
    ("gateway", Text),
];

const MACS: &ObjectSchema = &[("prefix", Text), ("start", Text), ("end", Text)];

const WORKLOAD_RETENTION: &ObjectSchema = &[("whenScaled", Text), ("whenDeleted", Text)];

const SELECTOR: &ObjectSchema = &[
    ("matchLabels", TextMap),
    ("matchExpressions", ObjectList(EXPRESSION)),
];

const EXPRESSION: &ObjectSchema = &[("key", Text), ("operator", Text), ("values", TextList)];

const RESERVATION: &ObjectSchema = &[
    ("network", Text),
    ("holder", Object(RESERVED_FOR)),
    ("interface", Text),
    ("ips", TextList),
    ("mac", Text),
];

const RESERVED_FOR: &ObjectSchema = &[
    ("pod", Text),
    ("statefulSet", Text),
    ("ordinal", Integer),
    ("virtualMachine", Text),
];

impl ParsedSpec<PoolSpec> {
    /// Parses the `spec` of an `AddressPool`.
    pub fn of_pool(spec: &Value) -> Self {
        Self::read(spec, POOL)
    }

    /// Validates the spec and returns the pool.
    ///
    /// # Errors
    /// Returns all problems, each with its path below `spec`.
    pub fn pool(&self, name: &str) -> Result<Pool, Vec<SpecError>> {
        self.validated(Pool::new(name, &self.spec))
    }
}

impl ParsedSpec<ReservationSpec> {
    /// Parses the `spec` of an `AddressReservation`.
    pub fn of_reservation(spec: &Value) -> Self {
        Self::read(spec, RESERVATION)
    }

    /// Validates the spec and returns the reservation.
    ///
    /// # Errors
    /// Returns all problems, each with its path below `spec`.
    pub fn reservation(&self, namespace: &str, name: &str) -> Result<Reservation, Vec<SpecError>> {
        self.validated(Reservation::new(namespace, name, &self.spec))
    }
}

impl<T: DeserializeOwned + Default> ParsedSpec<T> {
    fn read(spec: &Value, schema: &'static ObjectSchema) -> Self {
        let mut reader = SpecParser::default();
        let clean = reader.object("", spec, schema);
        Self {
            // Only values of the types that serde expects are left.
            spec: serde_json::from_value(clean).unwrap_or_default(),
            type_errors: reader.type_errors,
            unknown_keys: reader.unknown_keys,
        }
    }
}

impl<T> ParsedSpec<T> {
    /// Combines the result of validation with the type errors: any type error makes the spec invalid.
    fn validated<M>(&self, result: Result<M, Vec<SpecError>>) -> Result<M, Vec<SpecError>> {
        if self.type_errors.is_empty() {
            return result;
        }
        let mut errors = self.type_errors.clone();
        // A value of a wrong type is not also reported as missing.
        let further = result.err().unwrap_or_default().into_iter();
        errors.extend(further.filter(|error| {
            !self
                .type_errors
                .iter()
                .any(|type_error| type_error.path == error.path)
        }));
        Err(errors)
    }
}

#[derive(Default)]
struct SpecParser {
    type_errors: Vec<SpecError>,
    unknown_keys: Vec<UnknownKey>,
}

impl SpecParser {
    fn object(&mut self, path: &str, value: &Value, schema: &'static ObjectSchema) -> Value {
        let Some(members) = value.as_object() else {
            if !(path.is_empty() && value.is_null()) {
                self.type_error(path, value, "an object");
            }
            return Value::Object(Map::new());
        };
        let mut clean = Map::new();
        for (key, value) in members {
            let dot = if path.is_empty() { "" } else { "." };
            let path = format!("{path}{dot}{key}");
            let Some((_, field_type)) = schema.iter().find(|(known, _)| known == key) else {
                self.unknown_keys.push(UnknownKey {
                    path,
                    key: key.clone(),
                    known_keys: schema.iter().map(|(known, _)| *known).collect(),
                });
                continue;
            };
            // Null means absent, as for the API server.
            if !value.is_null()
                && let Some(value) = self.value(&path, value, *field_type)
            {
                clean.insert(key.clone(), value);
            }
        }
        Value::Object(clean)
    }

    /// Returns the value if it has this type; otherwise reports a type error.
    fn value(&mut self, path: &str, value: &Value, field_type: ValueType) -> Option<Value> {
        let expected = match (field_type, value) {
            (Text | Duration, Value::String(_)) => return Some(value.clone()),
            (Integer, Value::Number(number)) if number.is_i64() => return Some(value.clone()),
            (Boolean, Value::Bool(_)) => return Some(value.clone()),
            (Object(schema), Value::Object(_)) => return Some(self.object(path, value, schema)),
            (TextList, Value::Array(list)) => {
                return Some(self.list(path, list, |reader, path, element| {
                    reader.value(path, element, Text).unwrap_or_default()
                }));
            }
            (ObjectList(schema), Value::Array(list)) => {
                return Some(self.list(path, list, |reader, path, element| {
                    reader.object(path, element, schema)
                }));
            }
            (TextMap, Value::Object(members)) => {
                let texts = members.iter().filter_map(|(key, value)| {
                    let text = self.value(&format!("{path}.{key}"), value, Text)?;
                    Some((key.clone(), text))
                });
                return Some(texts.collect::<Map<_, _>>().into());
            }
            (Text, _) => "a string",
            (Duration, _) => "a duration such as \"30s\"",
            (Integer, _) => "a whole number",
            (Boolean, _) => "true or false",
            (TextList, _) => "a list of strings",
            (ObjectList(_), _) => "a list of objects",
            (Object(_) | TextMap, _) => "an object",
        };
        self.type_error(path, value, expected);
        None
    }

    /// Returns a list with as many elements as the input, so that indexes stay valid; elements of a
    /// wrong type become empty ones.
    fn list(
        &mut self,
        path: &str,
        list: &[Value],
        mut read: impl FnMut(&mut Self, &str, &Value) -> Value,
    ) -> Value {
        let elements = list.iter().enumerate();
        let elements = elements.map(|(index, element)| {
            match read(self, &format!("{path}[{index}]"), element) {
                Value::Null => Value::String(String::new()),
                value => value,
            }
        });
        elements.collect::<Vec<_>>().into()
    }

    fn type_error(&mut self, path: &str, value: &Value, expected: &str) {
        let found = match value {
            Value::Null => "nothing",
            Value::Bool(_) => "a boolean",
            Value::Number(_) => "a number",
            Value::String(_) => "a string",
            Value::Array(_) => "a list",
            Value::Object(_) => "an object",
        };
        let instead = match (value, expected) {
            (Value::Number(_) | Value::Bool(_), "a string") => "write it in quotes".to_owned(),
            _ => format!("write {expected}"),
        };
        self.type_errors.push(SpecError {
            path: path.to_owned(),
            reason: format!("must be {expected}, not {found}; {instead}"),
        });
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn problems_are_reported_and_the_rest_is_parsed() {
        let parsed = ParsedSpec::of_pool(&json!({
            "ranges": [{"range": "192.0.2.0/24", "excludes": ["192.0.2.1"], "exclude": [7]}, 5],
            "maxPerNamespace": 1.5,
            "strictSlices": "yes",
            "macs": null,
            "retention": "Pod",
            "namespaceSelector": {"matchLabels": {"a": true, "b": "c"}},
        }));
        assert_eq!(parsed.spec.ranges.len(), 2);
        assert_eq!(parsed.spec.ranges[0].range, "192.0.2.0/24");
        assert_eq!(parsed.spec.retention.as_deref(), Some("Pod"));
        let selector = parsed.spec.namespace_selector.clone().unwrap_or_default();
        assert_eq!(selector.match_labels.len(), 1);
        let type_errors: Vec<&str> = parsed
            .type_errors
            .iter()
            .map(|error| &*error.path)
            .collect();
        assert_eq!(
            type_errors,
            [
                "maxPerNamespace",
                "namespaceSelector.matchLabels.a",
                "ranges[0].exclude[0]",
                "ranges[1]",
                "strictSlices"
            ]
        );
        assert_eq!(parsed.unknown_keys[0].path, "ranges[0].excludes");
        assert!(parsed.unknown_keys[0].known_keys.contains(&"exclude"));
        let errors = parsed.pool("storage").err().unwrap_or_default();
        let twice = errors.iter().filter(|f| f.path == "ranges[0].exclude[0]");
        assert_eq!(twice.count(), 1, "{errors:?}");
    }

    #[test]
    fn every_field_of_a_spec_is_known() {
        let full = json!({
            "ranges": [{"range": "192.0.2.0/24", "rangeStart": "192.0.2.9", "rangeEnd": "192.0.2.99",
                "exclude": ["192.0.2.64/28"], "gateway": "192.0.2.1"}],
            "macs": {"prefix": "02:5e:00"}, "networkName": "a", "nodeSliceSize": "/28",
            "strictSlices": true, "retention": "Pod", "workloadRetention": {"whenScaled": "Retain", "whenDeleted": "Release"},
            "quarantine": "30s", "lostNodeQuarantine": "10m", "maxPerNamespace": 9,
            "namespaceSelector": {"matchLabels": {"a": "b"}, "matchExpressions": [
                {"key": "a", "operator": "In", "values": ["b"]}]},
            "virtualMachines": "MAC", "whereabouts": {"networks": ["db/storage-net"]},
        });
        let parsed = ParsedSpec::of_pool(&full);
        assert_eq!(
            (parsed.type_errors.len(), parsed.unknown_keys.len()),
            (0, 0),
            "{parsed:?}"
        );
        let written = serde_json::to_value(&parsed.spec).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(written, full);
        let full = json!({
            "network": "storage-net", "holder": {"statefulSet": "db", "ordinal": 0},
            "interface": "net1", "ips": ["192.0.2.205/27"], "mac": "02:5e:00:00:00:01",
        });
        let parsed = ParsedSpec::of_reservation(&full);
        assert_eq!(
            (parsed.type_errors.len(), parsed.unknown_keys.len()),
            (0, 0),
            "{parsed:?}"
        );
        let written = serde_json::to_value(&parsed.spec).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(written, full);
    }

    #[test]
    fn a_missing_spec_is_empty() {
        assert_eq!(ParsedSpec::of_pool(&Value::Null), ParsedSpec::default());
        let errors = ParsedSpec::of_pool(&json!([]))
            .pool("a")
            .err()
            .unwrap_or_default();
        assert_eq!(errors[0].path, "");
    }
}
