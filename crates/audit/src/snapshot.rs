//! The records that are compared, as typed values.

use std::{
    collections::{BTreeSet, HashMap},
    net::IpAddr,
    sync::Arc,
};

use nadmit_allocation::{Allocation, Holder, Pool, Timestamp};
use nadmit_cni::{Mac, Network, status::AttachmentStatus};
use nadmit_whereabouts::{IpPool, NodeSlicePool, OverlappingReservation, PodName};

use super::{HasObject as _, ObjectRef, RecordKind};

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
    /// True if it uses the network of its node, so that Multus attaches no network to it.
    pub host_network: bool,
    /// The time of its creation, if that could be read.
    pub created: Option<Timestamp>,
    /// The holder of its addresses; a VM's launcher pods have one holder.
    pub holder: Holder,
    /// The networks of its annotations.
    pub requested: Vec<RequestedNetwork>,
    /// The elements of the network-status that can be read, if there is one.
    pub status: Option<Vec<AttachmentStatus>>,
    /// The addresses that OVN-Kubernetes has assigned, by network.
    pub ovn: Vec<OvnAssignment>,
    /// The `IPAMClaim` of the primary network of OVN-Kubernetes, in the annotation of its own.
    pub primary_claim: Option<Box<str>>,
    /// True if the network-status has elements that cannot be read: an absent address may be there.
    pub status_is_partial: bool,
}

/// Addresses that OVN-Kubernetes has assigned to a pod on a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OvnAssignment {
    /// The network: `namespace/name`, with an index behind it if the pod requests it again.
    pub key: Box<str>,
    /// True if it is the primary network of the pod, and not the cluster's.
    pub is_primary: bool,
    /// The addresses, in order.
    pub ips: Vec<IpAddr>,
}

/// A network that a pod requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestedNetwork {
    pub namespace: Box<str>,
    pub name: Box<str>,
    pub interface: Box<str>,
    /// True if it takes the place of the cluster's default network.
    pub is_default: bool,
    /// The addresses of `ips`.
    pub ips: Vec<IpAddr>,
    pub mac: Option<Mac>,
    /// The `mac` of `cni-args`, which tuning prefers.
    pub args_mac: Option<Mac>,
    /// The name of the `IPAMClaim`.
    pub claim: Option<Box<str>>,
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
    /// `spec.network`: the name in the configuration of the network.
    pub network: Option<Box<str>>,
    /// The `VirtualMachine` that owns it.
    pub machine: Option<Box<str>>,
    pub finalizers: Vec<Box<str>>,
    /// True if it is being deleted; a finalizer keeps it.
    pub terminating: bool,
    /// The addresses of `status.ips`, in order.
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
        !self.pending && !self.is_new(now)
    }

    /// Returns true if it was created so recently that its records may be incomplete.
    pub fn is_new(&self, now: Timestamp) -> bool {
        let age = self
            .created
            .map_or(i64::MAX, |created| now.0.saturating_sub(created.0));
        age < SETTLING_SECONDS
    }

    /// Returns its network-status, if that shows which addresses are absent, too.
    pub fn whole_status(&self, now: Timestamp) -> Option<&[AttachmentStatus]> {
        if self.host_network {
            return Some(&[]);
        }
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
