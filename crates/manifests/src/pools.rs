//! nadmit's own kinds that users write: address pools and reservations.
//!
//! Specs are parsed by `allocation`. A value of the wrong type is not an error here, because the
//! rules report it as they do in the server. The location of each value is stored for their
//! findings.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use nadmit_allocation::{
    ParsedSpec,
    spec::{PoolSpec, ReservationSpec},
};
use nadmit_cni::document::{self, DocumentNode};
use nadmit_cni::name;

use super::{
    Manifest, SourceLocation,
    objects::{namespace_of, required_name},
    reader::ManifestReader,
};

/// An `AddressPool` in a file.
#[derive(Debug, Clone, PartialEq)]
pub struct PoolManifest {
    pub name: Box<str>,
    pub parsed: ParsedSpec<PoolSpec>,
    /// The locations of its values.
    pub locations: FieldLocations,
}

/// An `AddressReservation` in a file.
#[derive(Debug, Clone, PartialEq)]
pub struct ReservationManifest {
    /// The namespace; `default` if the file names none.
    pub namespace: Box<str>,
    pub name: Box<str>,
    pub parsed: ParsedSpec<ReservationSpec>,
    /// The locations of its values.
    pub locations: FieldLocations,
}

/// The locations of the values of an object's spec, by their paths (`spec.ranges[0].exclude[1]`).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FieldLocations(BTreeMap<Box<str>, SourceLocation>);

impl FieldLocations {
    /// Returns the location of a value, or, if it is absent, of the innermost value that contains
    /// its path.
    pub fn nearest(&self, field: &str) -> Option<SourceLocation> {
        let mut path = field;
        loop {
            if let Some(location) = self.0.get(path) {
                return Some(*location);
            }
            path = &path[..path.rfind(['.', '['])?];
        }
    }
}

/// Reads an `AddressPool`.
pub(super) fn pool(reader: &mut ManifestReader, node: &DocumentNode<'_>) -> Option<Manifest> {
    let metadata = reader.object_in(node, "metadata");
    let name = required_name(reader, node, metadata, name::subdomain);
    let (spec, mut locations) = spec(reader, node);
    let parsed = ParsedSpec::of_pool(&spec);
    locations.point_at_keys(parsed.unknown_keys.iter().map(|unknown| &*unknown.path));
    Some(Manifest::Pool(Box::new(PoolManifest {
        name: name?.into(),
        parsed,
        locations: locations.values,
    })))
}

/// Reads an `AddressReservation`.
pub(super) fn reservation(
    reader: &mut ManifestReader,
    node: &DocumentNode<'_>,
) -> Option<Manifest> {
    let metadata = reader.object_in(node, "metadata");
    let name = required_name(reader, node, metadata, name::subdomain);
    let namespace = namespace_of(reader, metadata);
    let (spec, mut locations) = spec(reader, node);
    let parsed = ParsedSpec::of_reservation(&spec);
    locations.point_at_keys(parsed.unknown_keys.iter().map(|unknown| &*unknown.path));
    Some(Manifest::Reservation(Box::new(ReservationManifest {
        namespace,
        name: name?.into(),
        parsed,
        locations: locations.values,
    })))
}

/// The locations of keys and values.
#[derive(Default)]
struct SpecReader {
    keys: BTreeMap<Box<str>, SourceLocation>,
    values: FieldLocations,
}

impl SpecReader {
    /// For unknown keys, uses the location of the key in place of its value's.
    fn point_at_keys<'p>(&mut self, paths: impl Iterator<Item = &'p str>) {
        for path in paths {
            let field = format!("spec.{path}");
            if let Some(location) = self.keys.get(&*field) {
                self.values.0.insert(field.into(), *location);
            }
        }
    }

    fn read(&mut self, reader: &mut ManifestReader, path: &str, node: &DocumentNode<'_>) -> Value {
        self.values.0.insert(path.into(), node.location);
        match &node.value {
            document::NodeValue::Null => Value::Null,
            document::NodeValue::Boolean(value) => json!(value),
            // Any number that is not an integer: its value does not matter.
            document::NodeValue::Number(number) => {
                number.map_or(json!(0.5), |number| json!(number))
            }
            document::NodeValue::String(text) => json!(text),
            document::NodeValue::List(elements) => {
                let elements = elements.iter().enumerate();
                let read = |(index, node)| self.read(reader, &format!("{path}[{index}]"), node);
                elements.map(read).collect()
            }
            document::NodeValue::Object(entries) => {
                reader.repeated_keys(node, path);
                let mut members = serde_json::Map::new();
                for entry in entries {
                    let Some(key) = entry.key.string() else {
                        continue;
                    };
                    let path = format!("{path}.{key}");
                    self.keys.insert(path.as_str().into(), entry.key.location);
                    let value = self.read(reader, &path, &entry.value);
                    members.insert(key.to_owned(), value);
                }
                Value::Object(members)
            }
        }
    }
}

fn spec(reader: &mut ManifestReader, node: &DocumentNode<'_>) -> (Value, SpecReader) {
    let mut found = SpecReader::default();
    let spec = match node.get("spec") {
        Some(spec) => found.read(reader, "spec", spec),
        None => Value::Null,
    };
    (spec, found)
}
