//! What the catalog knows of a namespace.

use std::{collections::HashMap, str::FromStr, sync::Arc};

use super::Pod;
use crate::{allocation::selector, network::Network};

/// The label that every namespace has, with its name (KEP-2161).
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// All labels of a namespace, for selectors.
pub type AllLabels = selector::Labels;

/// A namespace with what lives in it.
#[derive(Debug, Default, Clone)]
pub struct Namespace {
    /// Whether the Namespace object itself was seen.
    pub declared: bool,
    /// What its labels say to nadmit.
    pub labels: Labels,
    /// All of them, if the Namespace object was seen.
    pub(super) all_labels: Option<Arc<AllLabels>>,
    pub(super) networks: HashMap<Box<str>, Arc<Network>>,
    pub(super) pods: HashMap<Box<str>, Arc<Pod>>,
}

impl Namespace {
    /// The pods of the namespace, in no order.
    pub fn pods(&self) -> impl Iterator<Item = &Arc<Pod>> {
        self.pods.values()
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
pub struct Labels {
    /// `nadmit.io/mode`, if it is there.
    pub mode: Option<Mode>,
    /// `nadmit.io/attachments: mutable`: the attachments of running pods may change.
    pub mutable_attachments: bool,
    /// `nadmit.io/injection: enabled`: addresses are put into its pods when they are bound.
    pub injection: bool,
    /// Its deletion has been asked for: everything in it goes.
    pub terminating: bool,
}

/// How the pods of a namespace are treated (label `nadmit.io/mode`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// As the configuration says; the same as no label.
    Deny,
    /// What would be denied is warned of.
    Warn,
    /// Nothing is checked, but who may draw from an address pool.
    Off,
}

impl FromStr for Mode {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "deny" => Ok(Self::Deny),
            "warn" => Ok(Self::Warn),
            "off" => Ok(Self::Off),
            _ => Err(()),
        }
    }
}
