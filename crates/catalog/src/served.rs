//! Networks of Whereabouts that nadmit serves: where their addresses are in Whereabouts's records.

use std::{net::IpAddr, sync::Arc};

use super::{Catalog, ObservedPool, WhereaboutsMode, derived_pools::whereabouts_space};
use nadmit_allocation::{NetworkRef, Space};
use nadmit_cni::{IpRange, Network, assignable::RangeWindow, ipam::WhereaboutsIpam};
use nadmit_whereabouts::{IpPoolRef, ServedAddress};

/// Whereabouts's namespace on OpenShift, which also has `kube-system`.
const OPENSHIFT: &str = "openshift-multus";

impl Catalog {
    /// Returns the namespace of Whereabouts's records: that of the `IPPool`s, else the first of
    /// `candidates` that exists.
    pub fn whereabouts_namespace<'n>(
        &'n self,
        candidates: impl IntoIterator<Item = &'n str>,
    ) -> Option<&'n str> {
        let pool = self.whereabouts().pools().next();
        if let Some(pool) = pool {
            return Some(&pool.pool.namespace);
        }
        let exists = |name: &&str| self.namespace(name).is_some_and(|found| found.declared);
        let mut known: Vec<&str> = candidates.into_iter().filter(exists).collect();
        known.sort_unstable_by_key(|name| (*name != OPENSHIFT, *name));
        known.first().copied()
    }

    /// Returns the place of an address in Whereabouts's records, if the network has the address in a range,
    /// and is served, or its inline pool shares the address with the plugin. `namespace` is that of the
    /// records.
    pub fn served_address(
        &self,
        network: &NetworkRef,
        address: IpAddr,
        namespace: &str,
    ) -> Option<ServedAddress> {
        let network = self.network(&network.namespace, &network.name)?;
        let shared = || self.shared_ipam(network, address);
        let ipam = network.served_ipam().or_else(shared)?;
        let subnets = ipam.ranges.iter().filter_map(RangeWindow::of);
        let mut subnets = subnets.map(|range| range.subnet);
        let subnet = subnets.find(|subnet| subnet.range().contains(address))?;
        let network_name = ipam.network_name.as_deref().unwrap_or_default();
        let pool = match ipam.node_slice_size {
            None => Some(IpPoolRef::new(namespace, network_name, subnet)),
            Some(_) => self.pool_of_slice(network, network_name, address, namespace),
        };
        let space = whereabouts_space(ipam)?;
        let reservation = ipam.overlapping_ranges.then_some(network_name);
        Some(ServedAddress::new(
            namespace,
            pool,
            address,
            space.network_name(),
            reservation,
        ))
    }

    /// Returns the definition of an inline pool, if Whereabouts's plugin assigns the address on another
    /// network: then Whereabouts's records keep the plugin from it.
    fn shared_ipam<'n>(
        &self,
        network: &'n Network,
        address: IpAddr,
    ) -> Option<&'n WhereaboutsIpam> {
        let ipam = network.inline_ipam()?;
        let serves = self.pool_derivation().whereabouts == WhereaboutsMode::Serve;
        // Of nadmit's own slices no IPPool is made.
        if !serves || ipam.node_slice_size.is_some() {
            return None;
        }
        let assigns = self.whereabouts_assigns(&whereabouts_space(ipam)?, IpRange::single(address));
        assigns.then_some(ipam)
    }

    /// Returns true if a network of Whereabouts assigns an address of a range in an address space.
    pub fn whereabouts_assigns(&self, space: &Space, range: IpRange) -> bool {
        self.networks_assigning(range).any(|(network, _)| {
            let ipam = network.whereabouts_ipam();
            ipam.and_then(whereabouts_space).as_ref() == Some(space)
        })
    }

    /// Returns the `IPPool` of the slice that contains an address of a network with node slices: that of the
    /// node that has the slice. The node or its slice may be gone: then an existing `IPPool` of the network
    /// with the address.
    fn pool_of_slice(
        &self,
        network: &Network,
        network_name: &str,
        address: IpAddr,
        namespace: &str,
    ) -> Option<IpPoolRef> {
        let pool = network.pool().and_then(|name| self.pool(name).valid());
        let slices = pool.and_then(|pool| pool.node_slices.as_ref());
        let owner = slices.and_then(|slices| {
            let node = slices.owner(address)?;
            let slice = slices.of_node(node)?;
            Some(IpPoolRef::of_slice(namespace, network_name, node, slice))
        });
        owner.or_else(|| {
            let records = self.whereabouts();
            let with_entry = records.entries_at(address).map(|entry| entry.pool);
            let mut found = with_entry.chain(records.pools()).filter(|observed| {
                *observed.pool.namespace == *namespace && observed.is_of(network, address)
            });
            found.next().map(|observed| observed.pool.reference())
        })
    }

    /// Returns true if the network is one of Whereabouts that nadmit serves.
    pub fn is_served(&self, network: &NetworkRef) -> bool {
        let network = self.network(&network.namespace, &network.name);
        network.is_some_and(|network| network.served_ipam().is_some())
    }
}

impl ObservedPool<'_> {
    /// Returns true if the pool is of a network, and its range contains an address.
    fn is_of(self, network: &Network, address: IpAddr) -> bool {
        let mut networks = self.usage.networks.iter();
        let is_same =
            |one: &Arc<Network>| (&one.namespace, &one.name) == (&network.namespace, &network.name);
        self.pool.range.range().contains(address) && networks.any(is_same)
    }
}

#[cfg(test)]
mod tests {
    use nadmit_whereabouts::{IpPool, NodeSlicePool};
    use serde_json::json;

    use super::*;
    use crate::{InlinePools, NamespaceLabels, PoolDerivation, WhereaboutsMode};

    const HOME: &str = "kube-system";

    /// Returns a catalog with the served network `db/net`, which is divided into slices.
    fn catalog(more: &str) -> Catalog {
        let labels = NamespaceLabels {
            injection: true,
            ..NamespaceLabels::default()
        };
        let config = format!(
            r#"{{"type":"macvlan","ipam":{{"type":"whereabouts","range":"10.8.0.0/16",
                "node_slice_size":"/24"{more}}}}}"#
        );
        let network = Arc::new(Network::new("db", "net", Some(&config)));
        let derivation = PoolDerivation {
            inline: InlinePools::Disabled,
            whereabouts: WhereaboutsMode::Serve,
        };
        let catalog = Catalog::new([("db".into(), labels)], [network], []);
        catalog.deriving_pools(derivation)
    }

    fn set_slices(catalog: &mut Catalog, name: &str, slices: &[(&str, &str)]) {
        let slices = slices.iter();
        let slices = slices.map(|(node, range)| json!({"nodeName": node, "sliceRange": range}));
        let slices: Vec<_> = slices.collect();
        let object = json!({"status": {"allocations": slices}});
        let pool = NodeSlicePool::read(HOME, name, &object);
        catalog.set_node_slice_pool((HOME, name), Some(Arc::new(pool)));
    }

    fn set_ip_pool(catalog: &mut Catalog, name: &str, range: &str, entries: serde_json::Value) {
        let object = json!({"spec": {"range": range, "allocations": entries}});
        let read = IpPool::read(HOME, name, &object);
        let (pool, _) = read.unwrap_or_else(|e| panic!("{e}"));
        catalog.set_ip_pool((HOME, name), Some(Arc::new(pool)));
    }

    /// Returns the names of the `IPPool` and the reservation of 10.8.3.5.
    fn place(catalog: &Catalog) -> (Option<String>, Option<String>) {
        let network = NetworkRef {
            namespace: "db".into(),
            name: "net".into(),
        };
        let found = catalog.served_address(&network, [10, 8, 3, 5].into(), HOME);
        let found = found.unwrap_or_else(|| panic!("the network is not served"));
        let pool = found
            .pool
            .map(|pool| format!("{} {}", pool.name, pool.range));
        (pool, found.reservation.map(String::from))
    }

    #[test]
    fn the_pool_of_an_address_has_the_node_of_its_slice() {
        let table = [
            ("", "net", "n7-10.8.3.0-24 10.8.3.0/24", Some("10.8.3.5")),
            (
                r#","network_name":"neta""#,
                "neta",
                "neta-n7-10.8.3.0-24 10.8.3.0/24",
                Some("neta-10.8.3.5"),
            ),
            (
                r#","enable_overlapping_ranges":false"#,
                "net",
                "n7-10.8.3.0-24 10.8.3.0/24",
                None,
            ),
        ];
        for (more, slice_pool, pool, reservation) in table {
            let mut catalog = catalog(more);
            let reservation = reservation.map(str::to_owned);
            assert_eq!(place(&catalog), (None, reservation.clone()), "{more}");
            let slices = [("n6", "10.8.2.0/24"), ("n7", "10.8.3.0/24")];
            set_slices(&mut catalog, slice_pool, &slices);
            let found = (Some(pool.to_owned()), reservation);
            assert_eq!(place(&catalog), found, "{more}");
        }
    }

    #[test]
    fn an_existing_pool_has_the_address_of_a_slice_that_is_gone() {
        let mut catalog = catalog("");
        let entry = json!({"5": {"podref": "", "ifname": "", "id": "nadmit:"}});
        set_ip_pool(&mut catalog, "n1-10.8.3.0-24", "10.8.3.0/24", json!({}));
        let pool = |catalog: &Catalog| place(catalog).0.unwrap_or_default();
        assert_eq!(pool(&catalog), "n1-10.8.3.0-24 10.8.3.0/24");
        // The one with the entry comes first, and neither another range nor another space counts.
        set_ip_pool(&mut catalog, "n2-10.8.3.0-24", "10.8.3.0/24", entry.clone());
        set_ip_pool(&mut catalog, "a0-10.8.4.0-24", "10.8.4.0/24", json!({}));
        set_ip_pool(&mut catalog, "10.8.3.0-25", "10.8.3.0/25", entry);
        assert_eq!(pool(&catalog), "n2-10.8.3.0-24 10.8.3.0/24");
        set_slices(&mut catalog, "net", &[("", "10.8.3.0/24")]);
        assert_eq!(pool(&catalog), "n2-10.8.3.0-24 10.8.3.0/24");
        set_slices(&mut catalog, "net", &[("n9", "10.8.3.0/24")]);
        assert_eq!(pool(&catalog), "n9-10.8.3.0-24 10.8.3.0/24");
    }

    #[test]
    fn entries_of_slices_are_in_the_whereabouts_space_their_network() {
        let networks = [
            ("", "n7-10.8.3.0-24", "", "db"),
            (
                r#","network_name":"neta""#,
                "neta-n7-10.8.3.0-24",
                "neta",
                "n7",
            ),
            (
                r#","enable_overlapping_ranges":false"#,
                "n7-10.8.3.0-24",
                "10.8.0.0-16",
                "10.9.0.0-16",
            ),
            (
                r#","network_name":"neta","enable_overlapping_ranges":false"#,
                "neta-n7-10.8.3.0-24",
                "neta-10.8.0.0-16",
                "netb-10.8.0.0-16",
            ),
        ];
        for (more, name, own, other) in networks {
            let mut catalog = catalog(more);
            set_ip_pool(&mut catalog, name, "10.8.3.0/24", json!({}));
            // Also when the network is deleted.
            for _ in 0..2 {
                let observed = catalog.whereabouts().pool(HOME, name);
                let in_space = |space: &str| {
                    observed.is_some_and(|observed| observed.is_in_space(&Space::new(space)))
                };
                assert!(in_space(own) && !in_space(other), "{more}");
                catalog.remove_network("db", "net");
            }
        }
    }
}
