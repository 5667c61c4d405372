//! Emits the warnings of a plan, once each.

use std::collections::BTreeSet;

use super::{Inner, ReconcilerState, report::ReconcileReport};
use crate::{EventType, ObjectRef};
use nadmit_reconcile::{Plan, PodWarning};

/// The object and the message of a warning.
pub(super) type EmittedWarning = (ObjectRef, String);

impl Inner {
    /// Emits the warnings that are new since the last pass; forgets those that no longer apply.
    pub(super) fn emit_warnings(
        &self,
        state: &mut ReconcilerState,
        plan: &Plan,
        report: &mut ReconcileReport,
    ) {
        report.duplicates = plan.duplicates();
        let duplicates = state.planner.duplicate_warnings(plan);
        self.emit_new(&mut state.duplicates, &duplicates, "DuplicateAddress");
        let drifted = state.planner.drift_warnings(plan);
        self.emit_new(&mut state.drifted, &drifted, "AddressDrift");
        report.drifted = state.drifted.len();
        self.metrics.set_drifted(state.drifted.len());
    }

    fn emit_new(
        &self,
        emitted: &mut BTreeSet<EmittedWarning>,
        now: &[PodWarning],
        reason: &'static str,
    ) {
        let now: BTreeSet<EmittedWarning> = now.iter().map(event_of).collect();
        for (about, message) in now.difference(emitted) {
            tracing::warn!(
                namespace = about.namespace,
                pod = about.name,
                reason,
                "{message}"
            );
            self.metrics.add(match reason {
                "AddressDrift" => "drift",
                _ => "duplicate",
            });
            let (about, message) = (about.clone(), message.clone());
            self.events.emit(about, EventType::Warning, reason, message);
        }
        *emitted = now;
    }
}

fn event_of(warning: &PodWarning) -> EmittedWarning {
    let pod = &warning.pod;
    let about = ObjectRef::pod(&pod.namespace, &pod.name, pod.uid.as_deref());
    (about, warning.reason.to_string())
}
