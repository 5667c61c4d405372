//! Reservations: addresses set aside in advance for named holders.

use std::{fmt, net::IpAddr, sync::Arc};

use super::{
    Address, Holder, NetworkRef, PodRef, Pool,
    spec::{ReservationHolderSpec, ReservationSpec},
    spec_error::SpecError,
};
use nadmit_cni::{
    address::AddressRequest,
    mac::{HardwareAddress, Mac},
    name,
};

/// A valid reservation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reservation {
    /// The namespace of the reservation and of its holder.
    pub namespace: Arc<str>,
    /// The name of the reservation.
    pub name: Arc<str>,
    /// The network on which the addresses are reserved.
    pub network: NetworkRef,
    /// The holder that the addresses are reserved for.
    pub holder: DesignatedHolder,
    /// The interface; `None` for any.
    pub interface: Option<Arc<str>>,
    /// The reserved IP addresses.
    pub ips: Box<[IpAddr]>,
    /// The reserved MAC.
    pub mac: Option<Mac>,
}

/// The holder of a reservation, in the reservation's namespace.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum DesignatedHolder {
    /// A pod, by name.
    Pod(Arc<str>),
    /// A replica of a `StatefulSet`, by the set's name and the ordinal.
    Replica(Arc<str>, u32),
    /// A KubeVirt virtual machine, by name.
    VirtualMachine(Arc<str>),
}

impl Reservation {
    /// Validates the spec of a reservation.
    ///
    /// # Errors
    /// Returns all problems, each with its path below `spec`.
    pub fn new(
        namespace: &str,
        name: &str,
        spec: &ReservationSpec,
    ) -> Result<Self, Vec<SpecError>> {
        let mut errors = Vec::new();
        let network = network(namespace, &spec.network, &mut errors);
        let holder = DesignatedHolder::new(&spec.holder, &mut errors);
        let mut ips: Vec<IpAddr> = Vec::new();
        for (index, text) in spec.ips.iter().enumerate() {
            let mut report = |reason| errors.push(SpecError::new(format!("ips[{index}]"), reason));
            match AddressRequest::parse(text) {
                Ok(ip) if ips.contains(&ip.address) => {
                    report(format!("{text} is listed twice; write each address once"));
                }
                Ok(ip) => ips.push(ip.address),
                Err(error) => report(format!(
                    "{text:?} {error}; write an address such as 192.0.2.205/24"
                )),
            }
        }
        let mac = spec.mac.as_deref().filter(|text| !text.is_empty());
        let mac = mac.and_then(|text| match HardwareAddress::parse(text) {
            Ok(HardwareAddress::Ethernet(mac)) if !mac.is_multicast() && !mac.is_zero() => {
                Some(mac)
            }
            _ => {
                let reason = format!(
                    "{text:?} is not a valid MAC of an interface; write a MAC such as \
                     \"02:5e:00:00:00:01\""
                );
                errors.push(SpecError::new("mac", reason));
                None
            }
        });
        if spec.ips.is_empty() && spec.mac.is_none() {
            let reason = "nothing is reserved; write ips, mac, or both".to_owned();
            errors.push(SpecError::new("ips", reason));
        }
        match (network, holder) {
            (Some(network), Some(holder)) if errors.is_empty() => Ok(Self {
                namespace: namespace.into(),
                name: name.into(),
                network,
                holder,
                interface: spec
                    .interface
                    .as_deref()
                    .filter(|i| !i.is_empty())
                    .map(Arc::from),
                ips: ips.into(),
                mac,
            }),
            _ => Err(errors),
        }
    }

    /// Returns true if the reservation is for this holder, or for its pod, on this interface of this
    /// network.
    pub fn is_for(
        &self,
        holder: &Holder,
        pod: Option<&PodRef>,
        network: &NetworkRef,
        interface: &str,
    ) -> bool {
        self.network == *network
            && self.namespace == *holder.namespace()
            && self
                .interface
                .as_deref()
                .is_none_or(|expected| expected == interface)
            && self.holder.is(holder, pod)
    }

    /// Returns the addresses that the reservation sets aside in a pool: those that the pool can
    /// allocate, and the MAC unless it is derived from one of the reserved addresses.
    pub fn reserved_addresses(&self, pool: &Pool) -> Vec<Address> {
        let allocatable = |ip: &&IpAddr| {
            let range = pool.range_of(**ip).and_then(|index| pool.ranges.get(index));
            range.is_some_and(|range| range.exclusion(**ip).is_none())
        };
        let ips = self.ips.iter().filter(allocatable);
        let mut addresses: Vec<Address> = ips.map(|ip| Address::Ip(*ip)).collect();
        let comes_along = |mac| self.ips.iter().any(|ip| pool.derived_mac(*ip) == Some(mac));
        let mac = self.mac.filter(|mac| !comes_along(*mac));
        addresses.extend(mac.map(Address::Mac));
        addresses
    }

    /// Returns the holder under which the addresses are recorded until the actual holder takes them.
    pub fn as_holder(&self) -> Holder {
        Holder::Reservation {
            namespace: Arc::clone(&self.namespace),
            name: Arc::clone(&self.name),
        }
    }

    /// Returns the namespace and name of the reservation.
    pub fn key(&self) -> NetworkRef {
        NetworkRef {
            namespace: Arc::clone(&self.namespace),
            name: Arc::clone(&self.name),
        }
    }
}

impl DesignatedHolder {
    fn new(spec: &ReservationHolderSpec, errors: &mut Vec<SpecError>) -> Option<Self> {
        let mut report = |path: &str, reason: &str| {
            errors.push(SpecError::new(path, reason.to_owned()));
            None
        };
        match (&spec.pod, &spec.stateful_set, &spec.virtual_machine) {
            (Some(pod), None, None) if spec.ordinal.is_none() => {
                Some(Self::Pod(pod.as_str().into()))
            }
            (None, Some(set), None) => match spec.ordinal.and_then(|n| u32::try_from(n).ok()) {
                Some(ordinal) => Some(Self::Replica(set.as_str().into(), ordinal)),
                None => report(
                    "holder.ordinal",
                    "is missing or out of range; write the number of a replica: 0, 1, ...",
                ),
            },
            (None, None, Some(vm)) if spec.ordinal.is_none() => {
                Some(Self::VirtualMachine(vm.as_str().into()))
            }
            _ => report(
                "holder",
                "needs exactly one of pod, statefulSet (with ordinal) and virtualMachine; write \
                 one of {pod: db-0}, {statefulSet: db, ordinal: 0}, {virtualMachine: vm}",
            ),
        }
    }

    /// Returns the designations that are for this holder. One for a pod name is also for the replica
    /// with that pod name, since the pod name is what administrators see.
    pub(super) fn of_holder(holder: &Holder, pod: Option<&PodRef>) -> Vec<Self> {
        let pod = pod.map(|pod| Self::Pod(Arc::clone(&pod.name)));
        match holder {
            Holder::Replica {
                stateful_set,
                ordinal,
                ..
            } => {
                let replica = Self::Replica(Arc::clone(stateful_set), *ordinal);
                pod.into_iter().chain([replica]).collect()
            }
            Holder::VirtualMachine { name, .. } => vec![Self::VirtualMachine(Arc::clone(name))],
            Holder::Pod { name, .. } => vec![Self::Pod(Arc::clone(name))],
            Holder::Unnamed { .. } => pod.into_iter().collect(),
            Holder::Reservation { .. } | Holder::Network { .. } => Vec::new(),
        }
    }

    /// Returns true if the reservation is for this holder.
    fn is(&self, holder: &Holder, pod: Option<&PodRef>) -> bool {
        Self::of_holder(holder, pod).contains(self)
    }
}

impl fmt::Display for DesignatedHolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pod(name) => write!(f, "pod {name}"),
            Self::Replica(set, ordinal) => write!(f, "replica {ordinal} of StatefulSet {set}"),
            Self::VirtualMachine(name) => write!(f, "virtual machine {name}"),
        }
    }
}

fn network(own: &str, text: &str, errors: &mut Vec<SpecError>) -> Option<NetworkRef> {
    let (namespace, name) = text.split_once('/').unwrap_or((own, text));
    if name::label(namespace).is_err() || name::subdomain(name).is_err() {
        let reason = format!(
            "{text:?} names no network; write the name of a NetworkAttachmentDefinition of this \
             namespace, or namespace/name"
        );
        errors.push(SpecError::new("network", reason));
        return None;
    }
    Some(NetworkRef {
        namespace: namespace.into(),
        name: name.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reservation(spec: &str) -> Result<Reservation, Vec<String>> {
        let spec: ReservationSpec = serde_json::from_str(spec).unwrap_or_else(|e| panic!("{e}"));
        Reservation::new("db", "db-0", &spec).map_err(|f| f.into_iter().map(|f| f.path).collect())
    }

    #[test]
    fn a_reservation_matches_its_pod() {
        let reservation = reservation(
            r#"{"network":"storage-net","holder":{"pod":"db-0"},"interface":"net1",
                "ips":["192.0.2.205/27"],"mac":"CA:FE:C0:FF:EE:00"}"#,
        )
        .unwrap_or_else(|e| panic!("{e:?}"));
        let pod = |name: &str| Holder::Pod {
            namespace: "db".into(),
            name: name.into(),
        };
        let network = |namespace: &str| NetworkRef {
            namespace: namespace.into(),
            name: "storage-net".into(),
        };
        assert!(reservation.is_for(&pod("db-0"), None, &network("db"), "net1"));
        assert!(!reservation.is_for(&pod("db-1"), None, &network("db"), "net1"));
        assert!(!reservation.is_for(&pod("db-0"), None, &network("web"), "net1"));
        assert!(!reservation.is_for(&pod("db-0"), None, &network("db"), "net2"));
        let replica = Holder::Replica {
            namespace: "db".into(),
            stateful_set: "db".into(),
            ordinal: 0,
        };
        let its_pod = PodRef {
            name: "db-0".into(),
            uid: None,
            node: None,
        };
        assert!(reservation.is_for(&replica, Some(&its_pod), &network("db"), "net1"));
    }

    #[test]
    fn invalid_reservations_are_reported_with_paths() {
        for (spec, paths) in [
            ("{}", vec!["network", "holder", "ips"]),
            (
                r#"{"network":"n","holder":{"pod":"a","virtualMachine":"b"},"mac":"x"}"#,
                vec!["holder", "mac"],
            ),
            (
                r#"{"network":"a/b/c","holder":{"statefulSet":"db"},"ips":["::1","::1","x"]}"#,
                vec!["network", "holder.ordinal", "ips[1]", "ips[2]"],
            ),
        ] {
            assert_eq!(reservation(spec).err().unwrap_or_default(), paths, "{spec}");
        }
    }
}
