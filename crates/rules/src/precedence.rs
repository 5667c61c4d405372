//! The order of findings in texts that have room for a few.

use super::{
    finding::Finding,
    level::{Level, Levels, Profile},
    registry,
};

/// The order of findings in a short text: the most blocking one is the least.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Precedence {
    /// Nothing of the annotation can be read.
    Unreadable,
    /// A network cannot be attached, whatever is requested of it.
    Network,
    /// The pod does not start, or may not have the address.
    Fails,
    /// The pod starts, but not with what it requests.
    Misleads,
    /// Only the specification forbids it.
    Other,
}

impl Finding {
    /// Returns the rank of the finding in a short text.
    pub fn precedence(&self) -> Precedence {
        let levels = registry::find(self.code).map(|rule| rule.levels);
        match self.code {
            "malformed-annotation" | "null-selection" => Precedence::Unreadable,
            "unknown-network" | "cross-namespace-network" | "broken-network" => Precedence::Network,
            _ if levels == Some(Levels::MISLEADS) => Precedence::Misleads,
            _ if levels.is_some_and(|levels| levels.of(Profile::Multus) < Level::Deny) => {
                Precedence::Other
            }
            _ => Precedence::Fails,
        }
    }
}
