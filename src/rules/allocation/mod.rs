//! The rules on what pools give: one rule for each reason to give nothing.
//!
//! What is refused is decided by the allocation core (or, when an attachment brings its addresses, by
//! a comparison with what it holds); here it gets its code, its place and its words. None of these
//! can be lowered: who may use an address is a question of authority, not of taste.

mod bypass;
mod pool_requests;
mod prefix;
mod allocation_errors;
mod unreadable;

pub use self::{
    bypass::{BY_CNI_ARGS, OF_POOL, UnrecordedMac, unrecorded_macs},
    pool_requests::{PoolRequest, attachment_requests, can_be_served},
    prefix::RULE as PREFIX,
    allocation_errors::{
        EXCLUDED, EXHAUSTED, HOLDS_ANOTHER, IN_USE, LIMIT, MAC_IN_USE, NOT_ALLOCATED, NOT_INJECTED,
        NOT_READY, OUTSIDE, RESERVED, TOO_LONG,
    },
    unreadable::UNREADABLE,
};
use super::PodSubject;
use crate::allocation::AllocationError;

/// What a pod's attachments were refused.
#[derive(Debug)]
pub struct AllocationSubject<'s, 'a> {
    /// The pod.
    pub pod: &'s PodSubject<'a>,
    /// Each with the attachment's place among [`PodSubject::attachments`].
    pub errors: &'s [(usize, AllocationError)],
}
