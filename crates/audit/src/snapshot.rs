//! The records that are compared, as typed values.

use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
};

use nadmit_allocation::{Allocation, Holder, Pool, Timestamp};
use nadmit_cni::{Mac, Network, Subnet, status::AttachmentStatus};

use super::{ObjectRef, RecordKind};

/// The time for which a new pod's records may be incomplete, in seconds.
const SETTLING_SECONDS: i64 = 120;

/// The records of a cluster, or of a set of files.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// The time of reading.
    pub now: Timestamp,
    pub coverage: Coverage,
    pub pods: Vec<PodRecord>,
    pub networks: Vec<Network>,
    pub ip_pools: Vec<IpPool>,
    pub reservations: Vec<OverlappingReservation>,
    pub slice_pools: Vec<NodeSlicePool>,
    /// The names of the nodes.
    pub nodes: BTreeSet<Box<str>>,
    pub address_pools: Vec<AddressPoolRecord>,
    pub allocations: Vec<AllocationRecord>,
    pub claims: Vec<ClaimRecord>,
    pub machines: Vec<MachineRecord>,
    /// The objects, or parts of objects, that cannot be read.
    pub unreadable: Vec<UnreadableRecord>,
    /// The objects read, by kind, readable or not.
    pub counts: HashMap<RecordKind, usize>,
}

/// The part of a cluster that a snapshot has.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Coverage {
    /// Some files: an absent object may exist.
    #[default]
    Files,
    /// Everything, except for the kinds that could not be listed.
    Cluster {
        /// The kinds that could not be listed.
        unread: BTreeSet<RecordKind>,
    },
}

/// The namespace and name of a pod, as `podref` has it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PodName {
    pub namespace: Box<str>,
    pub name: Box<str>,
}

/// The state of a pod as far as a snapshot shows it.
#[derive(Debug, Clone, Copy)]
pub enum PodState<'s> {
    /// It runs, or is going to.
    Live(&'s PodRecord),
    /// The phase is Succeeded or Failed.
    Ended(&'s PodRecord),
    /// It does not exist.
    Absent,
    /// Pods of its namespace were not read.
    Unknown,
}

/// A pod: what it requests, and what it reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodRecord {
    pub name: PodName,
    pub uid: Option<Box<str>>,
    pub node: Option<Box<str>>,
    /// True if its phase is Succeeded or Failed.
    pub ended: bool,
    /// True if its phase is Pending.
    pub pending: bool,
    /// True if it is being deleted.
    pub terminating: bool,
    /// The time of its creation, if that could be read.
    pub created: Option<Timestamp>,
    /// The holder of its addresses; a VM's launcher pods have one holder.
    pub holder: Holder,
    /// The networks of its annotations.
    pub requested: Vec<RequestedNetwork>,
    /// The elements of the network-status that can be read, if there is one.
    pub status: Option<Vec<AttachmentStatus>>,
    /// True if the network-status has elements that cannot be read: an absent address may be there.
    pub status_is_partial: bool,
}

/// A network that a pod requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestedNetwork {
    pub namespace: Box<str>,
    pub name: Box<str>,
    pub interface: Box<str>,
    /// The addresses of `ips`.
    pub ips: Vec<IpAddr>,
    pub mac: Option<Mac>,
    /// The name of the `IPAMClaim`.
    pub claim: Option<Box<str>>,
}

/// An `IPPool` of Whereabouts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IpPool {
    pub namespace: Box<str>,
    pub name: Box<str>,
    /// `metadata.resourceVersion`
    pub version: Option<Box<str>>,
    /// `spec.range`, with its host bits: offsets count from its address.
    pub range: Subnet,
    /// `spec.range`, as written.
    pub range_text: Box<str>,
    /// The entries, by offset.
    pub entries: Vec<PoolEntry>,
}

/// An entry of an `IPPool`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolEntry {
    pub offset: u128,
    /// The offset as written, which is the key in paths.
    pub key: Box<str>,
    pub address: IpAddr,
    /// The pod; `None` for an entry that only keeps the address from others.
    pub pod: Option<PodName>,
    /// The interface; empty in records of Whereabouts before 0.8.
    pub interface: Box<str>,
    pub container_id: Box<str>,
}

/// An `OverlappingRangeIPReservation` of Whereabouts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OverlappingReservation {
    pub namespace: Box<str>,
    pub name: Box<str>,
    /// The pod; `None` for one that only keeps the address from others.
    pub pod: Option<PodName>,
    pub interface: Box<str>,
    /// True if it is being deleted; a finalizer keeps it.
    pub terminating: bool,
}

/// A `NodeSlicePool` of Whereabouts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeSlicePool {
    pub namespace: Box<str>,
    pub name: Box<str>,
    pub slices: Vec<NodeSlice>,
}

/// A slice of a `NodeSlicePool`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeSlice {
    /// The node; empty for a free slice.
    pub node: Box<str>,
    pub range: Box<str>,
}

/// An `AddressPool` of nadmit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressPoolRecord {
    pub pool: Pool,
    /// The texts of `exclude`, by range.
    pub exclusions: Vec<Vec<String>>,
}

/// An `AddressAllocation` of nadmit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllocationRecord {
    /// The name of the object.
    pub name: Box<str>,
    pub allocation: Allocation,
}

/// An `IPAMClaim`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimRecord {
    pub namespace: Box<str>,
    pub name: Box<str>,
    /// The addresses of `status.ips`.
    pub ips: Vec<IpAddr>,
}

/// A `VirtualMachine` of KubeVirt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MachineRecord {
    pub namespace: Box<str>,
    pub name: Box<str>,
    /// True if it runs, or is configured to.
    pub running: bool,
    pub interfaces: Vec<MachineInterface>,
}

/// An interface of a virtual machine with a MAC of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MachineInterface {
    /// The index in `spec.template.spec.domain.devices.interfaces`.
    pub index: usize,
    /// The namespace in `multus.networkName`; that of the machine by default.
    pub network_namespace: Box<str>,
    /// The name in `multus.networkName`.
    pub network: Box<str>,
    pub mac: Mac,
    /// The MAC as written.
    pub mac_text: Box<str>,
}

/// An object, or a part of one, that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnreadableRecord {
    /// The object; `None` for a text that is not an object.
    pub object: Option<ObjectRef>,
    /// The place of a text that is not an object: a file and a line.
    pub place: String,
    /// The reason, with the field.
    pub reason: String,
    /// The action, if it is not to edit the object; empty otherwise.
    pub help: &'static str,
}

impl Snapshot {
    /// Returns true if all objects of a kind were read. Of files that is assumed of no kind without an
    /// object.
    pub fn reads(&self, kind: RecordKind) -> bool {
        match &self.coverage {
            Coverage::Cluster { unread } => !unread.contains(&kind),
            Coverage::Files => self.count(kind) > 0,
        }
    }

    /// Returns true if an object that is absent does not exist.
    pub fn is_complete(&self, kind: RecordKind) -> bool {
        matches!(self.coverage, Coverage::Cluster { .. }) && self.reads(kind)
    }

    /// Returns the number of objects read of a kind.
    pub fn count(&self, kind: RecordKind) -> usize {
        self.counts.get(&kind).copied().unwrap_or_default()
    }
}

impl PodRecord {
    /// Returns the reference to the pod.
    pub fn object(&self) -> ObjectRef {
        self.name.object()
    }

    /// Returns true if its records are complete: it is not Pending, and not new.
    pub fn is_settled(&self, now: Timestamp) -> bool {
        let age = self
            .created
            .map_or(i64::MAX, |created| now.0.saturating_sub(created.0));
        !self.pending && age >= SETTLING_SECONDS
    }

    /// Returns its network-status, if that shows which addresses are absent, too.
    pub fn whole_status(&self, now: Timestamp) -> Option<&[AttachmentStatus]> {
        let is_whole = self.is_settled(now) && !self.status_is_partial;
        self.status.as_deref().filter(|_| is_whole)
    }

    /// Returns the network that it requests for an interface.
    pub fn request_of(&self, interface: &str) -> Option<&RequestedNetwork> {
        let mut requested = self.requested.iter();
        requested.find(|one| &*one.interface == interface)
    }

    /// Returns the name of the VM whose launcher it is.
    pub fn machine(&self) -> Option<&Arc<str>> {
        match &self.holder {
            Holder::VirtualMachine { name, .. } => Some(name),
            _ => None,
        }
    }
}

impl PodName {
    /// Parses `podref`: `namespace/name`.
    pub fn parse(text: &str) -> Option<Self> {
        let (namespace, name) = text.split_once('/')?;
        (!namespace.is_empty() && !name.is_empty()).then(|| Self {
            namespace: namespace.into(),
            name: name.into(),
        })
    }

    /// Returns the reference to the pod.
    pub fn object(&self) -> ObjectRef {
        ObjectRef::new(RecordKind::Pod, &self.namespace, &self.name)
    }
}

impl fmt::Display for PodName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl IpPool {
    /// Returns the reference to the pool.
    pub fn object(&self) -> ObjectRef {
        ObjectRef::new(RecordKind::IpPool, &self.namespace, &self.name)
    }

    /// Returns the address at an offset; `None` behind the last address of the family.
    pub fn address(&self, offset: u128) -> Option<IpAddr> {
        Some(match self.range.address {
            IpAddr::V4(base) => {
                let offset = u32::try_from(offset).ok()?;
                Ipv4Addr::from_bits(base.to_bits().checked_add(offset)?).into()
            }
            IpAddr::V6(base) => Ipv6Addr::from_bits(base.to_bits().checked_add(offset)?).into(),
        })
    }

    /// Returns the offset of an address of its range; `None` for others, and for those before the
    /// address as written.
    pub fn offset(&self, address: IpAddr) -> Option<u128> {
        if !self.range.range().contains(address) {
            return None;
        }
        match (self.range.address, address) {
            (IpAddr::V4(base), IpAddr::V4(address)) => address
                .to_bits()
                .checked_sub(base.to_bits())
                .map(u128::from),
            (IpAddr::V6(base), IpAddr::V6(address)) => {
                address.to_bits().checked_sub(base.to_bits())
            }
            _ => None,
        }
    }
}

impl PoolEntry {
    /// Returns `podref`.
    pub fn pod_ref(&self) -> String {
        self.pod
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default()
    }

    /// Returns the entry in words, for evidence.
    pub(crate) fn in_words(&self) -> String {
        let Self {
            key,
            address,
            interface,
            ..
        } = self;
        let pod = self.pod_ref();
        let interface = match &**interface {
            "" => String::new(),
            name => format!(", {name}"),
        };
        format!("spec.allocations[{key}] is {address} of pod {pod}{interface}")
    }
}

impl OverlappingReservation {
    /// Returns the reference to the reservation.
    pub fn object(&self) -> ObjectRef {
        let kind = RecordKind::OverlappingReservation;
        ObjectRef::new(kind, &self.namespace, &self.name)
    }
}
