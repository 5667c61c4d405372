//! The rules on allocation from address pools: one rule for each reason of a rejection.
//!
//! The allocation core decides what is rejected (or, for attachments that name their addresses, a
//! comparison with what the pod holds). The rules add code, field and message. Their levels cannot be
//! lowered, because they guard who may use an address.

mod allocation_errors;
mod bypass;
mod pool_requests;
mod prefix;
mod unreadable;

pub(super) use self::{
    allocation_errors::{
        EXCLUDED, EXHAUSTED, HOLDS_ANOTHER, IN_USE, LIMIT, MAC_IN_USE, NOT_ALLOCATED, NOT_INJECTED,
        NOT_READY, OUTSIDE, RESERVED, TOO_LONG,
    },
    bypass::{BY_CNI_ARGS, OF_POOL},
    prefix::RULE as PREFIX,
    unreadable::UNREADABLE,
};
pub use self::{
    bypass::{UnrecordedMac, unrecorded_macs},
    pool_requests::{Delivery, PoolRequest, attachment_requests, can_be_served},
};
use super::PodSubject;
use nadmit_allocation::AllocationError;

/// The errors of allocating for a pod's attachments.
#[derive(Debug)]
pub struct AllocationSubject<'s, 'a> {
    /// The pod and its attachments.
    pub pod: &'s PodSubject<'a>,
    /// The errors, each with the index of its attachment in [`PodSubject::attachments`].
    pub errors: &'s [(usize, AllocationError)],
}
