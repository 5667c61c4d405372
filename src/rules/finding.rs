//! What a rule says, and the report that collects it.

use std::fmt;

use crate::{
    allocation::{Address, Holder},
    network::{Position, Span},
};

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
    /// Whether it would deny but for the mode of the namespace or of the settings.
    pub would_deny: bool,
    /// The field: `metadata.annotations[k8s.v1.cni.cncf.io/networks][0].ips[1]`.
    pub field: String,
    /// Line and column inside the annotation, where the finding has a place there.
    pub position: Option<TextPosition>,
    /// The bytes of the annotation that it speaks of.
    pub span: Option<Span>,
    /// What is wrong: one sentence without a closing stop.
    pub message: String,
    /// What to write instead: one sentence without a closing stop. Never empty.
    pub help: String,
    /// What must be looked up afresh before this may deny.
    pub requires_live_read: Option<LiveRead>,
}

/// A position, and whether its text has one line only, so that the column says it all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TextPosition {
    /// Line and column in the annotation.
    pub position: Position,
    /// Whether there is but one line.
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

/// Something to look up at its origin, past every cache.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum LiveRead {
    /// Does this network exist?
    Network {
        /// Its namespace.
        namespace: Box<str>,
        /// Its name.
        name: Box<str>,
    },
    /// Who holds addresses of this pool?
    Allocations {
        /// The pool.
        pool: Box<str>,
        /// The address in question; of a pool that has nothing left, all.
        address: Option<Address>,
    },
    /// What does this holder have, on every network?
    Holdings {
        /// The holder.
        holder: Holder,
        /// Whether some of it was known when this was asked: what was looked up before anything was
        /// says nothing of the rest.
        partially_known: bool,
    },
    /// How is this pod now, if it is there at all?
    Pod {
        /// Its namespace.
        namespace: Box<str>,
        /// Its name.
        name: Box<str>,
    },
    /// Is this migration of a virtual machine in progress?
    Migration {
        /// Its namespace.
        namespace: Box<str>,
        /// Its name.
        name: Box<str>,
    },
    /// What is the `Network` of OpenShift's operator?
    NetworkOperator,
    /// How is this pool set, who holds addresses of it, and which labels has this namespace?
    Pool {
        /// The pool.
        name: Box<str>,
        /// The namespace, if its labels matter.
        namespace: Option<Box<str>>,
    },
    /// Which pods use this network, and is its namespace being deleted?
    NetworkUsers {
        /// Its namespace.
        namespace: Box<str>,
        /// Its name.
        name: Box<str>,
    },
}

/// Where a finding is.
#[derive(Debug, Clone, Default)]
pub struct FieldRef<'a> {
    /// The field's path.
    pub field: String,
    /// The text and the part of it, where the field holds a text with places of its own.
    pub source: Option<(Span, &'a str)>,
}

/// The most findings of one level in a report: more would be read by nobody, and an annotation that
/// is all mistakes must not cost more than its own size.
const MAX_FINDINGS: usize = 100;

/// Collects findings, of one rule after the other: of each level the first hundred.
#[derive(Debug)]
pub struct Report<'p> {
    policy: &'p Policy,
    max_level: Level,
    rule: &'static str,
    level: Level,
    /// Whether the rule that speaks would deny, were it not for `max_level`.
    downgraded: bool,
    findings: Vec<Finding>,
    /// Of warnings, and of denials.
    counts: [usize; 2],
}

impl Finding {
    /// Message, position where there is one, and help in one line.
    pub fn sentence(&self) -> String {
        let position = self
            .position
            .map_or(String::new(), |position| format!(" ({position})"));
        format!("{}{position}; {}", self.message, self.help)
    }
}

impl<'p> Report<'p> {
    /// A report in which nothing is louder than `max_level`.
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

    /// From here on `rule` speaks, at `level`.
    pub fn begin(&mut self, rule: &'static Rule, level: Level) {
        self.rule = rule.code;
        self.level = level.min(self.max_level);
        self.downgraded = level == Level::Deny && self.max_level < Level::Deny;
    }

    /// From here on `rule` speaks, and denies: its authority is lowered by nothing.
    pub fn begin_authority(&mut self, rule: &'static Rule) {
        self.rule = rule.code;
        self.level = Level::Deny;
        self.downgraded = false;
    }

    /// Whether only authority speaks here.
    pub fn is_off(&self) -> bool {
        self.max_level == Level::Off
    }

    /// Adds a finding at the rule's own level.
    pub fn add(&mut self, field_ref: FieldRef<'_>, message: impl Into<String>, help: impl Into<String>) {
        self.push(self.level, field_ref, message.into(), help.into(), None);
    }

    /// Adds a finding that rests on something's absence, or on another object: it may deny only after
    /// a fresh look.
    pub fn add_after_live_read(
        &mut self,
        live_read: LiveRead,
        field_ref: FieldRef<'_>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.push(self.level, field_ref, message.into(), help.into(), Some(live_read));
    }

    /// Adds a finding that may be less grave than the rule's others: never louder than `levels`
    /// say for the profile, nor than the rule itself.
    pub fn add_capped(
        &mut self,
        levels: Levels,
        field_ref: FieldRef<'_>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        let level = self.level.min(levels.of(self.policy.profile()));
        // What is less grave is no matter of authority.
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
            help,
            requires_live_read,
        });
    }

    /// Whether a finding at the rule's own level would be one too many: a rule whose words are dear
    /// to find need not look further.
    pub fn is_full(&self) -> bool {
        self.counts[usize::from(self.level == Level::Deny)] == MAX_FINDINGS
    }

    /// All findings, in the order in which the rules spoke.
    pub fn into_findings(self) -> Vec<Finding> {
        self.findings
    }
}
