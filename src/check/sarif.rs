//! SARIF 2.1.0, the format of code scanning: the rules that spoke, and where.

use serde_json::{Value, json};

use crate::rules::{Level, Profile, RULES};

use super::{
    Outcome, Remark,
    remark::{DUPLICATE_OBJECT, INVALID_MANIFEST, summary},
    steering::escaped,
};

const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";

/// The run as a log of SARIF.
pub(super) fn tell(outcome: &Outcome) -> String {
    let codes = RULES.iter().map(|rule| rule.code);
    let codes: Vec<&str> = codes.chain([INVALID_MANIFEST, DUPLICATE_OBJECT]).collect();
    let results = outcome.remarks.iter();
    let results: Vec<Value> = results.map(|r| result(outcome, r, &codes)).collect();
    let told = json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "nadmit",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": codes.iter().map(|code| rule(code)).collect::<Vec<_>>(),
            }},
            // Columns are counted in characters, not in units of UTF-16.
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    });
    escaped(&format!("{told:#}\n"))
}

fn rule(code: &str) -> Value {
    let known = RULES.iter().find(|rule| rule.code == code);
    let (level, explanation) = match known {
        Some(rule) => (rule.levels.of(Profile::Default), rule.explanation),
        None if code == DUPLICATE_OBJECT => (
            Level::Warn,
            "Of two manifests of one object the one that is applied later overwrites the other.",
        ),
        None => (
            Level::Deny,
            "The text is not YAML or JSON, or Kubernetes would not accept an object in it.",
        ),
    };
    json!({
        "id": code,
        "shortDescription": {"text": summary(code)},
        "fullDescription": {"text": explanation},
        "defaultConfiguration": {"level": word(level)},
    })
}

fn result(outcome: &Outcome, remark: &Remark, codes: &[&str]) -> Value {
    let stop = if remark.help.is_empty() { "" } else { "; " };
    json!({
        "ruleId": remark.code,
        "ruleIndex": codes.iter().position(|code| *code == remark.code),
        "level": word(remark.level),
        "message": {"text": format!("{}{stop}{}", remark.message, remark.help)},
        "locations": [location(outcome, remark)],
    })
}

fn location(outcome: &Outcome, remark: &Remark) -> Value {
    // An object of a cluster is in no file.
    if outcome.cluster.is_some() {
        let name = format!("{} {}", outcome.object(remark), remark.field);
        return json!({"logicalLocations": [{"fullyQualifiedName": name.trim_end()}]});
    }
    let place = outcome.location(remark);
    let mut location = json!({
        "physicalLocation": {
            "artifactLocation": {"uri": uri(outcome.name(remark))},
            "region": {
                "startLine": place.start.line,
                "startColumn": place.start.column,
                "endLine": place.end.line,
                "endColumn": place.end.column,
            },
        },
    });
    if !remark.field.is_empty() {
        let name = format!("{} {}", remark.object, remark.field);
        location["logicalLocations"] = json!([{"fullyQualifiedName": name}]);
    }
    location
}

fn word(level: Level) -> &'static str {
    match level {
        Level::Deny => "error",
        Level::Warn => "warning",
        Level::Off => "none",
    }
}

/// A path as a URI's: what is no character of one is escaped.
fn uri(path: &str) -> String {
    let mut out = String::new();
    for byte in path.trim_start_matches("./").bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                out.push(char::from(byte));
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_becomes_a_uri() {
        assert_eq!(uri("./a b/ü.yaml"), "a%20b/%C3%BC.yaml");
        assert_eq!(uri("<stdin>"), "%3Cstdin%3E");
    }
}
