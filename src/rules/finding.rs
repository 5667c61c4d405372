//! What a rule says, and the report that collects it.

use crate::network::{Position, Span};

use super::{
    level::{Level, Levels},
    policy::Policy,
    registry::Rule,
};

/// One thing wrong: which rule says so, how loudly, where, what, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The rule's code; `nadmit explain CODE` tells more.
    pub code: &'static str,
    /// Denied or warned of.
    pub level: Level,
    /// The field: `metadata.annotations[k8s.v1.cni.cncf.io/networks][0].ips[1]`.
    pub field: String,
    /// Line and column inside the annotation, where the finding has a place there.
    pub position: Option<Position>,
    /// The bytes of the annotation that it speaks of.
    pub span: Option<Span>,
    /// What is wrong: one sentence without a closing stop.
    pub message: String,
    /// What to write instead: one sentence without a closing stop. Never empty.
    pub help: String,
    /// What must be looked up afresh before this may deny: it rests on something's absence.
    pub rests_on: Option<Lookup>,
}

/// Something to look up at its origin, past every cache.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Lookup {
    /// Does this network exist?
    Network {
        /// Its namespace.
        namespace: Box<str>,
        /// Its name.
        name: Box<str>,
    },
}

/// Where a finding is.
#[derive(Debug, Clone, Default)]
pub struct Place<'a> {
    /// The field's path.
    pub field: String,
    /// The text and the part of it, where the field holds a text with places of its own.
    pub at: Option<(Span, &'a str)>,
}

/// Collects findings, of one rule after the other.
#[derive(Debug)]
pub struct Report<'p> {
    policy: &'p Policy,
    loudest: Level,
    rule: &'static str,
    level: Level,
    findings: Vec<Finding>,
}

impl Finding {
    /// Message and help in one line, with the position where there is one.
    pub fn sentence(&self) -> String {
        match self.position {
            Some(Position { line: 1, column }) => {
                format!("{} (column {column}): {}", self.message, self.help)
            }
            Some(Position { line, column }) => {
                format!(
                    "{} (line {line}, column {column}): {}",
                    self.message, self.help
                )
            }
            None => format!("{}: {}", self.message, self.help),
        }
    }
}

impl<'p> Report<'p> {
    /// A report in which nothing is louder than `loudest`.
    pub fn new(policy: &'p Policy, loudest: Level) -> Self {
        Self {
            policy,
            loudest,
            rule: "",
            level: Level::Off,
            findings: Vec::new(),
        }
    }

    /// From here on `rule` speaks, at `level`.
    pub fn begin(&mut self, rule: &'static Rule, level: Level) {
        self.rule = rule.code;
        self.level = level.min(self.loudest);
    }

    /// Adds a finding at the rule's own level.
    pub fn add(&mut self, place: Place<'_>, message: impl Into<String>, help: impl Into<String>) {
        self.push(self.level, place, message.into(), help.into(), None);
    }

    /// Adds a finding that rests on something's absence.
    pub fn add_unless_found(
        &mut self,
        lookup: Lookup,
        place: Place<'_>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.push(self.level, place, message.into(), help.into(), Some(lookup));
    }

    /// Adds a finding that may be less grave than the rule's others: never louder than `levels`
    /// say for the profile, nor than the rule itself.
    pub fn add_lesser(
        &mut self,
        levels: Levels,
        place: Place<'_>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        let level = self.level.min(levels.of(self.policy.profile()));
        if level > Level::Off {
            self.push(level, place, message.into(), help.into(), None);
        }
    }

    fn push(
        &mut self,
        level: Level,
        place: Place<'_>,
        message: String,
        help: String,
        rests_on: Option<Lookup>,
    ) {
        self.findings.push(Finding {
            code: self.rule,
            level,
            field: place.field,
            position: place.at.map(|(span, text)| Position::of(span.start, text)),
            span: place.at.map(|(span, _)| span),
            message,
            help,
            rests_on,
        });
    }

    /// All findings, in the order in which the rules spoke.
    pub fn into_findings(self) -> Vec<Finding> {
        self.findings
    }
}
