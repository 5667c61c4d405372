//! The use of an address by a live pod, as a record shows it, and the scopes in which it has to be unique.

use std::net::IpAddr;

use nadmit_allocation::Holder;
use nadmit_cni::{Network, status::AttachmentStatus};

use crate::{
    AllocationRecord, HasObject as _, ObjectRef, OverlappingReservation, PodRecord, RecordKind,
    RequestedNetwork,
    segment::{self, Segment},
    view::{Entry, entry_in_words, interface_in_words, network_object},
};

/// A record that gives an address to a pod.
#[derive(Debug, Clone, Copy)]
pub(super) enum Basis<'s> {
    /// The interface that has the address.
    Carried(&'s AttachmentStatus),
    Allocation(&'s AllocationRecord),
    Entry {
        entry: Entry<'s>,
        /// True if a reservation names the pod, too.
        reserved: bool,
    },
    /// `ips` of the pod's annotation.
    Requested(&'s RequestedNetwork),
    /// An address in the configuration of a network that the pod requests.
    Configured(&'s Network),
    /// A reservation whose address has entries of other pods only.
    Reservation(&'s OverlappingReservation),
}

/// A use of an address by a live pod.
#[derive(Debug, Clone)]
pub(super) struct Use<'s> {
    pub pod: &'s PodRecord,
    pub basis: Basis<'s>,
    /// The network on which the pod uses it; `None` if it is not known.
    pub network: Option<&'s Network>,
    /// The address space in which the record makes the address unique.
    pub space: Option<&'s str>,
    /// False if the record may be stale, or the plugin may ignore it.
    pub is_firm: bool,
}

/// A scope in which an address has to be unique.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Scope<'s> {
    /// An address space.
    Space(&'s str),
    /// A segment whose interfaces see each other on any node.
    Linked(Segment<'s>),
    /// A segment on which one allocator serves all nodes.
    Wide(Segment<'s>),
    /// A segment on one node.
    Node(Segment<'s>, &'s str),
}

impl<'s> Use<'s> {
    /// Returns the scopes in which the address has to be unique.
    pub(super) fn scopes(&self) -> Vec<Scope<'s>> {
        let mut scopes: Vec<Scope<'s>> = self.space.map(Scope::Space).into_iter().collect();
        let segment = match (self.network, &self.basis) {
            (Some(network), _) => Segment::of(network),
            // A network that is not known has one name all the same.
            (None, Basis::Requested(request)) => {
                Segment::Network(&request.namespace, &request.name)
            }
            _ => return scopes,
        };
        if let Some(node) = self.pod.node.as_deref() {
            scopes.push(Scope::Node(segment.clone(), node));
        }
        if self.network.is_none_or(segment::is_cluster_wide) {
            scopes.push(Scope::Wide(segment.clone()));
        }
        if !self.network.is_some_and(segment::is_in_node) {
            scopes.push(Scope::Linked(segment));
        }
        scopes
    }

    /// Returns the holder of the address.
    pub(super) fn holder(&self) -> &'s Holder {
        &self.pod.holder
    }

    /// Returns the claim to the address relative to other uses; the lowest is the strongest.
    pub(super) fn rank(&self) -> u8 {
        match &self.basis {
            Basis::Carried(_) => 0,
            Basis::Allocation(_) => 1,
            Basis::Entry { reserved: true, .. } => 2,
            Basis::Entry { .. } => 3,
            Basis::Requested(_) | Basis::Configured(_) => 4,
            Basis::Reservation(_) => 5,
        }
    }

    /// Returns the object that shows the use, and the value in it.
    pub(super) fn evidence(&self, address: IpAddr) -> (ObjectRef, String) {
        match &self.basis {
            Basis::Carried(status) => (self.pod.object(), interface_in_words(status)),
            Basis::Allocation(record) => {
                let object = ObjectRef::new(RecordKind::Allocation, "", &record.name);
                let (pool, name) = (&record.allocation.pool, &self.pod.name);
                (object, format!("{address} of pool {pool} is of pod {name}"))
            }
            Basis::Entry { entry, .. } => (entry.pool.object(), entry_in_words(entry.entry)),
            Basis::Requested(request) => {
                let (namespace, name) = (&request.namespace, &request.name);
                let value = format!("the annotation requests {address} on {namespace}/{name}");
                (self.pod.object(), value)
            }
            Basis::Configured(network) => {
                let name = &self.pod.name;
                let value = format!("its configuration gives {address} to pod {name}");
                (network_object(network), value)
            }
            Basis::Reservation(one) => {
                let value = format!("spec.podref names pod {}", self.pod.name);
                (one.object(), value)
            }
        }
    }
}
