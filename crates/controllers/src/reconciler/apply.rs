//! Applies a plan. Addresses are never revoked based on the cache alone.

use std::sync::Arc;

use super::{Inner, ReconcilerState, report::ReconcileReport};
use crate::apply::{apply, log_and_count};
use nadmit_catalog::Catalog;
use nadmit_reconcile::{Effect, Plan, PlannedAction};

impl Inner {
    /// Applies the actions of a plan, those that revoke addresses after they are verified. Returns the
    /// newest plan.
    pub(super) async fn apply(
        &self,
        state: &mut ReconcilerState,
        catalog: &mut Arc<Catalog>,
        plan: Plan,
        report: &mut ReconcileReport,
    ) -> Plan {
        let with = |effect: Effect| -> Vec<PlannedAction> {
            let actions = plan.actions.iter().filter(|one| one.effect == effect);
            actions.cloned().collect()
        };
        self.write(with(Effect::Record), report).await;
        let revocations = with(Effect::Revoke);
        if revocations.is_empty() {
            return plan;
        }
        let (plan, permitted) = self.verify(state, catalog, &revocations, report).await;
        self.write(permitted, report).await;
        plan
    }

    async fn write(&self, planned: Vec<PlannedAction>, report: &mut ReconcileReport) {
        let actions = planned.into_iter().map(|planned| planned.action).collect();
        for (action, done) in apply(&self.ledger, &self.index, actions).await {
            report.count(action.reason.name(), done);
            if done {
                log_and_count(&action, &self.metrics);
            }
        }
    }
}
