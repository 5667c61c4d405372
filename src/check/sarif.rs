//! The SARIF 2.1.0 output, the format of code scanning.

use serde_json::{Value, json};

use crate::rules::{Level, Profile, RULES};

use super::{
    CheckOutcome, Diagnostic,
    diagnostic::{DUPLICATE_OBJECT, INVALID_MANIFEST, summary},
    terminal::escape_json,
};

const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";

/// Renders the outcome as a SARIF log.
pub(super) fn render(outcome: &CheckOutcome) -> String {
    let codes = RULES.iter().map(|rule| rule.code);
    let codes: Vec<&str> = codes.chain([INVALID_MANIFEST, DUPLICATE_OBJECT]).collect();
    let results = outcome.diagnostics.iter();
    let results: Vec<Value> = results.map(|r| result(outcome, r, &codes)).collect();
    let document = json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "nadmit",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": codes.iter().map(|code| rule(code)).collect::<Vec<_>>(),
            }},
            // Columns count characters, not UTF-16 units.
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    });
    escape_json(&format!("{document:#}\n"))
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
        "defaultConfiguration": {"level": sarif_level(level)},
    })
}

fn result(outcome: &CheckOutcome, diagnostic: &Diagnostic, codes: &[&str]) -> Value {
    let stop = if diagnostic.help.is_empty() { "" } else { "; " };
    json!({
        "ruleId": diagnostic.code,
        "ruleIndex": codes.iter().position(|code| *code == diagnostic.code),
        "level": sarif_level(diagnostic.level),
        "message": {"text": format!("{}{stop}{}", diagnostic.message, diagnostic.help)},
        "locations": [location(outcome, diagnostic)],
    })
}

fn location(outcome: &CheckOutcome, diagnostic: &Diagnostic) -> Value {
    // A cluster's object has no file.
    if outcome.cluster.is_some() {
        let name = format!("{} {}", outcome.object(diagnostic), diagnostic.field);
        return json!({"logicalLocations": [{"fullyQualifiedName": name.trim_end()}]});
    }
    let range = outcome.location(diagnostic);
    let mut location = json!({
        "physicalLocation": {
            "artifactLocation": {"uri": uri(outcome.name(diagnostic))},
            "region": {
                "startLine": range.start.line,
                "startColumn": range.start.column,
                "endLine": range.end.line,
                "endColumn": range.end.column,
            },
        },
    });
    if !diagnostic.field.is_empty() {
        let name = format!("{} {}", diagnostic.object, diagnostic.field);
        location["logicalLocations"] = json!([{"fullyQualifiedName": name}]);
    }
    location
}

fn sarif_level(level: Level) -> &'static str {
    match level {
        Level::Deny => "error",
        Level::Warn => "warning",
        Level::Off => "none",
    }
}

/// Returns a path as a URI, percent-encoded.
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
