//! The JSON output: one object with stable keys.

use std::collections::BTreeMap;

use nadmit_audit::{AuditFinding, AuditLevel};
use serde_json::{Value, json};

use crate::check::escape_json;

use super::AuditOutcome;

/// Renders the outcome as indented JSON.
pub(super) fn render(outcome: &AuditOutcome) -> String {
    let findings: Vec<Value> = outcome.findings.iter().map(finding_value).collect();
    let cluster = outcome.cluster.as_ref().map(|scope| {
        json!({
            "server": scope.server,
            "context": scope.context,
            "namespace": scope.namespace,
        })
    });
    let records: BTreeMap<&str, usize> = outcome
        .records
        .iter()
        .map(|(kind, count)| (kind.name(), *count))
        .collect();
    let document = json!({
        "cluster": cluster,
        "findings": findings,
        "notes": outcome.notes,
        "summary": {
            "denials": outcome.count(AuditLevel::Deny),
            "warnings": outcome.count(AuditLevel::Warn),
            "records": records,
        },
    });
    escape_json(&format!("{document:#}\n"))
}

fn finding_value(finding: &AuditFinding) -> Value {
    let evidence: Vec<Value> = finding
        .evidence
        .iter()
        .map(|one| {
            json!({
                "kind": one.object.kind.name(),
                "namespace": one.object.namespace,
                "name": one.object.name,
                "value": one.value,
            })
        })
        .collect();
    json!({
        "code": finding.code.name(),
        "level": finding.level.name(),
        "message": finding.message,
        "evidence": evidence,
        "fix": finding.commands,
        "help": finding.help,
    })
}
