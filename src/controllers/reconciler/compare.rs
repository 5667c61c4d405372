//! The comparison of everything, in this process's memory.

use std::{cell::Cell, sync::Arc};

use tokio::time::{Duration, Instant};

use super::{Inner, State, cluster_view::Observed, pod_index::Pods};
use crate::{
    allocation::{
        Pool, Stored,
        reconcile::{Action, Reason, reconcile},
    },
    catalog::Catalog,
};

/// What a comparison found.
pub(super) struct Compared {
    pub(super) records: Vec<Arc<Stored>>,
    pub(super) actions: Vec<Action>,
    /// When the same comparison may find more, with nothing changed.
    pub(super) due: Option<Instant>,
}

impl Inner {
    /// Compares a catalog with the index.
    pub(super) fn compare(&self, state: &mut State, catalog: &Arc<Catalog>) -> Compared {
        let default_home = self.policy.load().multus_namespace.clone();
        let records = {
            let mut index = self.index.lock();
            index.sync(catalog.layout());
            state.changes = index.changes();
            index.snapshot()
        };
        state.carried.look(catalog, &default_home);
        let (now, instant) = (self.clock.seconds(), Instant::now());
        let pods = Pods::of(catalog);
        state
            .memory
            .look(&records, &pods, &state.carried, catalog, instant);
        let observed = Observed {
            catalog,
            pods: &pods,
            memory: &state.memory,
            default_home: &default_home,
            now,
            instant,
            due: Cell::new(None),
        };
        let known = records.iter().map(|one| (&one.allocation, one.version));
        let mut actions = reconcile(
            known,
            catalog.layout(),
            state.carried.in_use(),
            &observed,
            now,
        );
        let due = observed.due.get();
        self.drop_what_is_in_flight(&mut actions);
        Compared {
            actions,
            due: due.map(|due| instant + Duration::from_secs(due.unsigned_abs())),
            records,
        }
    }

    /// What is being recorded is not missing.
    fn drop_what_is_in_flight(&self, actions: &mut Vec<Action>) {
        let index = self.index.lock();
        actions.retain(|action| {
            let adopts = matches!(
                action.reason,
                Reason::Adopted | Reason::Reserved | Reason::MacParted
            );
            let record = action.write.as_ref().map(|write| write.allocation());
            !adopts
                || record
                    .is_none_or(|record| index.holder_of(&record.space, record.address).is_none())
        });
    }
}

impl Compared {
    /// Whether something in a pool's ranges is in use and not recorded, or as another's.
    pub(super) fn lacks(&self, pool: &Pool) -> bool {
        let mut adopted = self
            .actions
            .iter()
            .filter(|action| matches!(action.reason, Reason::Adopted | Reason::HandedOver))
            .filter_map(|action| action.write.as_ref().map(|write| write.allocation()));
        adopted.any(|record| {
            let inside = record
                .address
                .ip()
                .is_some_and(|ip| pool.range_of(ip).is_some());
            record.space == pool.space && (inside || record.pool == pool.name)
        })
    }
}
