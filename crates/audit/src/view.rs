//! The view of a snapshot that the checks share: pods by name, addresses on interfaces, entries and
//! reservations by address.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    net::IpAddr,
};

use nadmit_allocation::Timestamp;
use nadmit_cni::{HardwareAddress, Mac, Network, ipam::Ipam, status::AttachmentStatus};
use nadmit_whereabouts::{PoolSpace, SpaceAddress, WhereaboutsNetwork};

use super::{
    IpPool, ObjectRef, OverlappingReservation, PodName, PodRecord, PodState, PoolEntry, RecordKind,
    Snapshot, segment::Segment,
};

/// An interface of a live pod, as its network-status reports it, on a network that the pod requests.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attachment<'s> {
    pub pod: &'s PodRecord,
    pub network: &'s Network,
    pub status: &'s AttachmentStatus,
    pub mac: Option<Mac>,
    /// The network's place in the list of Whereabouts networks, if it is one.
    pub whereabouts: Option<usize>,
}

/// An entry of an `IPPool`, with its pool.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry<'s> {
    /// The index of the pool.
    pub at: usize,
    /// The address space of the pool.
    pub space: &'s str,
    pub pool: &'s IpPool,
    pub entry: &'s PoolEntry,
}

/// A snapshot with its relations.
pub(crate) struct View<'s> {
    pub snapshot: &'s Snapshot,
    pub whereabouts: Vec<WhereaboutsNetwork<'s>>,
    pub attachments: Vec<Attachment<'s>>,
    /// The address space of each `IPPool`.
    pub spaces: Vec<PoolSpace<'s>>,
    /// The entries of all pools, by address.
    pub entries: BTreeMap<SpaceAddress<'s>, Vec<Entry<'s>>>,
    /// The reservations, each with the addresses that its name can mean.
    pub reservations: Vec<(&'s OverlappingReservation, Vec<SpaceAddress<'s>>)>,
    reserved: HashSet<SpaceAddress<'s>>,
    networks: HashMap<(&'s str, &'s str), &'s Network>,
    pods: HashMap<&'s PodName, &'s PodRecord>,
    /// The entries that name a pod.
    by_pod: HashMap<&'s PodName, Vec<Entry<'s>>>,
    namespaces: HashSet<&'s str>,
    /// The indices of the attachments of a pod.
    attached: HashMap<&'s PodName, Vec<usize>>,
    /// The live pods that have an address of Whereabouts on an interface, with the index of the
    /// attachment.
    carriers: HashMap<SpaceAddress<'s>, Vec<usize>>,
}

impl<'s> View<'s> {
    /// Relates the records of a snapshot.
    pub(crate) fn of(snapshot: &'s Snapshot) -> Self {
        let networks = snapshot.networks.iter();
        let whereabouts: Vec<_> = networks.filter_map(WhereaboutsNetwork::of).collect();
        let pools = snapshot.ip_pools.iter();
        let spaces: Vec<_> = pools
            .map(|pool| nadmit_whereabouts::pool_space(pool, &whereabouts))
            .collect();
        let pods = snapshot.pods.iter();
        let mut view = Self {
            snapshot,
            attachments: Vec::new(),
            entries: BTreeMap::new(),
            reservations: Vec::new(),
            reserved: HashSet::new(),
            networks: snapshot
                .networks
                .iter()
                .map(|one| ((&*one.namespace, &*one.name), one))
                .collect(),
            pods: pods.clone().map(|pod| (&pod.name, pod)).collect(),
            namespaces: pods.map(|pod| &*pod.name.namespace).collect(),
            by_pod: HashMap::new(),
            attached: HashMap::new(),
            carriers: HashMap::new(),
            whereabouts,
            spaces,
        };
        view.index_entries();
        view.index_attachments();
        view.index_reservations();
        view
    }

    fn index_entries(&mut self) {
        let pools = self.snapshot.ip_pools.iter().zip(&self.spaces).enumerate();
        for (at, (pool, found)) in pools {
            for entry in &pool.entries {
                let one = Entry {
                    at,
                    space: found.space,
                    pool,
                    entry,
                };
                self.entries.entry(one.address()).or_default().push(one);
                if let Some(pod) = &entry.pod {
                    self.by_pod.entry(pod).or_default().push(one);
                }
            }
        }
    }

    fn index_attachments(&mut self) {
        let served: HashMap<(&str, &str), usize> = self
            .whereabouts
            .iter()
            .enumerate()
            .map(|(at, one)| ((&*one.network.namespace, &*one.network.name), at))
            .collect();
        let live = self.snapshot.pods.iter().filter(|pod| !pod.ended);
        for pod in live {
            for status in pod.status.iter().flatten() {
                let (namespace, name) = network_name(&pod.name, status);
                // Anyone who can create a pod can write its status: a network that it does not
                // request is not attached.
                let is_requested = pod
                    .requested
                    .iter()
                    .any(|one| (&*one.namespace, &*one.name) == (namespace, name));
                let network = self.networks.get(&(namespace, name)).copied();
                let Some(network) = network.filter(|_| is_requested) else {
                    continue;
                };
                let mac = status.mac.as_deref().map(HardwareAddress::parse);
                let whereabouts = served.get(&(namespace, name)).copied();
                let space = whereabouts.and_then(|at| self.whereabouts.get(at));
                if let Some(space) = space.map(|one| one.space) {
                    for address in status.ips.iter().copied() {
                        let address = SpaceAddress { space, address };
                        let known = self.carriers.entry(address).or_default();
                        known.push(self.attachments.len());
                    }
                }
                let of_pod = self.attached.entry(&pod.name).or_default();
                of_pod.push(self.attachments.len());
                self.attachments.push(Attachment {
                    pod,
                    network,
                    status,
                    mac: mac.and_then(|mac| mac.ok()?.ethernet()),
                    whereabouts,
                });
            }
        }
    }

    fn index_reservations(&mut self) {
        let networks = self.whereabouts.iter().map(|one| one.space);
        let pools = self.spaces.iter().map(|one| one.space);
        let mut known: Vec<&str> = networks.chain(pools).collect();
        known.sort_unstable();
        known.dedup();
        let reservations = self.snapshot.reservations.iter();
        self.reservations = reservations
            .map(|one| {
                (
                    one,
                    nadmit_whereabouts::reservation_addresses(&one.name, &known),
                )
            })
            .collect();
        let meanings = self
            .reservations
            .iter()
            .flat_map(|(_, addresses)| addresses);
        self.reserved = meanings.copied().collect();
    }

    /// Returns the network with this name.
    pub(crate) fn network(&self, namespace: &str, name: &str) -> Option<&'s Network> {
        self.networks.get(&(namespace, name)).copied()
    }

    /// Returns the primary network of OVN-Kubernetes for the pods of a namespace.
    pub(crate) fn primary_network(&self, namespace: &str) -> Option<&'s Network> {
        let mut networks = self.snapshot.networks.iter();
        networks.find(|network| {
            let main = network.config.loaded().and_then(|config| config.main());
            *network.namespace == *namespace
                && main.is_some_and(|main| main.ovn.as_ref().is_some_and(|ovn| ovn.primary))
        })
    }

    /// Returns the state of a pod.
    pub(crate) fn pod(&self, name: &PodName) -> PodState<'s> {
        match self.pods.get(name) {
            Some(pod) if pod.ended => PodState::Ended(pod),
            Some(pod) => PodState::Live(pod),
            None if self.snapshot.is_complete(RecordKind::Pod) => PodState::Absent,
            // Files with a pod of the namespace are expected to have all of them.
            None if matches!(self.snapshot.coverage, super::Coverage::Files)
                && self.namespaces.contains(&*name.namespace) =>
            {
                PodState::Absent
            }
            None => PodState::Unknown,
        }
    }

    /// Returns the Whereabouts network of an attachment.
    pub(crate) fn whereabouts_of(&self, one: &Attachment<'s>) -> Option<&WhereaboutsNetwork<'s>> {
        self.whereabouts.get(one.whereabouts?)
    }

    /// Returns the interfaces that carry an address of Whereabouts.
    pub(crate) fn carriers<'a>(
        &'a self,
        at: SpaceAddress<'a>,
    ) -> impl Iterator<Item = &'a Attachment<'s>> {
        let found = self.carriers.get(&at).into_iter().flatten();
        found.filter_map(|at| self.attachments.get(*at))
    }

    /// Returns the interfaces of a live pod.
    pub(crate) fn attachments_of<'a>(
        &'a self,
        pod: &PodName,
    ) -> impl Iterator<Item = &'a Attachment<'s>> {
        let found = self.attached.get(pod).into_iter().flatten();
        found.filter_map(|at| self.attachments.get(*at))
    }

    /// Returns the entries of an address.
    pub(crate) fn entries<'a>(&'a self, at: SpaceAddress<'a>) -> &'a [Entry<'s>] {
        self.entries.get(&at).map_or(&[], Vec::as_slice)
    }

    /// Returns the entries of a pod.
    pub(crate) fn entries_of(&self, pod: &PodName) -> impl Iterator<Item = Entry<'s>> {
        let found = self.by_pod.get(pod).into_iter().flatten();
        found.copied()
    }

    /// Returns true if Whereabouts can assign an address on a network, or on another one of its address
    /// space and segment.
    pub(crate) fn can_assign(&self, on: &WhereaboutsNetwork<'_>, address: IpAddr) -> bool {
        let segment = Segment::of(on.network);
        let mut others = self.whereabouts.iter();
        on.assigns(address)
            || others.any(|one| {
                one.space == on.space && one.assigns(address) && Segment::of(one.network) == segment
            })
    }

    /// Returns false if an interface has its addresses from elsewhere than an address space of
    /// Whereabouts: its network is known, and Whereabouts does not serve it, or for another space.
    pub(crate) fn may_be_of(&self, space: &str, pod: &PodName, status: &AttachmentStatus) -> bool {
        let (namespace, name) = network_name(pod, status);
        let config = self.network(namespace, name);
        match config.and_then(|network| network.config.loaded()) {
            None => true,
            Some(config) => match config.ipam() {
                // The file may have a network_name, too.
                Some(Ipam::Whereabouts(ipam)) => {
                    ipam.has_file || ipam.network_name.as_deref().unwrap_or_default() == space
                }
                _ => false,
            },
        }
    }

    /// Returns true if an entry names the pod for this address.
    pub(crate) fn is_recorded(&self, at: SpaceAddress<'_>, pod: &PodName) -> bool {
        let mut entries = self.entries(at).iter();
        entries.any(|one| one.entry.pod.as_ref() == Some(pod))
    }

    /// Returns true if a reservation can mean the address.
    pub(crate) fn is_reserved(&self, at: SpaceAddress<'_>) -> bool {
        self.reserved.contains(&at)
    }

    /// Returns the pool that records an address of a network; of several, one of the network itself.
    pub(crate) fn pool_for(&self, network: usize, address: IpAddr) -> Option<&'s IpPool> {
        let space = self.whereabouts.get(network)?.space;
        let pools = self.snapshot.ip_pools.iter().zip(&self.spaces);
        let around = pools
            .filter(|(pool, found)| found.space == space && pool.range.range().contains(address));
        let best = around.max_by_key(|(_, found)| found.networks.contains(&network));
        best.map(|(pool, _)| pool)
    }
}

impl<'s> Entry<'s> {
    /// Returns the address in its address space.
    pub(crate) fn address(&self) -> SpaceAddress<'s> {
        SpaceAddress {
            space: self.space,
            address: self.entry.address,
        }
    }
}

impl Attachment<'_> {
    /// Returns true if the pod may get a record of an address that is on the interface: it stays, and its
    /// own records are complete.
    pub(crate) fn is_lasting(&self, now: Timestamp) -> bool {
        !self.pod.terminating && self.pod.is_settled(now)
    }

    /// Returns the name of the interface.
    pub(crate) fn interface(&self) -> &str {
        self.status.interface.as_deref().unwrap_or_default()
    }

    /// Returns the addresses in words, for evidence.
    pub(crate) fn in_words(&self) -> String {
        interface_in_words(self.status)
    }
}

/// Returns namespace and name of the network that an interface is on.
pub(crate) fn network_name<'a>(
    pod: &'a PodName,
    status: &'a AttachmentStatus,
) -> (&'a str, &'a str) {
    let name = status.name.split_once('/');
    name.unwrap_or((&pod.namespace, &status.name))
}

/// Returns an entry in words, for evidence.
pub(crate) fn entry_in_words(entry: &PoolEntry) -> String {
    let PoolEntry {
        key,
        address,
        interface,
        ..
    } = entry;
    let pod = entry.pod_ref();
    let interface = match &**interface {
        "" => String::new(),
        name => format!(", {name}"),
    };
    format!("spec.allocations[{key}] is {address} of pod {pod}{interface}")
}

/// Returns the addresses of an interface in words, for evidence.
pub(crate) fn interface_in_words(status: &AttachmentStatus) -> String {
    let ips: Vec<String> = status.ips.iter().map(ToString::to_string).collect();
    let ips = match ips.as_slice() {
        [] => "no address".to_owned(),
        ips => ips.join(" and "),
    };
    let interface = status.interface.as_deref().unwrap_or_default();
    format!("network-status: {interface} on {} has {ips}", status.name)
}

/// Returns the MAC of an interface in words, for evidence.
pub(crate) fn interface_and_mac(one: &Attachment<'_>, mac: Mac) -> String {
    let (interface, network) = (one.interface(), &one.status.name);
    format!("network-status: {interface} on {network} has MAC {mac}")
}

/// Returns the reference to a network.
pub(crate) fn network_object(network: &Network) -> ObjectRef {
    ObjectRef::new(RecordKind::Network, &network.namespace, &network.name)
}
