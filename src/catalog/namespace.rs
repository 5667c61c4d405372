//! What the catalog knows of a namespace.

use std::{collections::HashMap, str::FromStr, sync::Arc};

use super::Pod;
use crate::network::Network;

/// A namespace with what lives in it.
#[derive(Debug, Default, Clone)]
pub struct Namespace {
    /// Whether the Namespace object itself was seen.
    pub declared: bool,
    /// Its label `nadmit.io/mode`, if it has one.
    pub mode: Option<Mode>,
    pub(super) networks: HashMap<Box<str>, Arc<Network>>,
    pub(super) pods: HashMap<Box<str>, Arc<Pod>>,
}

impl Namespace {
    /// The pods of the namespace, in no order.
    pub fn pods(&self) -> impl Iterator<Item = &Arc<Pod>> {
        self.pods.values()
    }
}

/// How the pods of a namespace are treated (label `nadmit.io/mode`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// As the configuration says; the same as no label.
    Deny,
    /// What would be denied is warned of.
    Warn,
    /// Nothing is checked.
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
