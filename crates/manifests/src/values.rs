//! Objects as plain JSON values, for readers of kinds that have no manifest type.

use nadmit_cni::document::{self, Booleans, DocumentNode, NodeValue, ObjectEntry, SyntaxError};
use serde_json::{Map, Value};

/// The objects of a text.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ParsedValues {
    /// The objects in the order of the text, those of lists included.
    pub objects: Vec<Value>,
    /// The errors of documents that cannot be read.
    pub errors: Vec<SyntaxError>,
}

/// Reads the objects in `text`, the content of the file called `name`, whatever their kind.
///
/// A text of JSON has no limit of size: a cluster's pods are one document. Lists are taken apart; an item
/// without kind has that of its list.
pub fn values(text: &str, name: &str) -> ParsedValues {
    let mut found = ParsedValues::default();
    if let Ok(value) = serde_json::from_str(text) {
        flatten(value, &mut found.objects);
        return found;
    }
    for document in document::read(text, name, Booleans::Yaml11) {
        match document {
            Ok(node) => flatten(value_of(&node), &mut found.objects),
            Err(error) => found.errors.push(error),
        }
    }
    found
}

/// Adds an object, or the items of a list.
fn flatten(mut value: Value, into: &mut Vec<Value>) {
    let kind = value["kind"].as_str().unwrap_or_default();
    let Some(element) = kind.strip_suffix("List").map(str::to_owned) else {
        into.push(value);
        return;
    };
    let version = value["apiVersion"].take();
    let Value::Array(items) = value["items"].take() else {
        return;
    };
    for mut item in items {
        if let (Value::Object(members), false) = (&mut item, element.is_empty()) {
            let implied = [
                ("kind", Value::from(&*element)),
                ("apiVersion", version.clone()),
            ];
            for (key, value) in implied {
                members.entry(key).or_insert(value);
            }
        }
        flatten(item, into);
    }
}

fn value_of(node: &DocumentNode<'_>) -> Value {
    match &node.value {
        NodeValue::Null => Value::Null,
        NodeValue::Boolean(value) => (*value).into(),
        // The value of a number that is not an integer does not matter.
        NodeValue::Number(number) => number.map_or_else(|| 0.5.into(), Value::from),
        NodeValue::String(text) => text.as_ref().into(),
        NodeValue::List(elements) => elements.iter().map(value_of).collect(),
        NodeValue::Object(entries) => {
            let pair = |entry: &ObjectEntry<'_>| (key_of(&entry.key), value_of(&entry.value));
            Value::Object(entries.iter().map(pair).collect::<Map<_, _>>())
        }
    }
}

/// Returns a key as text, as kubectl makes one of every key; a key without text is a question mark, so
/// that the reader of the object finds it.
fn key_of(key: &DocumentNode<'_>) -> String {
    match &key.value {
        NodeValue::String(text) => text.to_string(),
        NodeValue::Number(Some(number)) => number.to_string(),
        NodeValue::Boolean(value) => value.to_string(),
        _ => "?".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<String> {
        let found = values(text, "a.yaml").objects.into_iter();
        found
            .map(|object| format!("{} {}", object["apiVersion"], object["kind"]))
            .collect()
    }

    #[test]
    fn lists_are_taken_apart() {
        let pods =
            r#"{"apiVersion":"v1","kind":"PodList","items":[{"metadata":{}},{"metadata":{}}]}"#;
        assert_eq!(kinds(pods), [r#""v1" "Pod""#; 2]);
        let mixed = "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: a/v1, kind: B}\n- {kind: C}\n---\nkind: D\n";
        assert_eq!(
            kinds(mixed),
            [r#""a/v1" "B""#, r#"null "C""#, r#"null "D""#]
        );
        assert_eq!(kinds("kind: List\n"), [""; 0]);
    }

    #[test]
    fn keys_of_numbers_are_kept() {
        let found = values(
            "allocations: {77: {podref: a/b}, \"78\": {}, 1.5: {}}\n",
            "a.yaml",
        );
        let keys: Vec<_> = found
            .objects
            .iter()
            .flat_map(|object| {
                object["allocations"]
                    .as_object()
                    .into_iter()
                    .flat_map(Map::keys)
            })
            .collect();
        assert_eq!(keys, ["77", "78", "?"]);
    }

    #[test]
    fn a_broken_document_leaves_the_others() {
        let found = values("kind: A\n---\nkind: [\n---\nkind: B\n", "a.yaml");
        assert_eq!((found.objects.len(), found.errors.len()), (2, 1));
    }
}
