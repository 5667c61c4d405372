//! Errors of allocation, with stable codes and remedies.

use std::{net::IpAddr, sync::Arc};

use thiserror::Error;

use super::{Address, DesignatedHolder, Holder, NetworkRef, Slice, range::ExclusionReason};
use nadmit_cni::range::Subnet;

mod exhaustion;

pub use self::exhaustion::{Exhausted, OutsideSlice, SlicesFull};

/// The reason why an attachment gets no address. Then nothing is allocated, not even for the other
/// attachments of the pod.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AllocationError {
    /// The pool does not exist or is invalid.
    #[error("there is no usable address pool {0:?}")]
    UnknownPool(Arc<str>),
    /// Addresses of the pool that are already in use are not all recorded yet.
    #[error("address pool {0:?} is still learning which of its addresses are in use; try again")]
    NotReady(Arc<str>),
    /// The pool is sliced by node, and this server does not support slices.
    #[error("address pool {0:?} is cut into slices of nodes, and this server knows no nodes")]
    SlicesUnsupported(Arc<str>),
    /// The pool is sliced by node, and the node of the pod is not known yet.
    #[error(
        "address pool {0:?} gives by node (nodeSliceSize), and it is not known yet to which node the \
         pod goes"
    )]
    NodeUnknown(Arc<str>),
    /// The node of the pod has to claim this slice first. The caller records the slice and plans again.
    #[error(
        "node {:?} needs a further slice of address pool {:?}, and {} is not recorded for it yet; try \
         again", .0.node, .0.pool, .0.window
    )]
    NeedsSlice(Box<Slice>),
    /// The node's slices are exhausted, and the pool is strict.
    #[error("{0}")]
    SlicesFull(Box<SlicesFull>),
    /// The address is in none of the node's slices, and the pool is strict.
    #[error("{0}")]
    OutsideSlice(Box<OutsideSlice>),
    /// A write of another request for the same address is pending.
    #[error("{0} is being recorded for another request; try again")]
    Busy(Address),
    #[error(
        "address pool {:?} has no free {} left: all {} are taken{}", .0.pool, .0.resource(), .0.capacity,
        .0.largest()
    )]
    Exhausted(Box<Exhausted>),
    /// The address lies in no range of the pool.
    #[error("{address} lies in no range of address pool {pool:?} ({})", list(.ranges))]
    OutsidePool {
        /// The requested address.
        address: IpAddr,
        /// The name of the pool.
        pool: Arc<str>,
        /// The ranges of the pool.
        ranges: Vec<Subnet>,
    },
    /// The pool never allocates this address.
    #[error("address pool {pool:?} never gives {address}: {}", exclusion_text(*.reason))]
    Excluded {
        /// The requested address.
        address: IpAddr,
        /// The name of the pool.
        pool: Arc<str>,
        reason: ExclusionReason,
    },
    /// The address is reserved for another holder.
    #[error("{address} is reserved for {holder} (reservation {}/{})", .reservation.namespace, .reservation.name)]
    Reserved {
        /// The requested address.
        address: Address,
        /// The holder that it is reserved for.
        holder: DesignatedHolder,
        reservation: NetworkRef,
    },
    /// The address is held by another holder.
    #[error("{address} is in use by {holder}")]
    InUse {
        /// The requested address.
        address: Address,
        /// The current holder.
        holder: Box<Holder>,
    },
    /// Another pod of the same virtual machine uses its addresses, and this pod is not the target of a
    /// migration.
    #[error(
        "{machine} is in pod {pod:?}, and this pod is not the target of a migration in progress: two \
         pods share what a machine holds only during one"
    )]
    SecondLauncher {
        /// The virtual machine.
        machine: Box<Holder>,
        /// The name of the pod in which it runs.
        pod: Box<str>,
    },
    /// The MAC is derived from an address of a pool and available only with that address.
    #[error("{mac} follows from an address of pool {pool:?}: it comes with that address only")]
    DerivedMac {
        mac: Address,
        /// The name of the pool.
        pool: Arc<str>,
    },
    /// The namespace has reached its limit.
    #[error(
        "namespace {namespace:?} holds {held} addresses of pool {pool:?}, as many as it may \
         (maxPerNamespace: {limit}){}", retained_text(.retained)
    )]
    NamespaceLimit {
        /// The namespace of the holder.
        namespace: Arc<str>,
        /// The name of the pool.
        pool: Arc<str>,
        /// The number of addresses that the namespace holds.
        held: u64,
        /// The limit of the pool.
        limit: u64,
        /// The first addresses retained for workloads without a pod, as far as known.
        retained: Vec<Address>,
    },
    /// The holder already has another address there than the one it requests.
    #[error("{holder} holds {held} there, not {requested}")]
    HoldsAnother {
        holder: Box<Holder>,
        /// The address that it holds.
        held: Address,
        /// The address that it requests.
        requested: Address,
    },
    /// The address is not recorded for the pod that uses it.
    #[error("nothing records that {address} of address pool {pool:?} is this pod's")]
    NotAllocated {
        /// The requested address.
        address: Address,
        /// The name of the pool.
        pool: Arc<str>,
    },
    /// The pod has an address of one range but none of another; a pool gives one of each range.
    #[error(
        "the attachment has no address of {range}, but address pool {pool:?} gives one of each range"
    )]
    NotInjected {
        /// The name of the pool.
        pool: Arc<str>,
        /// The range without an address.
        range: Subnet,
    },
    /// With the assigned addresses, the pod's annotations would exceed the API server's limit.
    #[error(
        "with what is given the pod's annotations would have {bytes} bytes, and the API server takes \
         at most {limit}"
    )]
    AnnotationsTooLong {
        /// The size in bytes that the annotations would have.
        bytes: usize,
        /// The maximum size in bytes.
        limit: usize,
    },
    /// A violated invariant: a bug in nadmit.
    #[error("this is a mistake in nadmit, please report it: {0}")]
    Internal(&'static str),
}

impl AllocationError {
    /// Returns true if the same request may succeed once another pending request completes.
    pub fn is_busy(&self) -> bool {
        matches!(self, Self::Busy(_))
    }

    /// Returns true if the condition may clear before a pod that is created now is bound to its node.
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

    /// Returns true if no address was left.
    pub fn is_exhaustion(&self) -> bool {
        matches!(self, Self::Exhausted(_) | Self::SlicesFull(_))
    }

    /// Returns true if the error depends on what others hold, for which the cache may be stale.
    pub fn depends_on_other_holders(&self) -> bool {
        matches!(
            self,
            Self::Exhausted(_)
                | Self::SlicesFull(_)
                | Self::OutsideSlice(_)
                | Self::InUse { .. }
                | Self::NamespaceLimit { .. }
                | Self::HoldsAnother { .. }
                // Another replica may have recorded it, and the watch has not delivered the record yet.
                | Self::NotAllocated { .. }
        )
    }

    /// Returns the slice that has to be recorded before planning again, if that is the reason.
    pub fn required_slice(&self) -> Option<&Slice> {
        match self {
            Self::NeedsSlice(slice) => Some(slice),
            _ => None,
        }
    }

    /// Returns the address that the error concerns, if there is one.
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
            | Self::HoldsAnother {
                requested: address, ..
            } => Some(*address),
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

    /// Returns the stable, documented code.
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

    /// Returns the remedy.
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
            Self::HoldsAnother { held, .. } => {
                format!("ask for {held}, or release it first: nadmit release {held}")
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

/// Formats the addresses that are retained without a pod.
fn retained_text(retained: &[Address]) -> String {
    let retained: Vec<String> = retained.iter().map(ToString::to_string).collect();
    match &*retained {
        [] => String::new(),
        all => format!("; kept for workloads without a pod: {}", all.join(", ")),
    }
}

fn exclusion_text(reason: ExclusionReason) -> &'static str {
    match reason {
        ExclusionReason::Outside => "it lies outside of the range",
        ExclusionReason::OutOfBounds => "it lies outside of rangeStart and rangeEnd",
        ExclusionReason::Edge => "it is the first or the last address of the range",
        ExclusionReason::Excluded(_) => "it is excluded",
        ExclusionReason::Gateway => "it is the gateway",
    }
}
