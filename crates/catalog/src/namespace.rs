//! A namespace in the catalog.

use std::{
    str::FromStr,
    sync::{Arc, OnceLock},
};

use super::{
    Pod,
    shared_map::{HasName, SharedMap},
    sorted_names::SortedNames,
    users::NetworkUserIndex,
};
use nadmit_allocation::selector;
use nadmit_cni::Network;

/// The label that contains every namespace's name (KEP-2161).
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// All labels of a namespace, for selectors.
pub type AllLabels = selector::Labels;

/// A namespace with its networks and pods. Copies share these until either copy changes.
#[derive(Debug, Clone)]
pub struct Namespace {
    name: Box<str>,
    /// Set if the Namespace object itself was seen.
    pub declared: bool,
    /// The settings from nadmit's own labels.
    pub labels: NamespaceLabels,
    /// All labels, if the Namespace object was seen.
    pub(super) all_labels: Option<Arc<AllLabels>>,
    pub(super) networks: SharedMap<Arc<Network>>,
    pub(super) pods: SharedMap<Arc<Pod>>,
    /// The pods by the networks they use; rebuilt when a pod changes.
    pub(super) users: Arc<OnceLock<NetworkUserIndex>>,
    /// The names of the networks; rebuilt when a network changes.
    pub(super) names: Arc<OnceLock<SortedNames>>,
}

impl Namespace {
    /// Returns an empty, undeclared namespace.
    pub(super) fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            declared: false,
            labels: NamespaceLabels::default(),
            all_labels: None,
            networks: SharedMap::default(),
            pods: SharedMap::default(),
            users: Arc::default(),
            names: Arc::default(),
        }
    }

    /// Returns the pods of the namespace, in an order that depends only on their names.
    pub fn pods(&self) -> impl Iterator<Item = &Arc<Pod>> {
        self.pods.values()
    }

    /// Returns the index of the namespace's pods by the networks they use.
    pub(super) fn users(&self) -> &NetworkUserIndex {
        self.users.get_or_init(|| NetworkUserIndex::of(self.pods()))
    }

    /// Returns the names of the namespace's networks.
    pub(super) fn names(&self) -> &SortedNames {
        let names = || self.networks.values().map(|network| &*network.name);
        self.names.get_or_init(|| SortedNames::of(names()))
    }

    /// Returns true if the namespace is undeclared and empty.
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

/// Returns the labels of a namespace, with the name label that the API server sets on each.
pub fn all_labels(
    namespace: &str,
    written: impl IntoIterator<Item = (Box<str>, Box<str>)>,
) -> Arc<AllLabels> {
    let mut labels: AllLabels = written.into_iter().collect();
    labels.insert(NAME_LABEL.into(), namespace.into());
    Arc::new(labels)
}

/// The settings from a namespace's labels, and whether the namespace is being deleted.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct NamespaceLabels {
    /// The label `nadmit.io/mode`, if set.
    pub mode: Option<Mode>,
    /// `nadmit.io/attachments: mutable`: the attachments of running pods may change.
    pub mutable_attachments: bool,
    /// `nadmit.io/injection: enabled`: addresses are injected into the namespace's pods at binding.
    pub injection: bool,
    /// Set if the namespace is being deleted, with everything in it.
    pub terminating: bool,
}

/// The treatment of findings: in a namespace (label `nadmit.io/mode`), or by default (settings).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Findings deny or warn, as the levels of their rules say.
    Deny,
    /// Denials become warnings.
    Warn,
    /// Only the rules that guard address pools apply.
    Off,
}

impl Mode {
    /// All modes.
    pub const ALL: [Self; 3] = [Self::Deny, Self::Warn, Self::Off];

    /// Returns the word used in labels and settings.
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
