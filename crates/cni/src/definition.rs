//! A network: one `NetworkAttachmentDefinition`.

use super::{
    cni::{NetworkConfig, NetworkConfigError},
    ipam::{Ipam, WhereaboutsIpam},
};

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
    /// The AddressPool that the annotation `nadmit.io/address-pool` names.
    pub address_pool: Option<Box<str>>,
    /// The name of the pool that the network's own configuration defines, if such pools are enabled.
    /// The catalog sets it.
    pub derived_pool: Option<Box<str>>,
    /// The annotation `nadmit.io/serve`.
    pub serving: Serving,
}

/// The wish of a network of Whereabouts to be served by nadmit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Serving {
    /// As the settings say.
    #[default]
    Default,
    /// `nadmit.io/serve: "false"`: Whereabouts alone assigns the addresses.
    Off,
}

impl Serving {
    /// Parses the value of the annotation.
    pub fn of(annotation: Option<&str>) -> Self {
        match annotation {
            Some("false") => Self::Off,
            _ => Self::Default,
        }
    }
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
            derived_pool: None,
            serving: Serving::Default,
        }
    }

    /// Returns the name of the pool that serves the network: the one that the annotation names, else
    /// that of its own configuration.
    pub fn pool(&self) -> Option<&str> {
        self.address_pool
            .as_deref()
            .or(self.derived_pool.as_deref())
    }

    /// Returns the configuration of Whereabouts, if nadmit serves the network: its pool is derived from
    /// Whereabouts's ranges.
    pub fn served_ipam(&self) -> Option<&WhereaboutsIpam> {
        self.derived_pool.as_deref()?;
        self.whereabouts_ipam()
            .filter(|_| self.address_pool.is_none())
    }

    /// Returns the definition of an inline pool, if the network's addresses are of one.
    pub fn inline_ipam(&self) -> Option<&WhereaboutsIpam> {
        self.derived_pool.as_deref()?;
        match self.config.loaded()?.ipam()? {
            Ipam::Static(ipam) if self.address_pool.is_none() => ipam.inline_pool.as_deref(),
            _ => None,
        }
    }

    /// Returns the configuration of Whereabouts, if that is the IPAM of the network.
    pub fn whereabouts_ipam(&self) -> Option<&WhereaboutsIpam> {
        match self.config.loaded()?.ipam()? {
            Ipam::Whereabouts(ipam) => Some(ipam),
            _ => None,
        }
    }

    /// Returns the name of the NodeSlicePool of a network of Whereabouts with node slices. Where the
    /// configuration has no `name`, Multus gives it that of the network.
    pub fn slice_pool(&self) -> Option<&str> {
        let ipam = self.whereabouts_ipam()?;
        ipam.node_slice_size.as_ref()?;
        let config_name = || self.config.loaded()?.name.as_deref();
        let named = ipam.network_name.as_deref().or_else(config_name);
        let named = named.filter(|name| !name.is_empty());
        Some(named.unwrap_or(&self.name))
    }

    /// Returns whether the interfaces of both networks are on the same link, as far as their
    /// configurations say. If a plugin names no link, the answer is true only if both networks have
    /// the same device plugin resource.
    pub fn shares_link(&self, other: &Self) -> bool {
        let own = self.shareable_segment();
        own.is_some() && own == other.shareable_segment()
    }

    /// Returns the link of the main plugin, as far as the configuration names it.
    pub fn main_link(&self) -> Option<&str> {
        let main = self.config.loaded().and_then(|config| config.main());
        main.map(|main| &*main.link)
    }

    /// Returns the link and the device plugin resource by which the network shares a link with others;
    /// `None` if it has neither.
    pub fn shareable_segment(&self) -> Option<(Box<str>, Option<Box<str>>)> {
        let link = self.main_link()?;
        let named = !link.starts_with("plugin ") || self.resource_name.is_some();
        named.then(|| (link.into(), self.resource_name.clone()))
    }
}
