//! The addresses of pools that are in use, recorded or not.

use std::{net::IpAddr, sync::Arc};

use super::{Catalog, Pod};
use nadmit_allocation::{Address, NetworkRef, PodRef, Pool, PoolOrigin, reconcile::InUse};
use nadmit_cni::{
    Annotation, Network,
    address::canonical,
    annotations, interface,
    ipam::Ipam,
    mac::{HardwareAddress, Mac},
    status,
};

impl Catalog {
    /// Returns the addresses of pools that are in use: by pods, according to their annotations or
    /// network-status, on networks with a pool or on the same link; and by networks that configure
    /// them. `multus_namespace` is the namespace in which Multus looks up default networks.
    pub fn addresses_in_use(&self, multus_namespace: &str) -> Vec<InUse> {
        let mut pods: Vec<&Arc<Pod>> = self.pods().collect();
        pods.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
        let pods = pods.into_iter();
        let mut found: Vec<InUse> = pods
            .flat_map(|pod| self.addresses_of_pod(pod, multus_namespace))
            .collect();
        found.extend(self.addresses_of_networks());
        found
    }

    /// Returns the addresses of pools that one pod uses. The result depends only on the pod, the
    /// networks and the pool configuration, so callers may cache it.
    pub fn addresses_of_pod(&self, pod: &Pod, multus_namespace: &str) -> Vec<InUse> {
        let mut found = Vec::new();
        if !self.pool_config().pools.is_empty() {
            self.collect_pod(pod, multus_namespace, &mut found);
        }
        found
    }

    /// Returns the addresses of pools that networks configure.
    pub fn addresses_of_networks(&self) -> Vec<InUse> {
        let mut found = Vec::new();
        let mut networks: Vec<&Arc<Network>> = self.networks().collect();
        networks.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
        for network in networks {
            self.collect_network(network, &mut found);
        }
        found
    }

    fn collect_pod(&self, pod: &Pod, multus_namespace: &str, found: &mut Vec<InUse>) {
        if pod.host_network {
            return;
        }
        // Status and annotation may report the same address, which is added once.
        let before = found.len();
        let mut requested_networks: Vec<&Network> = Vec::new();
        let annotations = [
            (
                annotations::DEFAULT_NETWORK,
                &pod.default_network,
                multus_namespace,
            ),
            (annotations::NETWORKS, &pod.networks, &*pod.namespace),
        ];
        for (key, text, home) in annotations {
            let Some(text) = text else { continue };
            let annotation = Annotation::parse(text);
            for selection in &annotation.selections {
                let name = selection.network_name().unwrap_or_default();
                let network = self.network(selection.namespace_or(home), name);
                let Some(network) = network else {
                    continue;
                };
                requested_networks.push(network);
                let inside = match (key, &selection.interface) {
                    (annotations::DEFAULT_NETWORK, None) => interface::CLUSTER.into(),
                    _ => selection.interface_name(),
                };
                let ips = selection.ips.iter().flat_map(|ips| &ips.value);
                let ips = ips.filter_map(|ip| Some(canonical(&ip.text)?.address));
                let mac = selection.mac.as_ref().and_then(|mac| mac.ok()?.ethernet());
                let carried = PodInterface {
                    interface: &inside,
                    ips: ips.collect(),
                    mac,
                    from_annotations: true,
                };
                self.collect_interface(pod, network, &carried, (found, before));
            }
        }
        let reported = pod.network_status.as_deref().map(status::parse);
        for attachment in reported.and_then(Result::ok).unwrap_or_default() {
            let (namespace, name) = attachment
                .name
                .split_once('/')
                .unwrap_or((&pod.namespace, &attachment.name));
            let Some(network) = self.network(namespace, name) else {
                continue;
            };
            // Anyone who can create a pod can write its status. A network that the pod did not
            // request is not attached, and an address that it did not request takes nothing from
            // its holder.
            if !requested_networks
                .iter()
                .any(|one| std::ptr::eq(*one, &**network))
            {
                continue;
            }
            let mac = attachment.mac.as_deref().map(HardwareAddress::parse);
            let carried = PodInterface {
                interface: attachment.interface.as_deref().unwrap_or_default(),
                ips: attachment.ips.clone(),
                mac: mac.and_then(|mac| mac.ok()?.ethernet()),
                from_annotations: false,
            };
            self.collect_interface(pod, network, &carried, (found, before));
        }
    }

    /// Adds an interface's addresses: those of the pool that serves its network or, if none does,
    /// those of the pools that serve networks on the same link.
    fn collect_interface(
        &self,
        pod: &Pod,
        network: &Network,
        carried: &PodInterface<'_>,
        (found, before): (&mut Vec<InUse>, usize),
    ) {
        if let Some(name) = network.pool() {
            if let Some(pool) = self.pool_config().pool(name) {
                // Elsewhere the plugin alone gives addresses, and its records say which.
                let is_labelled = self.has_injection_label(&pod.namespace);
                if pool.origin == PoolOrigin::Whereabouts && !is_labelled {
                    return;
                }
                let served = PoolAddresses {
                    ips: carried
                        .ips
                        .iter()
                        .copied()
                        .filter(|ip| pool.range_of(*ip).is_some())
                        .collect(),
                    mac: carried.mac.filter(|_| pool.macs.is_some()),
                    assigned: carried.from_annotations,
                };
                push_addresses(
                    pod,
                    network,
                    pool,
                    carried.interface,
                    served,
                    (found, before),
                );
            }
            return;
        }
        let addresses = carried.ips.iter().copied().map(Address::Ip);
        let addresses = addresses.chain(carried.mac.map(Address::Mac));
        for pool in self.pools_around(addresses) {
            let allocatable = |ip: &IpAddr| {
                let range = pool.range_of(*ip).and_then(|at| pool.ranges.get(at));
                range.is_some_and(|range| range.exclusion(*ip).is_none())
            };
            let of_pool = |mac: &Mac| pool.macs.as_ref().is_some_and(|macs| macs.contains(*mac));
            let foreign = PoolAddresses {
                ips: carried
                    .ips
                    .iter()
                    .copied()
                    .filter(allocatable)
                    .take(MAX_FOREIGN_ADDRESSES)
                    .collect(),
                mac: carried.mac.filter(of_pool),
                // An address that no pool allocated takes nothing from its holder.
                assigned: false,
            };
            let nothing = foreign.ips.is_empty() && foreign.mac.is_none();
            if !nothing && self.is_on_link_of(network, pool) {
                push_addresses(
                    pod,
                    network,
                    pool,
                    carried.interface,
                    foreign,
                    (found, before),
                );
            }
        }
    }

    /// Adds a network's configured addresses, for the pool that serves the network or for every
    /// pool with a range around them: the network's pods have these addresses, whatever pools
    /// allocate.
    fn collect_network(&self, network: &Network, found: &mut Vec<InUse>) {
        let Some(Ipam::Static(ipam)) = network.config.loaded().and_then(|config| config.ipam())
        else {
            return;
        };
        for configured in &ipam.addresses {
            let Some(request) = canonical(&configured.address) else {
                continue;
            };
            let address = Address::Ip(request.address);
            for pool in self.pools_around(std::iter::once(address)) {
                let served = network.pool();
                if served.is_none_or(|served| served == &*pool.name) {
                    let key = NetworkRef::from(network);
                    found.push(InUse {
                        pool: Arc::clone(&pool.name),
                        address: request.address.into(),
                        interface: "".into(),
                        holder: nadmit_allocation::Holder::Network {
                            namespace: Arc::clone(&key.namespace),
                            name: Arc::clone(&key.name),
                        },
                        network: key,
                        pod: None,
                        assigned: true,
                        mac: None,
                    });
                }
            }
        }
    }
}

/// The maximum number of a pool's addresses counted on an interface that no pool serves. One per
/// family is usual, and a pod can write anything into its status.
const MAX_FOREIGN_ADDRESSES: usize = 2;

/// The addresses of a pod's interface.
struct PodInterface<'a> {
    interface: &'a str,
    ips: Vec<IpAddr>,
    mac: Option<Mac>,
    /// True for annotations that request networks, which a review has judged; false for
    /// network-status.
    from_annotations: bool,
}

/// The addresses of an interface that belong to one pool.
struct PoolAddresses {
    ips: Vec<IpAddr>,
    mac: Option<Mac>,
    /// True if the pool allocated them, provided that the pod was allocated anything.
    assigned: bool,
}

fn push_addresses(
    pod: &Pod,
    network: &Network,
    pool: &Arc<Pool>,
    interface: &str,
    carried: PoolAddresses,
    (found, before): (&mut Vec<InUse>, usize),
) {
    let PoolAddresses { ips, mac, assigned } = carried;
    let mut addresses: Vec<Address> = ips.into_iter().map(Address::Ip).collect();
    // A MAC that is derived from one of the addresses has no record of its own.
    let follows = |address: &Address| {
        let following = address.ip().and_then(|ip| pool.derived_mac(ip));
        following.is_some() && following == mac
    };
    if !addresses.iter().any(follows) {
        // Any other MAC has its own record, even if it derives from an address that another holder
        // has now.
        addresses.extend(mac.map(Address::Mac));
    }
    let requested = &pod.requested;
    let injected = requested.networks.is_some() || requested.default_network.is_some();
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
            assigned: assigned && (pod.node.is_some() || injected),
            mac: mac.filter(|_| follows(&address)),
        };
        let is_same = |known: &InUse| {
            let of = |one: &InUse| (one.address, one.mac);
            (&known.pool, &known.network, &known.interface, of(known))
                == (&one.pool, &one.network, &one.interface, of(&one))
        };
        if !found.iter().skip(before).any(is_same) {
            found.push(one);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use nadmit_allocation::ParsedSpec;

    /// Returns what a pod with this request and this status uses of the pool of `eth1`, on a
    /// network with this master that no pool serves.
    fn carried(
        master: &str,
        requested_networks: &serde_json::Value,
        status: &serde_json::Value,
    ) -> Vec<String> {
        let network = |name: &str, master: &str, pool: Option<&str>| {
            let config = json!({"cniVersion": "0.3.1", "type": "macvlan", "master": master,
                "capabilities": {"ips": true, "mac": true}, "ipam": {"type": "static"}});
            let mut network = Network::new("db", name, Some(&config.to_string()));
            network.address_pool = pool.map(Into::into);
            Arc::new(network)
        };
        let networks = [
            network("pooled", "eth1", Some("storage")),
            network("other", master, None),
        ];
        let spec = json!({"ranges": [{"range": "192.0.2.0/24", "exclude": ["192.0.2.128/25"]}],
            "macs": {"prefix": "02:5e:00"}});
        let pool = ParsedSpec::of_pool(&spec).pool("storage");
        let pool = Arc::new(pool.unwrap_or_else(|e| panic!("{e:?}")));
        let catalog = Catalog::new([], networks, []);
        let catalog = catalog.with_pools([("storage".into(), Ok(pool))], [], &Arc::default());
        let pod = Pod {
            node: Some("node-a".into()),
            networks: Some(json!([requested_networks]).to_string().into()),
            network_status: Some(json!([status]).to_string().into()),
            ..Pod::new("db", "p")
        };
        let found = catalog.addresses_of_pod(&pod, "kube-system").into_iter();
        let found =
            found.map(|one| format!("{} {} {}", one.address, one.network.name, one.assigned));
        found.collect()
    }

    #[test]
    fn addresses_on_the_link_of_a_pool_are_in_use() {
        let none = json!({});
        let asks = |ip: &str| json!({"name": "other", "ips": [ip], "mac": "02:5e:00:00:00:05"});
        assert_eq!(
            carried("eth1", &asks("192.0.2.5/24"), &none),
            ["192.0.2.5 other false"]
        );
        assert_eq!(
            carried("eth1", &asks("192.0.2.6/24"), &none),
            ["192.0.2.6 other false", "02:5e:00:00:00:05 other false"]
        );
        // Addresses that the pool never allocates are not counted, nor are those on another link.
        let excluded = asks("192.0.2.200/24");
        assert_eq!(
            carried("eth1", &excluded, &none),
            ["02:5e:00:00:00:05 other false"]
        );
        assert_eq!(carried("eth2", &asks("192.0.2.5/24"), &none), [""; 0]);
        let reported = json!({"name": "db/other", "interface": "net1",
            "ips": ["192.0.2.7", "192.0.2.8", "192.0.2.9"]});
        let found = carried("eth1", &json!({"name": "other"}), &reported);
        assert_eq!(found, ["192.0.2.7 other false", "192.0.2.8 other false"]);
        let pooled = json!({"name": "pooled", "ips": ["192.0.2.200/24"]});
        assert_eq!(carried("eth2", &pooled, &none), ["192.0.2.200 pooled true"]);
        // A status repeats the annotation's addresses, and proves no allocation.
        let reported = json!({"name": "db/pooled", "interface": "net1",
            "ips": ["192.0.2.200", "192.0.2.5"]});
        assert_eq!(
            carried("eth2", &pooled, &reported),
            ["192.0.2.200 pooled true", "192.0.2.5 pooled false"]
        );
    }
}
