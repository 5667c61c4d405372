//! One pod with two networks, and the settings it is reviewed under.

use nadmit::{
    catalog::Mode,
    rules::{Injection, NamespaceIsolation, Profile},
};

use super::{
    generate::{self, Written},
    multus::{Annotated, Nad},
};
use crate::simulation::rng::Dice;

/// Everything that is derived from a seed.
#[derive(Debug, Clone)]
pub(super) struct Scene {
    pub(super) nads: Vec<Nad>,
    pub(super) networks: Option<Written>,
    pub(super) default_network: Option<Written>,
    pub(super) settings: Settings,
    pub(super) way: Way,
    pub(super) who: Who,
    texts: [Option<String>; 2],
}

/// nadmit's settings, the namespace's labels, and the pool.
#[derive(Debug, Clone, Copy)]
pub(super) struct Settings {
    pub(super) mode: Mode,
    pub(super) label: Option<Mode>,
    pub(super) profile: Profile,
    pub(super) injection: Injection,
    /// Set if the namespace has the label `nadmit.io/injection: enabled`.
    pub(super) labelled: bool,
    pub(super) excluded: bool,
    /// nadmit's setting for Multus's isolation; the modelled Multus isolates nothing.
    pub(super) isolation: NamespaceIsolation,
    pub(super) has_ipv6: bool,
    pub(super) has_macs: bool,
    pub(super) has_reservation: bool,
}

/// The request that sets the annotations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// The pod is created with them.
    Created,
    /// The pod is created with them and with a node.
    CreatedOnNode,
    /// An update replaces others on a running pod, where that is allowed.
    Updated,
    /// A status update replaces others on a running pod.
    UpdatedInStatus,
    /// The pod's Binding sets them.
    Bound,
}

/// The kind of pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Who {
    Named,
    Generated,
    Replica,
}

const ISOLATIONS: [NamespaceIsolation; 3] = [
    NamespaceIsolation::On,
    NamespaceIsolation::Off,
    NamespaceIsolation::Unknown,
];

fn any<T: Copy>(dice: &Dice, of: &[T]) -> T {
    of[dice.index(of.len())]
}

impl Scene {
    pub(super) fn of(dice: &Dice) -> Self {
        let modes = [Mode::Deny, Mode::Warn, Mode::Off];
        let ways = [
            Way::Created,
            Way::Created,
            Way::Created,
            Way::CreatedOnNode,
            Way::Updated,
            Way::UpdatedInStatus,
            Way::Bound,
        ];
        let settings = Settings {
            mode: any(dice, &modes),
            label: dice.percent(50).then(|| any(dice, &modes)),
            profile: any(dice, &Profile::ALL),
            injection: any(dice, &Injection::ALL),
            labelled: dice.percent(50),
            excluded: dice.percent(10),
            isolation: any(dice, &ISOLATIONS),
            has_ipv6: dice.percent(40),
            has_macs: dice.percent(75),
            has_reservation: dice.percent(40),
        };
        let nads = generate::networks(dice);
        let which = dice.below(8);
        let networks = (which != 0).then(|| generate::annotation(dice, 3));
        let default_network = (which < 2).then(|| generate::annotation(dice, 1));
        let who = any(
            dice,
            &[Who::Named, Who::Named, Who::Generated, Who::Replica],
        );
        Self::new(
            nads,
            [networks, default_network],
            settings,
            any(dice, &ways),
            who,
        )
    }

    pub(super) fn new(
        nads: Vec<Nad>,
        [networks, default_network]: [Option<Written>; 2],
        settings: Settings,
        way: Way,
        who: Who,
    ) -> Self {
        let texts = [&networks, &default_network].map(|one| one.as_ref().map(Written::to_string));
        Self {
            nads,
            networks,
            default_network,
            settings,
            way,
            who,
            texts,
        }
    }

    /// Returns this scenario with other annotations: that of the networks, and that of the default
    /// network.
    pub(super) fn with_texts(self, texts: [Option<String>; 2]) -> Self {
        Self { texts, ..self }
    }

    /// Returns the requested annotations.
    pub(super) fn annotated(&self) -> Annotated<'_> {
        Annotated {
            namespace: "db",
            networks: self.texts[0].as_deref(),
            default_network: self.texts[1].as_deref(),
        }
    }

    /// Returns the scenarios with one part removed.
    pub(super) fn smaller(&self) -> Vec<Self> {
        let with = |networks, default_network| {
            let nads = self.nads.clone();
            Self::new(
                nads,
                [networks, default_network],
                self.settings,
                self.way,
                self.who,
            )
        };
        let (networks, default_network) = (&self.networks, &self.default_network);
        let mut all = Vec::new();
        if networks.is_some() && default_network.is_some() {
            all.push(with(None, default_network.clone()));
            all.push(with(networks.clone(), None));
        }
        let less = networks.iter().flat_map(Written::smaller);
        all.extend(less.map(|one| with(Some(one), default_network.clone())));
        let less = default_network.iter().flat_map(Written::smaller);
        all.extend(less.map(|one| with(networks.clone(), Some(one))));
        let plain = [
            Self {
                who: Who::Named,
                ..self.clone()
            },
            Self {
                settings: Settings {
                    excluded: false,
                    ..self.settings
                },
                ..self.clone()
            },
            Self {
                settings: Settings {
                    has_ipv6: false,
                    ..self.settings
                },
                ..self.clone()
            },
            Self {
                settings: Settings {
                    isolation: NamespaceIsolation::Off,
                    ..self.settings
                },
                ..self.clone()
            },
            Self {
                settings: Settings {
                    label: None,
                    ..self.settings
                },
                ..self.clone()
            },
            Self {
                settings: Settings {
                    has_reservation: false,
                    ..self.settings
                },
                ..self.clone()
            },
        ];
        let differs = |one: &Self| format!("{one:?}") != format!("{self:?}");
        all.extend(plain.into_iter().filter(differs));
        all
    }
}
