//! Values that necessarily differ between two servers.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::replay::compared;
use crate::support::TestResult;

/// Returns a body without values that necessarily differ.
pub(super) fn normal(mut value: Value) -> Value {
    rewrite(&mut value);
    value
}

fn rewrite(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(rewrite),
        Value::Object(members) => {
            members.remove("managedFields");
            // A generated name ends in five random letters.
            let prefix = members.get("generateName").and_then(Value::as_str);
            if let Some(prefix) = prefix.map(str::to_owned) {
                let name = members
                    .get("name")
                    .and_then(Value::as_str)
                    .unwrap_or_default();
                if name.len() == prefix.len() + 5 && name.starts_with(&prefix) {
                    members.insert("name".to_owned(), Value::from(prefix + "?????"));
                }
            }
            for (key, value) in members {
                if let Some(text) = value.as_str().filter(|text| !text.is_empty()) {
                    *value = Value::from(replaced(key, text));
                }
                rewrite(value);
            }
        }
        _ => {}
    }
}

fn replaced(key: &str, text: &str) -> String {
    match key {
        "uid" => "UID".to_owned(),
        "resourceVersion" => "VERSION".to_owned(),
        "creationTimestamp" | "deletionTimestamp" | "lastTransitionTime" => "TIME".to_owned(),
        "major"
        | "minor"
        | "emulationMajor"
        | "emulationMinor"
        | "minCompatibilityMajor"
        | "minCompatibilityMinor"
        | "gitVersion"
        | "gitCommit"
        | "gitTreeState"
        | "buildDate"
        | "goVersion"
        | "compiler"
        | "platform" => "RELEASE".to_owned(),
        "continue" => token_position(text).unwrap_or_else(|| text.to_owned()),
        "message" => message(text),
        _ => text.to_owned(),
    }
}

/// Returns the position of a `continue` token, without its revision.
fn token_position(token: &str) -> Option<String> {
    let bytes = URL_SAFE_NO_PAD.decode(token.trim_end_matches('=')).ok()?;
    let token: Value = serde_json::from_slice(&bytes).ok()?;
    Some(format!("{} {}", token["v"], token["start"]))
}

/// Returns a message without UIDs, and without the oldest revision.
fn message(text: &str) -> String {
    let oldest = text.strip_prefix("too old resource version: ");
    if let Some((asked, _)) = oldest.and_then(|rest| rest.split_once(" (")) {
        return format!("too old resource version: {asked} (OLDEST)");
    }
    let uid = |word: &str| word.len() == 36 && word.matches('-').count() == 4;
    let words = text.split_inclusive(['(', ')', ' ', '"']);
    let words = words.map(|word| {
        let bare = word.trim_end_matches(['(', ')', ' ', '"']);
        if uid(bare) {
            word.replace(bare, "UID")
        } else {
            word.to_owned()
        }
    });
    words.collect()
}

/// The current server's versions and UIDs by the recorded ones.
#[derive(Debug, Default)]
pub(super) struct RecordedNames(BTreeMap<String, String>);

impl RecordedNames {
    /// Compares a response with the recorded one, and learns the versions and UIDs at matching
    /// positions.
    pub(super) fn learn(&mut self, recorded: &Value, found: &Value) {
        match (recorded, found) {
            (Value::Array(recorded), Value::Array(found)) => {
                for (recorded, found) in recorded.iter().zip(found) {
                    self.learn(recorded, found);
                }
            }
            (Value::Object(recorded), Value::Object(found)) => {
                for (key, recorded) in recorded {
                    let Some(found) = found.get(key) else {
                        continue;
                    };
                    let named = matches!(key.as_str(), "uid" | "resourceVersion");
                    if let (true, Some(recorded), Some(found)) =
                        (named, recorded.as_str(), found.as_str())
                    {
                        self.0.insert(recorded.to_owned(), found.to_owned());
                    }
                    self.learn(recorded, found);
                }
            }
            _ => {}
        }
    }

    /// Returns a recorded request with the current server's versions and UIDs.
    pub(super) fn translate(&self, request: &Value) -> Value {
        let mut request = request.clone();
        self.put(&mut request["body"]);
        let path = request["path"].as_str().unwrap_or_default();
        if let Some((front, rest)) = path.split_once("&resourceVersion=") {
            let (version, back) = rest.split_once('&').unwrap_or((rest, ""));
            let version = self.0.get(version).map_or(version, String::as_str);
            request["path"] = Value::from(format!("{front}&resourceVersion={version}&{back}"));
        }
        request
    }

    fn put(&self, value: &mut Value) {
        match value {
            Value::Array(items) => items.iter_mut().for_each(|item| self.put(item)),
            Value::Object(members) => {
                for (key, value) in members {
                    let named = matches!(key.as_str(), "uid" | "resourceVersion");
                    let known = value.as_str().filter(|_| named).and_then(|v| self.0.get(v));
                    match known {
                        Some(known) => *value = Value::from(known.as_str()),
                        None => self.put(value),
                    }
                }
            }
            _ => {}
        }
    }
}

/// Unexpected differences are found at every position; necessary ones are ignored.
pub(super) fn other_answers_are_noticed() -> TestResult {
    let answer = |status: u64, uid: &str, version: &str, holder: &str| {
        let metadata = json!({"uid": uid, "resourceVersion": version, "name": "a"});
        let spec = json!({"holder": holder});
        json!({"status": status, "events": [{"object": {"metadata": metadata, "spec": spec}}]})
    };
    let first = || answer(200, "u", "1", "h");
    compared(first(), answer(200, "v", "2", "h"))?;
    for other in [answer(201, "u", "1", "h"), answer(200, "u", "1", "i")] {
        if compared(first(), other.clone()).is_ok() {
            return Err(format!("{other} is no other answer").into());
        }
    }
    let mut without = first();
    if let Some(metadata) = without["events"][0]["object"]["metadata"].as_object_mut() {
        metadata.remove("resourceVersion");
    }
    match compared(first(), without) {
        Ok(()) => Err("that a version is missing is not seen".into()),
        Err(_) => Ok(()),
    }
}
