//! Compares what records say about addresses with what is on the interfaces of pods.
//!
//! 1. [`SnapshotReader`] reads objects, as the API server returns them, into a [`Snapshot`] of typed
//!    records. What it cannot read is a record, too, and becomes a finding.
//! 2. [`audit`] builds a view of the snapshot (which networks a pool serves, which address is on which
//!    interface) and runs the checks over it. Each check is a file of `checks/`.
//! 3. Each [`AuditFinding`] has a stable code, a level, the values that it rests on with their objects,
//!    and the commands that fix it.
//!
//! A finding of level deny is a fact that two objects show. Absence counts only where everything was
//! listed ([`Snapshot::reads`], [`PodState::Absent`]). The records are not read at one instant:
//! callers that read a live cluster read it twice and keep the findings of both ([`in_both`]).

mod checks;
mod code;
mod finding;
mod fix;
mod kind;
mod read;
mod segment;
mod snapshot;
#[cfg(test)]
mod tests;
mod view;

pub use self::{
    code::{AuditCode, AuditLevel},
    finding::{AuditFinding, Evidence, in_both},
    kind::{ObjectRef, RecordKind},
    read::{ParseTime, SnapshotReader},
    snapshot::{
        AddressPoolRecord, AllocationRecord, ClaimRecord, Coverage, MachineInterface,
        MachineRecord, OvnAssignment, PodRecord, PodState, RequestedNetwork, Snapshot,
        UnreadableRecord,
    },
};
pub use nadmit_whereabouts::{
    IpPool, NodeSlice, NodeSlicePool, OverlappingReservation, PodName, PoolEntry,
};

use self::{kind::HasObject, view::View};

/// Returns the findings about a snapshot, ordered by code and then by what they are about.
pub fn audit(snapshot: &Snapshot) -> Vec<AuditFinding> {
    let view = View::of(snapshot);
    let mut findings = Vec::new();
    for check in checks::CHECKS {
        check(&view, &mut findings);
    }
    for finding in &mut findings {
        if finding.commands.is_empty() && finding.help.is_empty() {
            finding.help = "correct the objects above by hand: no command can name them".to_owned();
        }
    }
    findings.sort_by(|a, b| a.sort_key().cmp(&b.sort_key()));
    findings.dedup();
    findings
}
