//! The checks: each compares two sides of the view, and adds what differs.

mod allocations;
mod allocators;
mod claims;
mod duplicates;
mod entries;
mod interfaces;
mod macs;
mod pools;
mod reservations;
mod slices;
mod unreadable;

use super::{AuditFinding, view::View};

/// A function that compares two sides of the view.
pub(crate) type Check = fn(&View<'_>, &mut Vec<AuditFinding>);

/// All checks.
pub(crate) const CHECKS: &[Check] = &[
    duplicates::check,
    macs::check,
    allocators::check,
    entries::check,
    interfaces::check,
    reservations::check,
    allocations::check,
    claims::check,
    slices::check,
    pools::check,
    unreadable::check,
];
