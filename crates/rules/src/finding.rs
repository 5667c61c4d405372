//! Findings of rules, and the report that collects them.

use std::fmt;

use nadmit_catalog::LiveRead;
use nadmit_cni::{Position, Span};

use super::{
    level::{Level, Levels},
    policy::Policy,
};

/// One problem found by a rule: its level, field, message and remedy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The rule's code; `nadmit explain CODE` prints the explanation.
    pub code: &'static str,
    /// The level at which the finding is reported.
    pub level: Level,
    /// Set if only the mode of the namespace or of the settings lowers the level from deny to warn.
    pub would_deny: bool,
    /// The path of the field, such as `metadata.annotations[k8s.v1.cni.cncf.io/networks][0].ips[1]`.
    pub field: String,
    /// Line and column in the field's text, for fields that hold a text with a structure of its own.
    pub position: Option<TextPosition>,
    /// The affected bytes of the field's text.
    pub span: Option<Span>,
    /// The problem: one sentence without a full stop.
    pub message: String,
    /// Numbers that change while the problem stays, as a phrase; may be empty. They are not part of the
    /// text that controllers repeat in events.
    pub detail: String,
    /// The remedy: one sentence without a full stop. Never empty.
    pub help: String,
    /// The live read that is required before this finding may deny.
    pub requires_live_read: Option<LiveRead>,
}

/// A position in a field's text. It is displayed without the line if the text has only one line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TextPosition {
    /// Line and column.
    pub position: Position,
    /// Set if the text has only one line.
    pub one_line: bool,
}

impl fmt::Display for TextPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Position { line, column } = self.position;
        if self.one_line {
            write!(f, "column {column}")
        } else {
            write!(f, "line {line}, column {column}")
        }
    }
}

/// The field that a finding refers to.
#[derive(Debug, Clone, Default)]
pub struct FieldRef<'a> {
    /// The path of the field.
    pub field: String,
    /// The affected span and the whole text, for fields that hold a text with a structure of its own.
    pub source: Option<(Span, &'a str)>,
}

/// The maximum number of findings of one level in a report. It bounds the cost of an annotation in which
/// everything is wrong.
pub const MAX_FINDINGS: usize = 100;

/// Collects the findings of one rule after the other, up to `MAX_FINDINGS` of each level.
#[derive(Debug)]
pub struct Report<'p> {
    policy: &'p Policy,
    max_level: Level,
    rule: &'static str,
    level: Level,
    /// Set if `max_level` lowers the current rule from deny.
    downgraded: bool,
    findings: Vec<Finding>,
    /// The numbers of warnings and of denials.
    counts: [usize; 2],
}

impl Finding {
    /// Returns the message with the detail (if there is one) in parentheses, for output that is shown once.
    pub fn detailed_message(&self) -> String {
        match &*self.detail {
            "" => self.message.clone(),
            detail => format!("{} ({detail})", self.message),
        }
    }

    /// Returns message, detail and position (if there are any) and help in one line.
    pub fn sentence(&self) -> String {
        let position = self.position.map(|position| position.to_string());
        let detail = (!self.detail.is_empty()).then(|| self.detail.clone());
        let notes: Vec<String> = [detail, position].into_iter().flatten().collect();
        let notes = match notes.is_empty() {
            true => String::new(),
            false => format!(" ({})", notes.join("; ")),
        };
        format!("{}{notes}; {}", self.message, self.help)
    }
}

impl<'p> Report<'p> {
    /// Returns an empty report whose findings have at most the level `max_level`.
    pub fn new(policy: &'p Policy, max_level: Level) -> Self {
        Self {
            policy,
            max_level,
            rule: "",
            level: Level::Off,
            downgraded: false,
            findings: Vec::new(),
            counts: [0; 2],
        }
    }

    /// Makes the rule with this code the source of the findings that follow, at `level`.
    pub fn begin(&mut self, code: &'static str, level: Level) {
        self.rule = code;
        self.level = level.min(self.max_level);
        self.downgraded = level == Level::Deny && self.max_level < Level::Deny;
    }

    /// Makes the rule with this code the source of the findings that follow. They deny, whatever
    /// `max_level` is.
    pub(crate) fn begin_authority(&mut self, code: &'static str) {
        self.rule = code;
        self.level = Level::Deny;
        self.downgraded = false;
    }

    /// Returns true if only authority rules report here.
    pub(crate) fn is_off(&self) -> bool {
        self.max_level == Level::Off
    }

    /// Adds a finding at the level of the current rule.
    pub fn add(
        &mut self,
        field_ref: FieldRef<'_>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.push(self.level, field_ref, message.into(), help.into(), None);
    }

    /// Adds a finding with numbers that change while the problem stays.
    pub(crate) fn add_with_detail(
        &mut self,
        field_ref: FieldRef<'_>,
        message: impl Into<String>,
        detail: Option<String>,
        help: impl Into<String>,
    ) {
        let before = self.findings.len();
        self.add(field_ref, message, help);
        self.set_detail(before, detail);
    }

    /// Adds a finding with numbers that change while the problem stays. It may deny only after
    /// `live_read`.
    pub(crate) fn add_after_live_read_with_detail(
        &mut self,
        live_read: LiveRead,
        field_ref: FieldRef<'_>,
        message: impl Into<String>,
        detail: Option<String>,
        help: impl Into<String>,
    ) {
        let before = self.findings.len();
        self.add_after_live_read(live_read, field_ref, message, help);
        self.set_detail(before, detail);
    }

    /// Sets the detail of the finding at this index, if it was kept.
    fn set_detail(&mut self, index: usize, detail: Option<String>) {
        if let Some(added) = self.findings.get_mut(index) {
            added.detail = detail.unwrap_or_default();
        }
    }

    /// Adds a finding that depends on another object, or on the absence of one. It may deny only after
    /// `live_read`.
    pub(crate) fn add_after_live_read(
        &mut self,
        live_read: LiveRead,
        field_ref: FieldRef<'_>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.push(
            self.level,
            field_ref,
            message.into(),
            help.into(),
            Some(live_read),
        );
    }

    /// Adds a finding at the lower of two levels: that of the current rule and that of `levels` in the
    /// policy's profile.
    pub(crate) fn add_capped(
        &mut self,
        levels: Levels,
        field_ref: FieldRef<'_>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        let level = self.level.min(levels.of(self.policy.profile()));
        // A capped finding is not a matter of authority, so `max_level` applies to it.
        let level = level.min(self.max_level);
        if level > Level::Off {
            self.push(level, field_ref, message.into(), help.into(), None);
        }
    }

    fn push(
        &mut self,
        level: Level,
        field_ref: FieldRef<'_>,
        message: String,
        help: String,
        requires_live_read: Option<LiveRead>,
    ) {
        let count = &mut self.counts[usize::from(level == Level::Deny)];
        if *count == MAX_FINDINGS {
            return;
        }
        *count += 1;
        self.findings.push(Finding {
            code: self.rule,
            level,
            would_deny: self.downgraded && level == Level::Warn,
            field: field_ref.field,
            position: field_ref.source.map(|(span, text)| TextPosition {
                position: Position::of(span.start, text),
                one_line: !text.trim_end().contains('\n'),
            }),
            span: field_ref.source.map(|(span, _)| span),
            message,
            detail: String::new(),
            help,
            requires_live_read,
        });
    }

    /// Returns true if no further finding of the current rule's level would be kept. Rules with expensive
    /// messages can stop then.
    pub fn is_full(&self) -> bool {
        self.counts[usize::from(self.level == Level::Deny)] == MAX_FINDINGS
    }

    /// Returns true if no further finding of any level would be kept.
    pub(crate) fn is_complete(&self) -> bool {
        self.counts == [MAX_FINDINGS; 2]
    }

    /// Returns all findings, in the order in which they were added.
    pub(crate) fn into_findings(self) -> Vec<Finding> {
        self.findings
    }
}
