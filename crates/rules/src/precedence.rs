//! The order of findings in texts that have room for a few.

use super::{
    finding::Finding,
    level::{Level, Levels, Profile},
    pod, registry,
    rule::Rule,
};

/// The rules on an annotation of which Multus reads nothing.
const UNREADABLE: &[&Rule] = &[&pod::malformed_annotation::RULE, &pod::null_selection::RULE];
/// The rules on a network that cannot be attached.
const NETWORK: &[&Rule] = &[
    &pod::unknown_network::RULE,
    &pod::cross_namespace_network::RULE,
    &pod::broken_network::RULE,
];

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
        let is_of = |rules: &[&Rule]| rules.iter().any(|rule| rule.code == self.code);
        match levels {
            _ if is_of(UNREADABLE) => Precedence::Unreadable,
            _ if is_of(NETWORK) => Precedence::Network,
            Some(Levels::MISLEADS) => Precedence::Misleads,
            Some(levels) if levels.of(Profile::Multus) < Level::Deny => Precedence::Other,
            _ => Precedence::Fails,
        }
    }
}
