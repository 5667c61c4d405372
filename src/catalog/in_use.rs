//! Which addresses of pools are used, whether anything recorded them or not.

use std::{net::IpAddr, sync::Arc};

use super::{Catalog, Pod};
use crate::{
    allocation::{Address, NetworkRef, PodRef, Pool, reconcile::InUse},
    network::{
        Annotation, Network,
        address::AddressRequest,
        annotations, interface,
        ipam::Ipam,
        mac::{HardwareAddress, Mac},
        status,
    },
};

impl Catalog {
    /// The addresses of pools that pods carry (in their annotations, or as network-status reports
    /// them) and that networks configure. `default_home` is the namespace in which pods' default
    /// networks are looked up.
    pub fn addresses_in_use(&self, default_home: &str) -> Vec<InUse> {
        let mut pods: Vec<&Arc<Pod>> = self.pods().collect();
        pods.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
        let pods = pods.into_iter();
        let mut found: Vec<InUse> = pods
            .flat_map(|pod| self.addresses_of_pod(pod, default_home))
            .collect();
        found.extend(self.addresses_of_networks());
        found
    }

    /// The same of one pod. It is what it was as long as the pod, the networks and the layout are.
    pub fn addresses_of_pod(&self, pod: &Pod, default_home: &str) -> Vec<InUse> {
        let mut found = Vec::new();
        if !self.layout().pools.is_empty() {
            self.of_pod(pod, default_home, &mut found);
        }
        found
    }

    /// The same of the networks.
    pub fn addresses_of_networks(&self) -> Vec<InUse> {
        let mut found = Vec::new();
        let mut networks: Vec<&Arc<Network>> = self.networks().collect();
        networks.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
        for network in networks {
            self.of_network(network, &mut found);
        }
        found
    }

    fn of_pod(&self, pod: &Pod, default_home: &str, found: &mut Vec<InUse>) {
        if pod.host_network {
            return;
        }
        // Status and annotation may say the same: what this pod has is added once.
        let before = found.len();
        let mut asked: Vec<&Network> = Vec::new();
        let annotations = [
            (
                annotations::DEFAULT_NETWORK,
                &pod.default_network,
                default_home,
            ),
            (annotations::NETWORKS, &pod.networks, &*pod.namespace),
        ];
        for (key, text, home) in annotations {
            let Some(text) = text else { continue };
            let annotation = Annotation::parse(text);
            for selection in &annotation.selections {
                let name = selection.network_name().unwrap_or_default();
                let served = self.served(selection.namespace_or(home), name);
                let Some((network, pool)) = served else {
                    continue;
                };
                asked.push(network);
                let inside = match (key, &selection.interface) {
                    (annotations::DEFAULT_NETWORK, None) => interface::CLUSTER.into(),
                    _ => selection.interface_name(),
                };
                let ips = selection.ips.iter().flat_map(|ips| &ips.value);
                let ips = ips.filter_map(|ip| Some(ip.ok()?.address));
                let mac = selection.mac.as_ref().and_then(|mac| mac.ok()?.ethernet());
                add(pod, network, pool, &inside, ips, mac, (found, before));
            }
        }
        let reported = pod.network_status.as_deref().map(status::parse);
        for attachment in reported.and_then(Result::ok).unwrap_or_default() {
            let (namespace, name) = attachment
                .name
                .split_once('/')
                .unwrap_or((&pod.namespace, &attachment.name));
            let Some((network, pool)) = self.served(namespace, name) else {
                continue;
            };
            // Who may make a pod may write a status into it. What it asks for was judged; a network that
            // it never asked for it does not have.
            if !asked.iter().any(|one| std::ptr::eq(*one, network)) {
                continue;
            }
            let mac = attachment.mac.as_deref().map(HardwareAddress::parse);
            let mac = mac.and_then(|mac| mac.ok()?.ethernet());
            add(
                pod,
                network,
                pool,
                attachment.interface.as_deref().unwrap_or_default(),
                attachment.ips.iter().copied(),
                mac,
                (found, before),
            );
        }
    }

    /// A configured address belongs to the pool that serves the network, or to every pool with a
    /// range around it: pods of that network have it, whatever pools give.
    fn of_network(&self, network: &Network, found: &mut Vec<InUse>) {
        let Some(Ipam::Static(ipam)) = network.config.loaded().and_then(|config| config.ipam())
        else {
            return;
        };
        for configured in &ipam.addresses {
            let Ok(request) = AddressRequest::parse(&configured.address) else {
                continue;
            };
            for pool in self.layout().pools.values() {
                let served = network.address_pool.as_deref();
                let counts = served.is_none_or(|served| served == &*pool.name);
                if counts && pool.range_of(request.address).is_some() {
                    let key = NetworkRef::from(network);
                    found.push(InUse {
                        pool: Arc::clone(&pool.name),
                        address: request.address.into(),
                        interface: "".into(),
                        holder: crate::allocation::Holder::Network {
                            namespace: Arc::clone(&key.namespace),
                            name: Arc::clone(&key.name),
                        },
                        network: key,
                        pod: None,
                        given: true,
                        mac: None,
                    });
                }
            }
        }
    }

    fn served(&self, namespace: &str, name: &str) -> Option<(&Network, &Arc<Pool>)> {
        let network = self.network(namespace, name)?;
        let pool = self.layout().pool(network.address_pool.as_deref()?)?;
        Some((network, pool))
    }
}

fn add(
    pod: &Pod,
    network: &Network,
    pool: &Arc<Pool>,
    interface: &str,
    ips: impl Iterator<Item = IpAddr>,
    mac: Option<Mac>,
    (found, before): (&mut Vec<InUse>, usize),
) {
    let ips = ips.filter(|ip| pool.range_of(*ip).is_some());
    let mut addresses: Vec<Address> = ips.map(Address::Ip).collect();
    // A MAC that follows from one of the addresses is theirs.
    let follows = |address: &Address| {
        let following = address.ip().and_then(|ip| pool.following_mac(ip));
        following.is_some() && following == mac
    };
    if !addresses.iter().any(follows) {
        // Any other is its own, though it may follow from an address that another has by now.
        addresses.extend(mac.filter(|_| pool.macs.is_some()).map(Address::Mac));
    }
    let requested = &pod.requested;
    let put_in = requested.networks.is_some() || requested.default_network.is_some();
    for address in addresses {
        let one = InUse {
            pool: Arc::clone(&pool.name),
            address,
            network: network.into(),
            interface: interface.into(),
            holder: pod.holder.clone(),
            pod: Some(PodRef {
                name: Arc::from(&*pod.name),
                uid: pod.uid.as_deref().map(Arc::from),
                node: pod.node.as_deref().map(Arc::from),
            }),
            given: pod.node.is_some() || put_in,
            mac: mac.filter(|_| follows(&address)),
        };
        if !found.iter().skip(before).any(|known| *known == one) {
            found.push(one);
        }
    }
}
