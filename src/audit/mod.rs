//! The audit of records: reads files or a cluster into a snapshot, and renders what
//! [`nadmit_audit::audit`] finds.

mod format;
mod human;
mod json;
mod read;

pub use self::{
    format::AuditFormat,
    read::{of_cluster, of_files},
};

use std::collections::BTreeMap;

use nadmit_audit::{AuditFinding, AuditLevel, RecordKind, Snapshot};

use crate::check::ClusterScope;

/// The result of an audit.
#[derive(Debug, Clone)]
pub struct AuditOutcome {
    /// The findings, by code.
    pub findings: Vec<AuditFinding>,
    /// Texts about what could not be compared, and why.
    pub notes: Vec<String>,
    /// The number of objects read, by kind; kinds without objects are left out.
    pub records: BTreeMap<RecordKind, usize>,
    /// The cluster, if one was read.
    pub cluster: Option<ClusterScope>,
}

impl AuditOutcome {
    /// Creates the result for a snapshot.
    pub fn new(snapshot: &Snapshot, findings: Vec<AuditFinding>) -> Self {
        let counted = RecordKind::ALL
            .into_iter()
            .map(|kind| (kind, snapshot.count(kind)));
        Self {
            findings,
            notes: Vec::new(),
            records: counted.filter(|(_, count)| *count > 0).collect(),
            cluster: None,
        }
    }

    /// Keeps the findings about objects of a namespace.
    pub fn limit_to(&mut self, namespace: &str) {
        self.findings.retain(|finding| finding.concerns(namespace));
    }

    /// Returns true if a finding is a denial.
    pub fn is_denied(&self) -> bool {
        self.count(AuditLevel::Deny) > 0
    }

    /// Returns the number of findings of a level.
    pub fn count(&self, level: AuditLevel) -> usize {
        let findings = self.findings.iter();
        findings.filter(|finding| finding.level == level).count()
    }
}
