//! What the catalog knows of a namespace.

use std::{collections::HashMap, str::FromStr, sync::Arc};

use super::Pod;
use crate::network::Network;

/// A namespace with what lives in it.
#[derive(Debug, Default, Clone)]
pub struct Namespace {
    /// Whether the Namespace object itself was seen.
    pub declared: bool,
    /// What its labels say to nadmit.
    pub labels: Labels,
    pub(super) networks: HashMap<Box<str>, Arc<Network>>,
    pub(super) pods: HashMap<Box<str>, Arc<Pod>>,
}

impl Namespace {
    /// The pods of the namespace, in no order.
    pub fn pods(&self) -> impl Iterator<Item = &Arc<Pod>> {
        self.pods.values()
    }
}

/// What a namespace's labels say to nadmit, and whether it is on its way out.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Labels {
    /// `nadmit.io/mode`, if it is there.
    pub mode: Option<Mode>,
    /// `nadmit.io/attachments: mutable`: the attachments of running pods may change.
    pub mutable_attachments: bool,
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
