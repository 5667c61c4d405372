//! Why something is not allocated.

use std::{net::IpAddr, sync::Arc};

use thiserror::Error;

use super::{Address, Holder, NetworkRef, ReservationHolder, Slice, range::ExclusionReason};
use crate::network::range::Subnet;

mod exhaustion;

pub use self::exhaustion::{Exhausted, OutsideSlice, SlicesFull};

/// Why an attachment gets no address. Nothing is taken then, not even for the pod's other
/// attachments.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AllocationError {
    /// No pool of this name, or none that makes sense.
    #[error("there is no usable address pool {0:?}")]
    UnknownPool(Arc<str>),
    /// The pool has not yet learnt which of its addresses are in use.
    #[error("address pool {0:?} is still learning which of its addresses are in use; try again")]
    NotReady(Arc<str>),
    /// The pool gives by node, and nothing here knows of nodes.
    #[error("address pool {0:?} is cut into slices of nodes, and this server knows no nodes")]
    SlicesUnsupported(Arc<str>),
    /// The pool gives by node, and the pod has none yet.
    #[error(
        "address pool {0:?} gives by node (nodeSliceSize), and it is not known yet to which node the \
         pod goes"
    )]
    NodeUnknown(Arc<str>),
    /// The pod's node has to own this slice first. Whoever asks records it and asks again.
    #[error(
        "node {:?} needs a further slice of address pool {:?}, and {} is not recorded for it yet; try \
         again", .0.node, .0.pool, .0.window
    )]
    NeedsSlice(Box<Slice>),
    /// The slices of the node have nothing left, and it may not draw from others.
    #[error("{0}")]
    SlicesFull(Box<SlicesFull>),
    /// The address is in none of the node's slices, and it may not draw from others.
    #[error("{0}")]
    OutsideSlice(Box<OutsideSlice>),
    /// Another request for the same address is being recorded.
    #[error("{0} is being recorded for another request; try again")]
    Busy(Address),
    /// Nothing is free.
    #[error(
        "address pool {:?} has no free {} left: all {} are taken{}", .0.pool, .0.what(), .0.capacity,
        .0.largest()
    )]
    Exhausted(Box<Exhausted>),
    /// The address lies in none of the pool's ranges.
    #[error("{address} lies in no range of address pool {pool:?} ({})", list(.ranges))]
    OutsidePool {
        /// The address.
        address: IpAddr,
        /// The pool.
        pool: Arc<str>,
        /// Its ranges.
        ranges: Vec<Subnet>,
    },
    /// The pool never gives this address.
    #[error("address pool {pool:?} never gives {address}: {}", never(*.reason))]
    Excluded {
        /// The address.
        address: IpAddr,
        /// The pool.
        pool: Arc<str>,
        /// Why.
        reason: ExclusionReason,
    },
    /// It is set aside for somebody else.
    #[error("{address} is reserved for {holder} (reservation {}/{})", .reservation.namespace, .reservation.name)]
    Reserved {
        /// The address.
        address: Address,
        /// For whom.
        holder: ReservationHolder,
        /// By which reservation.
        reservation: NetworkRef,
    },
    /// Somebody else has it.
    #[error("{address} is in use by {holder}")]
    InUse {
        /// The address.
        address: Address,
        /// By whom.
        holder: Box<Holder>,
    },
    /// Another pod of the same virtual machine has what that holds, and this one is not the target of a
    /// migration.
    #[error(
        "{machine} is in pod {pod:?}, and this pod is not the target of a migration in progress: two \
         pods share what a machine holds only during one"
    )]
    SecondLauncher {
        /// The machine.
        machine: Box<Holder>,
        /// The name of the pod that it is in.
        pod: Box<str>,
    },
    /// The MAC follows from an address of a pool, so it comes with that address only.
    #[error("{mac} follows from an address of pool {pool:?}: it comes with that address only")]
    DerivedMac {
        /// The MAC.
        mac: Address,
        /// The pool.
        pool: Arc<str>,
    },
    /// The namespace has as many as it may.
    #[error(
        "namespace {namespace:?} holds {held} addresses of pool {pool:?}, as many as it may \
         (maxPerNamespace: {most}){}", kept(.retained)
    )]
    NamespaceLimit {
        /// The namespace.
        namespace: Arc<str>,
        /// The pool.
        pool: Arc<str>,
        /// How many it has.
        held: u64,
        /// How many it may have.
        most: u64,
        /// The first of those that are kept for workloads without a pod, where that is known.
        retained: Vec<Address>,
    },
    /// The holder has another address there than it asks for.
    #[error("{holder} holds {has} there, not {asks}")]
    HoldsAnother {
        /// Who.
        holder: Box<Holder>,
        /// What it has.
        has: Address,
        /// What it asks for.
        asks: Address,
    },
    /// Nobody recorded the address for whom uses it.
    #[error("nothing records that {address} of address pool {pool:?} is this pod's")]
    NotAllocated {
        /// The address.
        address: Address,
        /// The pool.
        pool: Arc<str>,
    },
    /// The pod brings an address of one range and none of another: a pool gives one of each, or none.
    #[error(
        "the attachment has no address of {range}, but address pool {pool:?} gives one of each range"
    )]
    NotInjected {
        /// The pool.
        pool: Arc<str>,
        /// The range.
        range: Subnet,
    },
    /// With what the pod is given its annotations would be longer than an object's may be.
    #[error(
        "with what is given the pod's annotations would have {bytes} bytes, and the API server takes \
         at most {most}"
    )]
    AnnotationsTooLong {
        /// How many bytes they would have.
        bytes: usize,
        /// How many they may have.
        most: usize,
    },
    /// A mistake of nadmit's own.
    #[error("this is a mistake in nadmit, please report it: {0}")]
    Internal(&'static str),
}

impl AllocationError {
    /// Whether the same question is answered otherwise as soon as another request is through.
    pub fn is_busy(&self) -> bool {
        matches!(self, Self::Busy(_))
    }

    /// Whether it may be otherwise when a pod that is created now is bound to its node.
    pub fn may_clear_before_binding(&self) -> bool {
        matches!(
            self,
            Self::Exhausted(_)
                | Self::SlicesFull(_)
                | Self::NotReady(_)
                | Self::NodeUnknown(_)
                | Self::NeedsSlice(_)
                | Self::Busy(_)
        )
    }

    /// Whether nothing was left to give.
    pub fn is_exhaustion(&self) -> bool {
        matches!(self, Self::Exhausted(_) | Self::SlicesFull(_))
    }

    /// Whether it rests on what others hold, which a cache may not know of yet, or no more.
    pub fn depends_on_other_holders(&self) -> bool {
        matches!(
            self,
            Self::Exhausted(_)
                | Self::SlicesFull(_)
                | Self::OutsideSlice(_)
                | Self::InUse { .. }
                | Self::NamespaceLimit { .. }
                | Self::HoldsAnother { .. }
                // Another replica may have recorded it a moment ago.
                | Self::NotAllocated { .. }
        )
    }

    /// The slice that has to be recorded before the same question is answered.
    pub fn slice(&self) -> Option<&Slice> {
        match self {
            Self::NeedsSlice(slice) => Some(slice),
            _ => None,
        }
    }

    /// The address that it speaks of, where it speaks of one.
    pub fn address(&self) -> Option<Address> {
        match self {
            Self::OutsidePool { address, .. } | Self::Excluded { address, .. } => {
                Some(Address::Ip(*address))
            }
            Self::OutsideSlice(outside) => Some(Address::Ip(outside.address)),
            Self::Busy(address)
            | Self::Reserved { address, .. }
            | Self::InUse { address, .. }
            | Self::DerivedMac { mac: address, .. }
            | Self::NotAllocated { address, .. }
            | Self::HoldsAnother { asks: address, .. } => Some(*address),
            Self::UnknownPool(_)
            | Self::NotReady(_)
            | Self::SlicesUnsupported(_)
            | Self::NodeUnknown(_)
            | Self::NeedsSlice(_)
            | Self::SlicesFull(_)
            | Self::Exhausted(_)
            | Self::SecondLauncher { .. }
            | Self::NamespaceLimit { .. }
            | Self::NotInjected { .. }
            | Self::AnnotationsTooLong { .. }
            | Self::Internal(_) => None,
        }
    }

    /// The stable code, for people to look up.
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnknownPool(_)
            | Self::NotReady(_)
            | Self::SlicesUnsupported(_)
            | Self::NodeUnknown(_)
            | Self::NeedsSlice(_)
            | Self::Busy(_)
            | Self::Internal(_) => "pool-not-ready",
            Self::Exhausted(_) | Self::SlicesFull(_) => "pool-exhausted",
            Self::OutsidePool { .. } => "address-outside-pool",
            Self::Excluded { .. } => "address-excluded",
            Self::Reserved { .. } | Self::OutsideSlice(_) => "address-reserved",
            Self::InUse {
                address: Address::Mac(_),
                ..
            }
            | Self::DerivedMac { .. } => "mac-in-use",
            Self::InUse { .. } | Self::SecondLauncher { .. } => "address-in-use",
            Self::NamespaceLimit { .. } => "namespace-limit",
            Self::HoldsAnother { .. } => "holds-another-address",
            Self::NotAllocated { .. } => "address-not-allocated",
            Self::NotInjected { .. } => "address-not-injected",
            Self::AnnotationsTooLong { .. } => "annotations-too-long",
        }
    }

    /// What to write or to do instead.
    pub fn help(&self) -> String {
        match self {
            Self::UnknownPool(pool) => format!("create the AddressPool {pool:?}, or mend it"),
            Self::NotReady(_) | Self::Busy(_) | Self::NeedsSlice(_) => {
                "nothing: it is tried again".to_owned()
            }
            Self::SlicesUnsupported(pool) => {
                format!("take nodeSliceSize from address pool {pool:?}")
            }
            Self::NodeUnknown(_) => {
                "let nadmit inject when the pod is bound (injection: bind), or write spec.nodeName"
                    .to_owned()
            }
            Self::SlicesFull(full) => full.help(),
            Self::OutsideSlice(outside) => outside.help(),
            Self::Exhausted(all) => format!(
                "widen address pool {:?}, or release addresses (nadmit pools {} --map shows who \
                 holds them)",
                all.pool, all.pool
            ),
            Self::OutsidePool { .. } | Self::Excluded { .. } | Self::Reserved { .. } => {
                "ask for another address, or leave \"ips\" out to be given one".to_owned()
            }
            Self::InUse { address, .. } => format!(
                "ask for another one, or leave it out to be given one (nadmit whois {address} \
                 tells more)"
            ),
            Self::SecondLauncher { pod, .. } => format!(
                "wait until pod {pod:?} has ended, or have the machine migrated (kind \
                 VirtualMachineInstanceMigration)"
            ),
            Self::DerivedMac { .. } => "leave \"mac\" out to be given one".to_owned(),
            Self::NamespaceLimit { retained, .. } => match retained.first() {
                None => "delete pods there, or have the limit raised".to_owned(),
                Some(first) => format!(
                    "release what is kept and not needed any more (nadmit release {first}), delete pods \
                     there, or have the limit raised"
                ),
            },
            Self::HoldsAnother { has, .. } => {
                format!("ask for {has}, or release it first: nadmit release {has}")
            }
            Self::NotAllocated { .. } | Self::NotInjected { .. } => {
                "see that the API server calls nadmit's mutating webhook (POST /mutate) for this \
                 namespace, and create the pod again"
                    .to_owned()
            }
            Self::AnnotationsTooLong { .. } => {
                "ask for fewer networks, or shorten the pod's other annotations".to_owned()
            }
            Self::Internal(_) => "report it with the review that caused it".to_owned(),
        }
    }
}

fn list(ranges: &[Subnet]) -> String {
    let ranges: Vec<String> = ranges.iter().map(ToString::to_string).collect();
    ranges.join(", ")
}

/// What is said of addresses that are kept without a pod.
fn kept(retained: &[Address]) -> String {
    let retained: Vec<String> = retained.iter().map(ToString::to_string).collect();
    match &*retained {
        [] => String::new(),
        all => format!("; kept for workloads without a pod: {}", all.join(", ")),
    }
}

fn never(reason: ExclusionReason) -> &'static str {
    match reason {
        ExclusionReason::Outside => "it lies outside of the range",
        ExclusionReason::OutOfBounds => "it lies outside of rangeStart and rangeEnd",
        ExclusionReason::Edge => "it is the first or the last address of the range",
        ExclusionReason::Excluded(_) => "it is excluded",
        ExclusionReason::Gateway => "it is the gateway",
    }
}
