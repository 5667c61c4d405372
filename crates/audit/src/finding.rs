//! Findings, and what they rest on.

use std::collections::HashSet;

use super::{AuditCode, AuditLevel, ObjectRef};

/// The most names in a message.
pub(crate) const MAX_NAMES: usize = 10;

/// Returns names in words: the first ones, and the number of the others.
pub(crate) fn some_of(names: impl ExactSizeIterator<Item = String>) -> String {
    let more = names.len().saturating_sub(MAX_NAMES);
    let named: Vec<String> = names.take(MAX_NAMES).collect();
    match more {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}

/// Returns a number of things in words.
pub(crate) fn counted(count: usize, one: &str, many: &str) -> String {
    match count {
        1 => format!("1 {one}"),
        count => format!("{count} {many}"),
    }
}

/// A value of an object that a finding rests on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Evidence {
    pub object: ObjectRef,
    /// The value, with its place in the object.
    pub value: String,
}

/// A finding about records.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AuditFinding {
    pub code: AuditCode,
    pub level: AuditLevel,
    /// A sentence without its full stop.
    pub message: String,
    pub evidence: Vec<Evidence>,
    /// The commands that fix it, to be run in this order; empty if only people can.
    pub commands: Vec<String>,
    /// The action for people, if there is more to do than the commands.
    pub help: String,
}

impl AuditFinding {
    /// Creates a finding of the level of its code.
    pub(crate) fn new(code: AuditCode, message: String) -> Self {
        Self {
            code,
            level: code.level(),
            message,
            evidence: Vec::new(),
            commands: Vec::new(),
            help: String::new(),
        }
    }

    /// Adds a value that it rests on.
    #[must_use]
    pub(crate) fn with(mut self, object: ObjectRef, value: impl Into<String>) -> Self {
        let value = value.into();
        self.evidence.push(Evidence { object, value });
        self
    }

    /// Adds a command.
    #[must_use]
    pub(crate) fn command(mut self, command: impl Into<Option<String>>) -> Self {
        self.commands.extend(command.into());
        self
    }

    /// Sets the action for people.
    #[must_use]
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = help.into();
        self
    }

    /// Lowers the level to warn.
    #[must_use]
    pub(crate) fn lowered(mut self) -> Self {
        self.level = AuditLevel::Warn;
        self
    }

    /// Returns true if an object of the namespace is part of the evidence.
    pub fn concerns(&self, namespace: &str) -> bool {
        let mut objects = self.evidence.iter().map(|one| &one.object);
        let mentions = |value: &str| value.contains(&format!(" {namespace}/"));
        objects.any(|object| &*object.namespace == namespace)
            || self.evidence.iter().any(|one| mentions(&one.value))
    }

    pub(crate) fn sort_key(&self) -> (AuditCode, AuditLevel, &[Evidence], &str) {
        (self.code, self.level, &self.evidence, &self.message)
    }
}

/// Returns the findings of the second reading that the first one has, too: a difference that only
/// comes from the time between the lists of two kinds is not in both.
pub fn in_both(first: &[AuditFinding], second: Vec<AuditFinding>) -> Vec<AuditFinding> {
    let identity = |finding: &AuditFinding| (finding.code, finding.message.clone());
    let known: HashSet<_> = first.iter().map(identity).collect();
    let mut second = second;
    second.retain(|finding| known.contains(&identity(finding)));
    second
}
