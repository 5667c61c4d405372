//! Label selectors with the semantics of `metav1.LabelSelector`.

use std::{collections::BTreeMap, fmt};

use super::{
    spec::{ExpressionSpec, SelectorSpec},
    spec_error::SpecError,
};

/// The labels of an object.
pub type Labels = BTreeMap<Box<str>, Box<str>>;

/// A label selector: all conditions must hold; without conditions it selects everything.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Selector(Box<[Requirement]>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Requirement {
    In(Box<str>, Box<[Box<str>]>),
    NotIn(Box<str>, Box<[Box<str>]>),
    Exists(Box<str>),
    Absent(Box<str>),
}

impl Selector {
    /// Validates the spec of a selector.
    ///
    /// # Errors
    /// Returns the first problem, with its path within the selector (`matchExpressions[0].operator`).
    pub fn new(spec: &SelectorSpec) -> Result<Self, SpecError> {
        let equal = spec.match_labels.iter().map(|(key, value)| {
            Ok(Requirement::In(
                key.as_str().into(),
                Box::new([value.as_str().into()]),
            ))
        });
        let further = spec.match_expressions.iter().enumerate();
        let further = further.map(|(index, expression)| {
            requirement(expression)
                .map_err(|error| error.under(&format!("matchExpressions[{index}]")))
        });
        let requirements: Result<Vec<_>, _> = equal.chain(further).collect();
        Ok(Self(requirements?.into()))
    }

    /// Returns a label that all selected objects have, with its possible values, if there is one.
    pub fn required_label(&self) -> Option<(&str, &[Box<str>])> {
        self.0.iter().find_map(|requirement| match requirement {
            Requirement::In(key, values) => Some((&**key, &**values)),
            _ => None,
        })
    }

    /// Returns true if the labels satisfy every condition.
    pub fn selects(&self, labels: &Labels) -> bool {
        self.0.iter().all(|requirement| match requirement {
            Requirement::In(key, values) => labels.get(key).is_some_and(|v| values.contains(v)),
            Requirement::NotIn(key, values) => labels.get(key).is_none_or(|v| !values.contains(v)),
            Requirement::Exists(key) => labels.contains_key(key),
            Requirement::Absent(key) => !labels.contains_key(key),
        })
    }
}

impl fmt::Display for Selector {
    /// Formats the selector in the syntax of kubectl's `--selector`: `team=db,stage notin (test),!old`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("every namespace");
        }
        for (index, requirement) in self.0.iter().enumerate() {
            f.write_str(if index > 0 { "," } else { "" })?;
            match requirement {
                Requirement::In(key, values) if values.len() == 1 => {
                    write!(f, "{key}={}", values[0])
                }
                Requirement::In(key, values) => write!(f, "{key} in ({})", values.join(", ")),
                Requirement::NotIn(key, values) => write!(f, "{key} notin ({})", values.join(", ")),
                Requirement::Exists(key) => f.write_str(key),
                Requirement::Absent(key) => write!(f, "!{key}"),
            }?;
        }
        Ok(())
    }
}

fn requirement(spec: &ExpressionSpec) -> Result<Requirement, SpecError> {
    let key = spec.key.as_str().into();
    let values = || -> Result<Box<[Box<str>]>, _> {
        if spec.values.is_empty() {
            let reason = format!("{} needs at least one value", spec.operator);
            return Err(SpecError::new("values", reason));
        }
        Ok(spec.values.iter().map(|v| v.as_str().into()).collect())
    };
    if spec.key.is_empty() {
        return Err(SpecError::new("key", "is empty; name a label".to_owned()));
    }
    match spec.operator.as_str() {
        "In" => Ok(Requirement::In(key, values()?)),
        "NotIn" => Ok(Requirement::NotIn(key, values()?)),
        "Exists" if spec.values.is_empty() => Ok(Requirement::Exists(key)),
        "DoesNotExist" if spec.values.is_empty() => Ok(Requirement::Absent(key)),
        "Exists" | "DoesNotExist" => {
            let reason = format!("{} takes no values", spec.operator);
            Err(SpecError::new("values", reason))
        }
        other => {
            let reason = format!("{other:?} is not In, NotIn, Exists or DoesNotExist");
            Err(SpecError::new("operator", reason))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selects(spec: &str, labels: &[(&str, &str)]) -> bool {
        let spec: SelectorSpec = serde_json::from_str(spec).unwrap_or_else(|e| panic!("{e}"));
        let labels = labels
            .iter()
            .map(|(k, v)| ((*k).into(), (*v).into()))
            .collect();
        Selector::new(&spec)
            .unwrap_or_else(|e| panic!("{e:?}"))
            .selects(&labels)
    }

    #[test]
    fn every_condition_must_hold() {
        assert!(selects("{}", &[]));
        let both = r#"{"matchLabels":{"team":"db"},
            "matchExpressions":[{"key":"stage","operator":"NotIn","values":["test"]}]}"#;
        assert!(selects(both, &[("team", "db")]));
        assert!(!selects(both, &[("team", "db"), ("stage", "test")]));
        assert!(!selects(both, &[("stage", "live")]));
        let there = r#"{"matchExpressions":[{"key":"a","operator":"Exists"},
            {"key":"b","operator":"DoesNotExist"},{"key":"c","operator":"In","values":["1","2"]}]}"#;
        assert!(selects(there, &[("a", ""), ("c", "2")]));
        assert!(!selects(there, &[("a", ""), ("b", ""), ("c", "2")]));
        assert!(!selects(there, &[("a", ""), ("c", "3")]));
    }

    #[test]
    fn a_selector_is_formatted_like_kubectl() {
        let spec = r#"{"matchLabels":{"team":"db"},"matchExpressions":[
            {"key":"stage","operator":"NotIn","values":["test","old"]},
            {"key":"a","operator":"Exists"},{"key":"b","operator":"DoesNotExist"}]}"#;
        for (spec, text) in [
            (spec, "team=db,stage notin (test, old),a,!b"),
            ("{}", "every namespace"),
        ] {
            let spec: SelectorSpec = serde_json::from_str(spec).unwrap_or_else(|e| panic!("{e}"));
            let selector = Selector::new(&spec).unwrap_or_else(|e| panic!("{e:?}"));
            assert_eq!(selector.to_string(), text);
        }
    }

    #[test]
    fn invalid_requirements_are_reported_with_paths() {
        for (expression, expected) in [
            (
                r#"{"key":"a","operator":"Is"}"#,
                "matchExpressions[0].operator",
            ),
            (
                r#"{"key":"a","operator":"In"}"#,
                "matchExpressions[0].values",
            ),
            (r#"{"operator":"Exists"}"#, "matchExpressions[0].key"),
        ] {
            let spec = format!(r#"{{"matchExpressions":[{expression}]}}"#);
            let spec: SelectorSpec = serde_json::from_str(&spec).unwrap_or_else(|e| panic!("{e}"));
            let path = Selector::new(&spec).err().map(|error| error.path);
            assert_eq!(path.as_deref(), Some(expected));
        }
    }
}
