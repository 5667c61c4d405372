//! The writes into Whereabouts's records by which the unmodified plugin gives the addresses that nadmit
//! assigned: the difference between the records as they are and as they have to be.
//!
//! ```text
//! Binding     entry {mark, pod, ifname}, then a reservation with the finalizer
//! ADD         the plugin finds the entry of its pod, and writes its container's id
//! after ADD   the id gets the mark: the DEL of no sandbox removes the entry
//! deletion    the pod reference is emptied: neither Whereabouts's reconciler nor its control loop removes it
//! release     the entry is removed, then the reservation
//! leaving     the container's id is put back; holds are removed; the finalizer is removed
//! ```
//! Records that nadmit does not keep belong to the plugin, and to the pod that it gave the address. They are
//! never changed, but removed if they were left behind ([`DesiredUse::Leaked`]).

use std::net::IpAddr;

use nadmit_cni::Subnet;
use serde_json::{Value, json};

use super::{IpPool, PodName, ip_pool_name, reservation_name};

/// An `IPPool` by its name, with the range that it is created with.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct IpPoolRef {
    pub namespace: Box<str>,
    pub name: Box<str>,
    /// `spec.range` of a new pool.
    pub range: Box<str>,
}

/// An address in Whereabouts's records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServedAddress {
    /// The namespace of the records.
    pub namespace: Box<str>,
    /// The pool with its entry; `None` for a reservation without one, and while no node has the slice with
    /// the address.
    pub pool: Option<IpPoolRef>,
    pub address: IpAddr,
    /// The address space of the record that the entry is for. Several may have their entries in one pool.
    pub space: Box<str>,
    /// The name of the reservation; `None` if the network has `enable_overlapping_ranges: false`.
    pub reservation: Option<Box<str>>,
}

/// The use of an address as nadmit's own records have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DesiredUse {
    /// The pod is about to be bound: its ADD has not run.
    Binding { pod: PodName, interface: Box<str> },
    /// The pod is bound, and its ADD may have run.
    Bound { pod: PodName, interface: Box<str> },
    /// No pod uses the address, and no other holder may get it.
    Held {
        /// The last pod, whose entry the plugin may still keep.
        last: Option<PodName>,
    },
    /// nadmit does not keep the address any more.
    Released {
        /// The pod of the entry that this was decided for; an entry of another pod stays.
        seen: Option<PodName>,
        /// The pod that keeps the address, and whose DEL frees it; `None` if no pod uses it.
        to: Option<PodInterface>,
    },
    /// The plugin left its records behind: their pod does not use the address any more.
    Leaked {
        pod: PodName,
        /// The id in the entry. An entry with another one was adopted since.
        container: Box<str>,
    },
}

/// An interface by which a pod uses an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodInterface {
    pub pod: PodName,
    pub interface: Box<str>,
}

impl DesiredUse {
    /// Returns true if the address is left to a pod that uses it.
    pub fn is_left_to_pod(&self) -> bool {
        matches!(self, Self::Released { to: Some(_), .. })
    }
}

/// An address with its use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DesiredEntry {
    pub at: ServedAddress,
    pub desired: DesiredUse,
}

/// An address that another pod has, by the plugin or by the record of another address space.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    pub address: IpAddr,
    /// The pod; `None` if Whereabouts's record names none.
    pub pod: Option<PodName>,
    /// The address space for whose record nadmit keeps the entry; `None` if the plugin keeps it.
    pub space: Option<Box<str>>,
}

impl IpPoolRef {
    /// Returns the pool of a subnet in an address space (`network_name`), as the plugin names it.
    pub fn new(namespace: &str, network_name: &str, subnet: Subnet) -> Self {
        Self {
            namespace: namespace.into(),
            name: ip_pool_name(network_name, None, subnet).into(),
            range: subnet.to_string().into(),
        }
    }

    /// Returns the pool of a node's slice in an address space, as the plugin names it.
    pub fn of_slice(namespace: &str, network_name: &str, node: &str, slice: Subnet) -> Self {
        Self {
            namespace: namespace.into(),
            name: ip_pool_name(network_name, Some(node), slice).into(),
            range: slice.to_string().into(),
        }
    }

    /// Returns the object that the plugin creates for the pool.
    pub fn to_object(&self) -> Value {
        json!({
            "apiVersion": "whereabouts.cni.cncf.io/v1alpha1",
            "kind": "IPPool",
            "metadata": {"name": self.name, "namespace": self.namespace},
            "spec": {"range": self.range, "allocations": {}},
        })
    }
}

impl IpPool {
    /// Returns the reference to the pool.
    pub fn reference(&self) -> IpPoolRef {
        IpPoolRef {
            namespace: self.namespace.clone(),
            name: self.name.clone(),
            range: self.range_text.clone(),
        }
    }
}

impl ServedAddress {
    /// Returns the address of a pool. `network_name` names the reservation; `None` for networks without
    /// reservations.
    pub fn new(
        namespace: &str,
        pool: Option<IpPoolRef>,
        address: IpAddr,
        space: &str,
        network_name: Option<&str>,
    ) -> Self {
        Self {
            namespace: namespace.into(),
            pool,
            address,
            space: space.into(),
            reservation: network_name.map(|name| reservation_name(name, address).into()),
        }
    }
}

/// Returns the test of a JSON patch that makes it apply to this version alone.
pub(super) fn version_test(version: Option<&str>) -> Vec<Value> {
    let version = version.into_iter();
    version
        .map(|version| json!({"op": "test", "path": "/metadata/resourceVersion", "value": version}))
        .collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(crate) const RAW: &str = "c0ffee";

    pub(crate) fn pod(name: &str) -> PodName {
        PodName {
            namespace: "db".into(),
            name: name.into(),
        }
    }

    pub(crate) fn binding(name: &str) -> DesiredUse {
        DesiredUse::Binding {
            pod: pod(name),
            interface: "net1".into(),
        }
    }

    pub(crate) fn bound(name: &str) -> DesiredUse {
        DesiredUse::Bound {
            pod: pod(name),
            interface: "net1".into(),
        }
    }

    pub(crate) fn held(last: Option<&str>) -> DesiredUse {
        DesiredUse::Held {
            last: last.map(pod),
        }
    }

    pub(crate) fn released(seen: Option<&str>, to: Option<&str>) -> DesiredUse {
        DesiredUse::Released {
            seen: seen.map(pod),
            to: to.map(|name| PodInterface {
                pod: pod(name),
                interface: "net1".into(),
            }),
        }
    }

    #[test]
    fn addresses_are_named_as_the_plugin_names_them() {
        let subnet = |text: &str| Subnet::parse(text).unwrap_or_else(|e| panic!("{e}"));
        let pool = IpPoolRef::new("kube-system", "neta", subnet("198.51.100.32/24"));
        assert_eq!(
            (&*pool.name, &*pool.range),
            ("neta-198.51.100.0-24", "198.51.100.0/24")
        );
        let pool = IpPoolRef::of_slice("kube-system", "neta", "n7", subnet("10.8.3.0/24"));
        assert_eq!(
            (&*pool.name, &*pool.range),
            ("neta-n7-10.8.3.0-24", "10.8.3.0/24")
        );
        let pool = IpPoolRef::of_slice("kube-system", "", "n7", subnet("10.8.3.0/24"));
        assert_eq!(&*pool.name, "n7-10.8.3.0-24");
        let pool = IpPoolRef::new("kube-system", "", subnet("fd00:1::/64"));
        assert_eq!((&*pool.name, &*pool.range), ("fd00-1---64", "fd00:1::/64"));
        let address = "fd00:1::77".parse().unwrap_or_else(|e| panic!("{e}"));
        let served = ServedAddress::new("kube-system", Some(pool), address, "neta", Some("neta"));
        assert_eq!(served.reservation.as_deref(), Some("neta-fd00-1--77"));
    }
}
