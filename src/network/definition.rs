//! A network: one `NetworkAttachmentDefinition`.

use super::cni::{ConfigError, NetworkConfig};

/// A `NetworkAttachmentDefinition`, parsed once when its source loads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// The namespace it lives in.
    pub namespace: Box<str>,
    /// Its name in that namespace.
    pub name: Box<str>,
    /// What its `spec.config` says.
    pub config: ConfigState,
    /// The device plugin resource behind it (annotation `k8s.v1.cni.cncf.io/resourceName`).
    pub resource_name: Option<Box<str>>,
    /// The address pool that serves it (annotation `nadmit.io/address-pool`).
    pub address_pool: Option<Box<str>>,
}

/// The state of a NAD's configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfigState {
    /// No spec or an empty config: the configuration is a file on each node (spec, section 3.4),
    /// which nobody but the node can check.
    OnNode,
    /// A configuration that Multus would load.
    Loaded(NetworkConfig),
    /// A configuration that would fail every pod.
    Broken(ConfigError),
}

impl ConfigState {
    /// Reads `spec.config`.
    pub fn read(config: Option<&str>) -> Self {
        match config {
            None | Some("") => Self::OnNode,
            Some(text) => match NetworkConfig::parse(text) {
                Ok(config) => Self::Loaded(config),
                Err(error) => Self::Broken(error),
            },
        }
    }

    /// The configuration, where there is one that loads.
    pub fn loaded(&self) -> Option<&NetworkConfig> {
        match self {
            Self::Loaded(config) => Some(config),
            Self::OnNode | Self::Broken(_) => None,
        }
    }
}

impl Network {
    /// A network with this configuration and no annotations.
    pub fn new(namespace: &str, name: &str, config: Option<&str>) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
            config: ConfigState::read(config),
            resource_name: None,
            address_pool: None,
        }
    }

    /// Returns whether the interfaces of both networks are on one wire, as far as their configurations
    /// say: of a plugin that names no wire nothing is known, unless its devices are of one resource.
    pub fn shares_wire(&self, other: &Self) -> bool {
        let wire = |network: &Self| {
            let main = network.config.loaded().and_then(|config| config.main());
            main.map(|main| main.wire.clone())
        };
        let (Some(own), Some(theirs)) = (wire(self), wire(other)) else {
            return false;
        };
        let named = !own.starts_with("plugin ") || self.resource_name.is_some();
        named && own == theirs && self.resource_name == other.resource_name
    }
}
