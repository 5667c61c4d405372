//! The kinds of rounds: the additions to the creation and the binding of each pod.

/// The additions of a round to the creation and the binding of each pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum RoundKind {
    /// Nothing.
    Without,
    /// The webhooks of nadmit are registered, and a server that allows everything answers.
    Calls,
    /// The client writes an object whose kind allows any content.
    AnyObject,
    /// The client writes an object with the schema of an AddressAllocation, without its rules.
    Schema,
    /// The client writes an object with the schema and the rules.
    Rules,
    /// The client writes an object with both, and a policy says who may.
    Policy,
    /// The client writes an AddressAllocation, which nadmit watches.
    Recorded,
    /// nadmit's webhooks.
    With,
}

impl RoundKind {
    /// The kinds that show what each cause costs.
    pub(crate) const ALL: [Self; 8] = [
        Self::Without,
        Self::Calls,
        Self::AnyObject,
        Self::Schema,
        Self::Rules,
        Self::Policy,
        Self::Recorded,
        Self::With,
    ];

    /// Returns the namespace of its pods. nadmit's leader injects no addresses late in `plain`, which has
    /// no label, and in `calls`, whose network has no pool.
    pub(crate) fn namespace(self) -> &'static str {
        match self {
            Self::With => "bench",
            Self::Calls => "calls",
            _ => "plain",
        }
    }

    /// Returns the API group of the object that the client writes for each pod.
    pub(crate) fn record_group(self) -> Option<&'static str> {
        match self {
            Self::AnyObject => Some("any.bench.nadmit.io"),
            Self::Schema => Some("schema.bench.nadmit.io"),
            Self::Rules => Some("rules.bench.nadmit.io"),
            Self::Policy => Some("policy.bench.nadmit.io"),
            Self::Recorded => Some("nadmit.io"),
            Self::Without | Self::Calls | Self::With => None,
        }
    }
}
