//! The checks: each compares two sides of the view, and adds what differs.

mod allocations;
mod allocators;
mod claimants;
mod claims;
mod conflicting_records;
mod duplicates;
mod entries;
mod interfaces;
mod mac_drift;
mod macs;
mod pools;
mod record_use;
mod reservations;
mod slices;
mod unreadable;
mod uses;

use super::{AuditFinding, view::View};

/// A function that compares two sides of the view.
pub(crate) type Check = fn(&View<'_>, &mut Vec<AuditFinding>);

/// All checks.
pub(crate) const CHECKS: &[Check] = &[
    duplicates::check,
    conflicting_records::check,
    macs::check,
    mac_drift::check,
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
