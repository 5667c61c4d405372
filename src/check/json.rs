//! JSON: one object, its members named as the words of the documentation.

use serde_json::{Value, json};

use crate::rules::Level;

use super::{Examined, Outcome, Remark, living, steering::escaped};

/// The run as JSON, on several lines.
pub(super) fn tell(outcome: &Outcome) -> String {
    if let Some(examined) = &outcome.cluster {
        return of_cluster(outcome, examined);
    }
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
    escaped(&format!("{told:#}\n"))
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

/// Of a cluster: what is found in it has no file, and is counted by namespace and code.
fn of_cluster(outcome: &Outcome, examined: &Examined) -> String {
    let findings: Vec<Value> = outcome
        .remarks
        .iter()
        .map(|remark| {
            json!({
                "code": remark.code,
                "level": remark.level.name(),
                "namespace": remark.namespace,
                "object": outcome.object(remark),
                "field": remark.field,
                "message": remark.message,
                "help": remark.help,
            })
        })
        .collect();
    let counts: Vec<Value> = living::counts(outcome)
        .into_iter()
        .map(|((namespace, code), count)| {
            json!({
                "namespace": namespace,
                "code": code,
                "denials": count.denied,
                "warnings": count.warned,
            })
        })
        .collect();
    let told = json!({
        "cluster": {
            "server": examined.server,
            "context": examined.context,
            "namespace": examined.namespace,
        },
        "findings": findings,
        "counts": counts,
        "summary": {
            "objects": outcome.objects,
            "denials": outcome.count(Level::Deny),
            "warnings": outcome.count(Level::Warn),
        },
    });
    escaped(&format!("{told:#}\n"))
}
