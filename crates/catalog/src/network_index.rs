//! Indexes of networks for rules that compare them, each built on first use.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
};

use nadmit_cni::{Network, cni::Plugin, ovn::OvnNetwork};

use super::{
    Catalog,
    configured_addresses::{NetworkName, NetworkNames},
    pool_index::ServedNetworks,
};

/// The indexes of one state of the networks.
#[derive(Debug, Default)]
pub(super) struct NetworkIndex {
    served: OnceLock<ServedNetworks>,
    masters: OnceLock<Masters>,
    ovn: OnceLock<OvnConfigurations>,
}

/// The networks of each kind of plugin on each master of the nodes.
type Masters = HashMap<Box<str>, HashMap<Box<str>, NetworkNames>>;

/// The configurations of OVN-Kubernetes networks, by the name of the network.
type OvnConfigurations = HashMap<Box<str>, Vec<OvnConfiguration>>;

/// The networks that configure an OVN-Kubernetes network equally.
#[derive(Debug)]
pub struct OvnConfiguration {
    /// The networks in the order of the catalog, each with its place among all of the name.
    pub networks: Vec<(usize, Arc<Network>)>,
}

impl OvnConfiguration {
    /// Returns the configuration.
    pub fn network(&self) -> Option<&OvnNetwork> {
        let (_, first) = self.networks.first()?;
        ovn(first)
    }
}

impl Catalog {
    /// Returns the networks with a plugin on a master of the nodes, by the kind of the plugin.
    pub fn networks_on_master(&self, master: &str) -> impl Iterator<Item = (&str, &NetworkNames)> {
        let masters = &self.network_index.masters;
        let masters = masters.get_or_init(|| masters_of(self.networks()));
        let kinds = masters.get(master).into_iter().flatten();
        kinds.map(|(kind, names)| (&**kind, names))
    }

    /// Returns the networks that each pool serves.
    pub(super) fn served_networks(&self) -> &ServedNetworks {
        let served = &self.network_index.served;
        served.get_or_init(|| ServedNetworks::of(self.networks()))
    }

    /// Returns the different configurations of the OVN-Kubernetes network of this name, in the order
    /// of their first networks.
    pub fn ovn_configurations(&self, name: &str) -> &[OvnConfiguration] {
        let ovn = &self.network_index.ovn;
        let ovn = ovn.get_or_init(|| configurations_of(self.networks()));
        ovn.get(name).map_or(&[], |found| found)
    }
}

fn masters_of<'n>(networks: impl Iterator<Item = &'n Arc<Network>>) -> Masters {
    let mut found = Masters::new();
    for network in networks {
        let plugins = network.config.loaded().into_iter();
        for plugin in plugins.flat_map(|config| &config.plugins) {
            let Some(master) = master(plugin) else {
                continue;
            };
            let kinds = found.entry(master.into()).or_default();
            let names = kinds.entry(plugin.kind.clone()).or_default();
            let name: NetworkName = (network.namespace.clone(), network.name.clone());
            names.insert(name);
        }
    }
    found
}

/// Returns the master of a plugin, if that is an interface of the node.
fn master(plugin: &Plugin) -> Option<&str> {
    let parent = plugin.parent.as_ref()?;
    (!parent.in_container).then_some(&*parent.master)
}

fn configurations_of<'n>(networks: impl Iterator<Item = &'n Arc<Network>>) -> OvnConfigurations {
    let mut found = OvnConfigurations::new();
    let mut known: HashMap<(&str, &OvnNetwork), usize> = HashMap::new();
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for network in networks {
        let name = network
            .config
            .loaded()
            .and_then(|config| config.name.as_deref());
        let (Some(name), Some(configuration)) = (name, ovn(network)) else {
            continue;
        };
        let place = counts.entry(name).or_default();
        let of_name = found.entry(name.into()).or_default();
        let at = *known.entry((name, configuration)).or_insert(of_name.len());
        if at == of_name.len() {
            let networks = Vec::new();
            of_name.push(OvnConfiguration { networks });
        }
        if let Some(equal) = of_name.get_mut(at) {
            equal.networks.push((*place, Arc::clone(network)));
        }
        *place += 1;
    }
    found
}

/// Returns the OVN-Kubernetes network of a list of one plugin. OVN-Kubernetes rejects longer lists.
fn ovn(network: &Network) -> Option<&OvnNetwork> {
    match &*network.config.loaded()?.plugins {
        [one] => one.ovn.as_deref(),
        _ => None,
    }
}
