//! Errors of allocation, with stable codes and remedies.

use std::{net::IpAddr, sync::Arc};

use thiserror::Error;

use super::{
    Address, DesignatedHolder, ForeignPod, Holder, NetworkRef, Slice, range::ExclusionReason,
};
use nadmit_cni::range::Subnet;

mod exhaustion;

pub use self::exhaustion::{
    Exhausted, NoNodeSlice, OutsideSlice, SliceLimit, SlicesFull, WithoutSlice,
};

/// The reason why an attachment gets no address. Then nothing is allocated, not even for the other
/// attachments of the pod.
///
/// The text has no numbers that change while the problem stays, because controllers repeat it in events;
/// [`AllocationError::detail`] has these.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AllocationError {
    /// The pool does not exist or is invalid.
    #[error("pool {0:?} does not exist or is not valid")]
    UnknownPool(Arc<str>),
    /// Addresses of the pool that are already in use are not all recorded yet.
    #[error("pool {0:?} is not ready: nadmit still records which of its addresses are in use")]
    NotReady(Arc<str>),
    /// The pool is sliced by node, and this server does not support slices.
    #[error("pool {0:?} has slices (nodeSliceSize), and this server does not support slices")]
    SlicesUnsupported(Arc<str>),
    /// The pool is sliced by node, and the node of the pod is not known yet.
    #[error("pool {0:?} assigns by node (nodeSliceSize), and the pod has no node yet")]
    NodeUnknown(Arc<str>),
    /// The controller that divides the network has given no slice to the node, or none with the address.
    #[error("{0}")]
    NoNodeSlice(Box<NoNodeSlice>),
    /// The node of the pod has to claim this slice first. The caller records the slice and plans again.
    #[error(
        "node {:?} needs another slice of pool {:?}, and {} is not recorded for it yet",
        .0.node, .0.pool, .0.window
    )]
    NeedsSlice(Box<Slice>),
    /// The node's slices are exhausted, and the pool is strict.
    #[error("{0}")]
    SlicesFull(Box<SlicesFull>),
    /// The address is in none of the node's slices, and the pool is strict.
    #[error("{0}")]
    OutsideSlice(Box<OutsideSlice>),
    /// A write of another request for the same address is pending.
    #[error("nadmit is recording {0} for another request")]
    Busy(Address),
    /// No address of a range is free, or no MAC.
    #[error("{0}")]
    Exhausted(Box<Exhausted>),
    /// The address lies in no range of the pool.
    #[error("{address} is in no range of pool {pool:?}{}", list(.ranges))]
    OutsidePool {
        /// The requested address.
        address: IpAddr,
        /// The name of the pool.
        pool: Arc<str>,
        /// The ranges of the pool.
        ranges: Vec<Subnet>,
    },
    /// The pool never allocates this address.
    #[error("pool {pool:?} never assigns {address}: {}", exclusion_text(*.reason))]
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
    /// A record of Whereabouts gives the address to another pod.
    #[error("{address} is in use by {}, as a record of Whereabouts says", foreign_text(.pod.as_ref()))]
    InUseByWhereabouts {
        /// The requested address.
        address: Address,
        /// The pod; `None` if the record names none.
        pod: Option<ForeignPod>,
    },
    /// Another pod of the same virtual machine uses its addresses, and this pod is not the target of a
    /// migration.
    #[error(
        "{machine} runs in pod {pod:?}, and this pod is not the target of a migration in progress"
    )]
    SecondLauncher {
        /// The virtual machine.
        machine: Box<Holder>,
        /// The name of the pod in which it runs.
        pod: Box<str>,
    },
    /// The MAC is derived from an address of a pool and available only with that address.
    #[error("{mac} belongs to an address of pool {pool:?}, and is assigned only with that address")]
    DerivedMac {
        mac: Address,
        /// The name of the pool.
        pool: Arc<str>,
    },
    /// The holders of one namespace have as many addresses as `maxPerNamespace` allows.
    #[error(
        "namespace {namespace:?} has reached its limit of pool {pool:?} (maxPerNamespace: {limit})"
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
    #[error("{holder} holds {held} on this interface, not {requested}")]
    HoldsAnother {
        holder: Box<Holder>,
        /// The address that it holds.
        held: Address,
        /// The address that it requests.
        requested: Address,
    },
    /// The address is not recorded for the pod that uses it.
    #[error("{address} of pool {pool:?} is not recorded for this pod")]
    NotAllocated {
        /// The requested address.
        address: Address,
        /// The name of the pool.
        pool: Arc<str>,
    },
    /// The pod has an address of one range but none of another; a pool gives one of each range.
    #[error(
        "the network entry has no address of {range}, but pool {pool:?} assigns one of each range"
    )]
    NotInjected {
        /// The name of the pool.
        pool: Arc<str>,
        /// The range without an address.
        range: Subnet,
    },
    /// The API server would reject the pod, whose annotations are too long.
    #[error(
        "with the assigned addresses, the pod's annotations would exceed the API server's limit of \
         {limit} bytes"
    )]
    AnnotationsTooLong {
        /// The size in bytes that the annotations would have.
        bytes: usize,
        /// The maximum size in bytes.
        limit: usize,
    },
    /// A violated invariant: a bug in nadmit.
    #[error("nadmit has a bug: {0}")]
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
                | Self::NoNodeSlice(_)
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
            | Self::InUseByWhereabouts { address, .. }
            | Self::DerivedMac { mac: address, .. }
            | Self::NotAllocated { address, .. }
            | Self::HoldsAnother {
                requested: address, ..
            } => Some(*address),
            Self::NoNodeSlice(found) => match found.without {
                WithoutSlice::Address(address) => Some(Address::Ip(address)),
                WithoutSlice::Node(_) => None,
            },
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
            | Self::NoNodeSlice(_)
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
            Self::InUse { .. } | Self::InUseByWhereabouts { .. } | Self::SecondLauncher { .. } => {
                "address-in-use"
            }
            Self::NamespaceLimit { .. } => "namespace-limit",
            Self::HoldsAnother { .. } => "holds-another-address",
            Self::NotAllocated { .. } => "address-not-allocated",
            Self::NotInjected { .. } => "address-not-injected",
            Self::AnnotationsTooLong { .. } => "annotations-too-long",
        }
    }

    /// Returns the numbers that change while the problem stays, as a phrase, if there are any.
    pub fn detail(&self) -> Option<String> {
        match self {
            Self::Exhausted(exhausted) => exhausted.detail(),
            Self::SlicesFull(full) => Some(full.detail()),
            Self::NamespaceLimit { held, retained, .. } => Some(format!(
                "{held} held or reserved{}",
                retained_text(retained)
            )),
            Self::AnnotationsTooLong { bytes, .. } => Some(format!("{bytes} bytes")),
            _ => None,
        }
    }

    /// Returns the remedy.
    pub fn help(&self) -> String {
        match self {
            Self::UnknownPool(pool) => {
                format!("create the AddressPool {pool:?}, or correct its spec")
            }
            Self::NotReady(_) | Self::Busy(_) | Self::NeedsSlice(_) => {
                "no action needed; controllers and the scheduler try again".to_owned()
            }
            Self::SlicesUnsupported(pool) => {
                format!("remove nodeSliceSize from pool {pool:?}")
            }
            Self::NodeUnknown(_) => {
                "write spec.nodeName; for all pods, an administrator sets injection: bind"
                    .to_owned()
            }
            Self::SlicesFull(full) => full.help(),
            Self::NoNodeSlice(found) => found.help(),
            Self::OutsideSlice(outside) => outside.help(),
            Self::Exhausted(exhausted) => exhausted.help(),
            Self::OutsidePool { .. } | Self::Excluded { .. } => {
                "request another address, or remove \"ips\" to get one assigned".to_owned()
            }
            Self::Reserved { address, .. } => format!(
                "request another address, or remove {:?} to get one assigned",
                member(*address)
            ),
            Self::InUse { address, .. } => format!(
                "request another address, or remove {:?} to get one assigned; `nadmit whois \
                 --cluster {address}` shows the holder",
                member(*address)
            ),
            Self::InUseByWhereabouts { address, .. } => format!(
                "request another address, or remove \"ips\" to get one assigned; `nadmit whois \
                 --cluster {address}` shows the record"
            ),
            Self::SecondLauncher { pod, .. } => format!(
                "wait until pod {pod:?} has ended, or migrate the VM \
                 (VirtualMachineInstanceMigration)"
            ),
            Self::DerivedMac { .. } => "remove \"mac\" to get one assigned".to_owned(),
            Self::NamespaceLimit { retained, .. } => match retained.first() {
                None => "delete pods of the namespace; for more, an administrator raises \
                     maxPerNamespace"
                    .to_owned(),
                Some(first) => format!(
                    "delete pods, or release retained addresses, such as {first}; for more, an \
                     administrator raises maxPerNamespace"
                ),
            },
            Self::HoldsAnother { held, .. } => {
                format!("request {held}, or release it first")
            }
            Self::NotAllocated { .. } | Self::NotInjected { .. } => {
                "check that the API server calls nadmit's mutating webhook (/mutate) for the \
                 namespace, then create the pod again"
                    .to_owned()
            }
            Self::AnnotationsTooLong { .. } => {
                "request fewer networks, or shorten the pod's other annotations".to_owned()
            }
            Self::Internal(_) => "report the bug with the request that caused it".to_owned(),
        }
    }
}

/// Formats the ranges in parentheses; a pool of MACs has none.
fn list(ranges: &[Subnet]) -> String {
    let ranges: Vec<String> = ranges.iter().map(ToString::to_string).collect();
    match &*ranges {
        [] => String::new(),
        all => format!(" ({})", all.join(", ")),
    }
}

/// Returns the member of a network entry that requests such an address.
fn member(address: Address) -> &'static str {
    match address {
        Address::Ip(_) => "ips",
        Address::Mac(_) => "mac",
    }
}

/// Formats the addresses that are retained without a pod.
fn retained_text(retained: &[Address]) -> String {
    let retained: Vec<String> = retained.iter().map(ToString::to_string).collect();
    match &*retained {
        [] => String::new(),
        all => format!("; retained without a pod: {}", all.join(", ")),
    }
}

fn foreign_text(pod: Option<&ForeignPod>) -> String {
    match pod {
        Some(ForeignPod { namespace, name }) => format!("pod {namespace}/{name}"),
        None => "no pod".to_owned(),
    }
}

fn exclusion_text(reason: ExclusionReason) -> &'static str {
    match reason {
        ExclusionReason::Outside => "it is outside of the range",
        ExclusionReason::OutOfBounds => "it is not between rangeStart and rangeEnd",
        ExclusionReason::Edge => "it is the first or last address of the range",
        ExclusionReason::Excluded(_) => "exclude contains it",
        ExclusionReason::Gateway => "it is the gateway",
    }
}
