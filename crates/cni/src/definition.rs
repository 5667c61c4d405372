//! A network: one `NetworkAttachmentDefinition`.

use super::cni::{NetworkConfig, NetworkConfigError};

/// A `NetworkAttachmentDefinition`, parsed once when its source loads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    pub namespace: Box<str>,
    /// The name in that namespace.
    pub name: Box<str>,
    /// The state of `spec.config`.
    pub config: ConfigState,
    /// The device plugin resource behind the network (annotation
    /// `k8s.v1.cni.cncf.io/resourceName`).
    pub resource_name: Option<Box<str>>,
    /// The address pool that serves the network (annotation `nadmit.io/address-pool`).
    pub address_pool: Option<Box<str>>,
}

/// The state of a NAD's configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfigState {
    /// No spec or an empty config: the configuration is a file on each node (spec, section 3.4),
    /// which nadmit cannot check.
    OnNode,
    /// A configuration that Multus accepts.
    Loaded(NetworkConfig),
    /// A configuration that Multus rejects for every pod.
    Broken(NetworkConfigError),
}

impl ConfigState {
    /// Parses `spec.config`.
    pub fn read(config: Option<&str>) -> Self {
        match config {
            None | Some("") => Self::OnNode,
            Some(text) => match NetworkConfig::parse(text) {
                Ok(config) => Self::Loaded(config),
                Err(error) => Self::Broken(error),
            },
        }
    }

    /// Returns the configuration, if there is a valid one.
    pub fn loaded(&self) -> Option<&NetworkConfig> {
        match self {
            Self::Loaded(config) => Some(config),
            Self::OnNode | Self::Broken(_) => None,
        }
    }
}

impl Network {
    /// Creates a network with this configuration and no annotations.
    pub fn new(namespace: &str, name: &str, config: Option<&str>) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
            config: ConfigState::read(config),
            resource_name: None,
            address_pool: None,
        }
    }

    /// Returns whether the interfaces of both networks are on the same link, as far as their
    /// configurations say. If a plugin names no link, the answer is true only if both networks have
    /// the same device plugin resource.
    pub fn shares_link(&self, other: &Self) -> bool {
        let wire = |network: &Self| {
            let main = network.config.loaded().and_then(|config| config.main());
            main.map(|main| main.link.clone())
        };
        let (Some(own), Some(theirs)) = (wire(self), wire(other)) else {
            return false;
        };
        let named = !own.starts_with("plugin ") || self.resource_name.is_some();
        named && own == theirs && self.resource_name == other.resource_name
    }
}
