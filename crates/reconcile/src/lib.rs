//! The plan of the reconciler: what to record, to free and to warn about, given the records and the
//! observed cluster.
//!
//! Pure and synchronous: no I/O, no clock, no runtime. Times come in as values.
//!
//! ```text
//! Catalog ──> ObservedAddresses   addresses in use
//!         ──> PodIndex            pods behind a record
//! Records ──> AbsenceTracker      how long pods and nodes are away
//!                 │
//!                 v
//!             ClusterView         the state of a record's pod, workload and interface
//!                 │   allocation::reconcile
//!                 v
//!             Plan                actions with their reasons, and the time to plan again
//! ```
//!
//! A [`Planner`] makes a [`Plan`] of each pass. An action that revokes an address is applied only after
//! everything it rests on ([`PlannedAction::dependencies`]) was read live, a second plan still contains
//! it, and its dependencies were among those reads ([`VerifiedReads`]). [`ReadinessCheck`] decides which
//! pools may allocate, [`PodWarning`] describes what only operators can fix, and [`idle_slices`] returns
//! the slices that can be deleted.

mod absence_tracker;
mod cluster_view;
mod dependencies;
mod observed_addresses;
mod plan;
mod planned_action;
mod pod_index;
mod readiness;
mod served;
mod served_pacing;
mod slice_gc;
mod time;
mod verification;
mod warnings;
mod whereabouts_repair;

pub use self::{
    dependencies::{batches, resync_dependencies},
    plan::{Observation, Plan, Planner},
    planned_action::{Effect, PlannedAction},
    readiness::{NotReady, ReadinessCheck},
    served::{RestsOn, ServedPlan, ServedWrite, WriteKind},
    served_pacing::{PacedWrites, ServedPacing},
    slice_gc::{idle_slices, slice_dependency},
    time::MonotonicTime,
    verification::{RequiredReads, VerifiedReads},
    warnings::{Drift, PodWarning, WarnedPod, WarningReason},
    whereabouts_repair::{LeakReason, LeakedRecord, LeakedState, RepairHindrance, RepairPlan},
};

#[cfg(test)]
mod tests;
