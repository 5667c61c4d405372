//! One pod with two networks, and the settings it is reviewed under.

use nadmit::{
    catalog::Mode,
    rules::{Injection, NamespaceIsolation, Profile},
};

use super::{
    generate::{self, AnnotationText},
    multus::{Nad, PodAnnotations},
};
use crate::simulation::rng::Rng;

/// Everything that is derived from a seed.
#[derive(Debug, Clone)]
pub(super) struct WireScenario {
    pub(super) nads: Vec<Nad>,
    pub(super) networks: Option<AnnotationText>,
    pub(super) default_network: Option<AnnotationText>,
    pub(super) settings: ScenarioSettings,
    pub(super) way: AnnotationSource,
    pub(super) who: PodKind,
    texts: [Option<String>; 2],
}

/// nadmit's settings, the namespace's labels, and the pool.
#[derive(Debug, Clone, Copy)]
pub(super) struct ScenarioSettings {
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
pub(super) enum AnnotationSource {
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
pub(super) enum PodKind {
    Named,
    Generated,
    Replica,
}

const ISOLATIONS: [NamespaceIsolation; 3] = [
    NamespaceIsolation::On,
    NamespaceIsolation::Off,
    NamespaceIsolation::Unknown,
];

fn any<T: Copy>(rng: &Rng, of: &[T]) -> T {
    of[rng.index(of.len())]
}

impl WireScenario {
    pub(super) fn of(rng: &Rng) -> Self {
        let modes = [Mode::Deny, Mode::Warn, Mode::Off];
        let ways = [
            AnnotationSource::Created,
            AnnotationSource::Created,
            AnnotationSource::Created,
            AnnotationSource::CreatedOnNode,
            AnnotationSource::Updated,
            AnnotationSource::UpdatedInStatus,
            AnnotationSource::Bound,
        ];
        let settings = ScenarioSettings {
            mode: any(rng, &modes),
            label: rng.percent(50).then(|| any(rng, &modes)),
            profile: any(rng, &Profile::ALL),
            injection: any(rng, &Injection::ALL),
            labelled: rng.percent(50),
            excluded: rng.percent(10),
            isolation: any(rng, &ISOLATIONS),
            has_ipv6: rng.percent(40),
            has_macs: rng.percent(75),
            has_reservation: rng.percent(40),
        };
        let nads = generate::networks(rng);
        let which = rng.below(8);
        let networks = (which != 0).then(|| generate::annotation(rng, 3));
        let default_network = (which < 2).then(|| generate::annotation(rng, 1));
        let who = any(
            rng,
            &[
                PodKind::Named,
                PodKind::Named,
                PodKind::Generated,
                PodKind::Replica,
            ],
        );
        Self::new(
            nads,
            [networks, default_network],
            settings,
            any(rng, &ways),
            who,
        )
    }

    pub(super) fn new(
        nads: Vec<Nad>,
        [networks, default_network]: [Option<AnnotationText>; 2],
        settings: ScenarioSettings,
        way: AnnotationSource,
        who: PodKind,
    ) -> Self {
        let texts =
            [&networks, &default_network].map(|one| one.as_ref().map(AnnotationText::to_string));
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
    pub(super) fn annotated(&self) -> PodAnnotations<'_> {
        PodAnnotations {
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
        let less = networks.iter().flat_map(AnnotationText::smaller);
        all.extend(less.map(|one| with(Some(one), default_network.clone())));
        let less = default_network.iter().flat_map(AnnotationText::smaller);
        all.extend(less.map(|one| with(networks.clone(), Some(one))));
        let plain = [
            Self {
                who: PodKind::Named,
                ..self.clone()
            },
            Self {
                settings: ScenarioSettings {
                    excluded: false,
                    ..self.settings
                },
                ..self.clone()
            },
            Self {
                settings: ScenarioSettings {
                    has_ipv6: false,
                    ..self.settings
                },
                ..self.clone()
            },
            Self {
                settings: ScenarioSettings {
                    isolation: NamespaceIsolation::Off,
                    ..self.settings
                },
                ..self.clone()
            },
            Self {
                settings: ScenarioSettings {
                    label: None,
                    ..self.settings
                },
                ..self.clone()
            },
            Self {
                settings: ScenarioSettings {
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
