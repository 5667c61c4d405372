//! What the catalog knows of a namespace.

use std::{
    str::FromStr,
    sync::{Arc, OnceLock},
};

use super::{
    Pod,
    shared_map::{HasName, SharedMap},
    users::NetworkUserIndex,
};
use crate::{allocation::selector, network::Network};

/// The label that every namespace has, with its name (KEP-2161).
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// All labels of a namespace, for selectors.
pub type AllLabels = selector::Labels;

/// A namespace with what lives in it. A copy shares what lives in it until either is changed.
#[derive(Debug, Clone)]
pub struct Namespace {
    name: Box<str>,
    /// Whether the Namespace object itself was seen.
    pub declared: bool,
    /// What its labels say to nadmit.
    pub labels: NamespaceLabels,
    /// All of them, if the Namespace object was seen.
    pub(super) all_labels: Option<Arc<AllLabels>>,
    pub(super) networks: SharedMap<Arc<Network>>,
    pub(super) pods: SharedMap<Arc<Pod>>,
    /// Who of the pods uses what; kept until one of them changes.
    pub(super) users: Arc<OnceLock<NetworkUserIndex>>,
}

impl Namespace {
    /// A namespace of which nothing is known.
    pub(super) fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            declared: false,
            labels: NamespaceLabels::default(),
            all_labels: None,
            networks: SharedMap::default(),
            pods: SharedMap::default(),
            users: Arc::default(),
        }
    }

    /// The pods of the namespace, in an order that only their names decide.
    pub fn pods(&self) -> impl Iterator<Item = &Arc<Pod>> {
        self.pods.values()
    }

    /// Which of its pods use which network.
    pub(super) fn users(&self) -> &NetworkUserIndex {
        self.users.get_or_init(|| NetworkUserIndex::of(self.pods()))
    }

    /// Whether nothing is left that makes it worth knowing.
    pub(super) fn is_unused(&self) -> bool {
        !self.declared && self.networks.is_empty() && self.pods.is_empty()
    }
}

impl HasName for Namespace {
    fn name(&self) -> &str {
        &self.name
    }
}

impl HasName for Network {
    fn name(&self) -> &str {
        &self.name
    }
}

impl HasName for Pod {
    fn name(&self) -> &str {
        &self.name
    }
}

/// The labels of a namespace, with the one that the API server gives each (by which a selector may
/// name it).
pub fn all_labels(
    namespace: &str,
    written: impl IntoIterator<Item = (Box<str>, Box<str>)>,
) -> Arc<AllLabels> {
    let mut labels: AllLabels = written.into_iter().collect();
    labels.insert(NAME_LABEL.into(), namespace.into());
    Arc::new(labels)
}

/// What a namespace's labels say to nadmit, and whether it is on its way out.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct NamespaceLabels {
    /// `nadmit.io/mode`, if it is there.
    pub mode: Option<Mode>,
    /// `nadmit.io/attachments: mutable`: the attachments of running pods may change.
    pub mutable_attachments: bool,
    /// `nadmit.io/injection: enabled`: addresses are put into its pods when they are bound.
    pub injection: bool,
    /// Its deletion has been asked for: everything in it goes.
    pub terminating: bool,
}

/// How what is wrong is treated: in a namespace (label `nadmit.io/mode`), or where none says (settings).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// As the levels of the rules say.
    Deny,
    /// What would be denied is warned of.
    Warn,
    /// Nothing is checked, but who may draw from an address pool.
    Off,
}

impl Mode {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Deny, Self::Warn, Self::Off];

    /// The word in labels and settings.
    pub fn name(self) -> &'static str {
        match self {
            Self::Deny => "deny",
            Self::Warn => "warn",
            Self::Off => "off",
        }
    }
}

impl FromStr for Mode {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut all = Self::ALL.into_iter();
        all.find(|mode| mode.name() == text).ok_or(())
    }
}
