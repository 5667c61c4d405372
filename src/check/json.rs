//! JSON: one object, its members named as the words of the documentation.

use serde_json::{Value, json};

use crate::rules::Level;

use super::{Outcome, Remark};

/// The run as JSON, on several lines.
pub(super) fn tell(outcome: &Outcome) -> String {
    let findings: Vec<Value> = outcome.remarks.iter().map(|r| one(outcome, r)).collect();
    let told = json!({
        "findings": findings,
        "summary": {
            "files": outcome.files.len(),
            "objects": outcome.objects,
            "denials": outcome.count(Level::Deny),
            "warnings": outcome.count(Level::Warn),
        },
    });
    format!("{told:#}\n")
}

fn one(outcome: &Outcome, remark: &Remark) -> Value {
    let place = outcome.location(remark);
    json!({
        "code": remark.code,
        "level": remark.level.name(),
        "file": outcome.name(remark),
        "line": place.start.line,
        "column": place.start.column,
        "endLine": place.end.line,
        "endColumn": place.end.column,
        "object": remark.object,
        "field": remark.field,
        "message": remark.message,
        "help": remark.help,
    })
}
