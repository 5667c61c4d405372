//! The JSON output: one object, with the documentation's terms as keys.

use serde_json::{Value, json};

use crate::rules::Level;

use super::{
    CheckOutcome, ClusterScope, Diagnostic, cluster_report, locations::Locations,
    terminal::escape_json,
};

/// Renders the outcome as indented JSON.
pub(super) fn render(outcome: &CheckOutcome) -> String {
    if let Some(scope) = &outcome.cluster {
        return render_cluster(outcome, scope);
    }
    let locations = Locations::new(outcome);
    let findings: Vec<Value> = outcome
        .diagnostics
        .iter()
        .map(|r| diagnostic_value(outcome, &locations, r))
        .collect();
    let document = json!({
        "findings": findings,
        "summary": {
            "files": outcome.files.len(),
            "objects": outcome.objects,
            "denials": outcome.count(Level::Deny),
            "warnings": outcome.count(Level::Warn),
        },
    });
    escape_json(&format!("{document:#}\n"))
}

fn diagnostic_value(
    outcome: &CheckOutcome,
    locations: &Locations<'_>,
    diagnostic: &Diagnostic,
) -> Value {
    let range = locations.of(diagnostic);
    json!({
        "code": diagnostic.code,
        "level": diagnostic.level.name(),
        "file": outcome.name(diagnostic),
        "line": range.start.line,
        "column": range.start.column,
        "endLine": range.end.line,
        "endColumn": range.end.column,
        "object": diagnostic.object,
        "field": diagnostic.field,
        "message": diagnostic.message,
        "help": diagnostic.help,
    })
}

/// Renders a cluster's outcome: findings have no file, and are counted by namespace and code.
fn render_cluster(outcome: &CheckOutcome, scope: &ClusterScope) -> String {
    let findings: Vec<Value> = outcome
        .diagnostics
        .iter()
        .map(|diagnostic| {
            json!({
                "code": diagnostic.code,
                "level": diagnostic.level.name(),
                "namespace": diagnostic.namespace,
                "object": outcome.object(diagnostic),
                "field": diagnostic.field,
                "message": diagnostic.message,
                "help": diagnostic.help,
            })
        })
        .collect();
    let counts: Vec<Value> = cluster_report::counts(outcome)
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
    let document = json!({
        "cluster": {
            "server": scope.server,
            "context": scope.context,
            "namespace": scope.namespace,
        },
        "findings": findings,
        "counts": counts,
        "summary": {
            "objects": outcome.objects,
            "denials": outcome.count(Level::Deny),
            "warnings": outcome.count(Level::Warn),
        },
    });
    escape_json(&format!("{document:#}\n"))
}
