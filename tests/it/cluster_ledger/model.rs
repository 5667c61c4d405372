//! Random batches have the same effect as on a map, whatever transient faults there are.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{FutureExt as _, StreamExt as _};
use libtest_mimic::Trial;
use nadmit::{
    allocation::{Allocation, Stored, Version, Write},
    ledger::{
        ClusterLedger, ClusterLedgerOptions, EmbeddedLedger, Ledger, LedgerEvent, Store as _,
        WriteError,
    },
};
use proptest::{prelude::*, test_runner::TestCaseError};

use super::support::*;
use crate::{
    api_server::{ApiServer, FaultAction, InjectedFailure},
    properties,
};

pub(super) fn tests() -> Vec<Trial> {
    vec![
        Trial::test("cluster_ledger::embedded::model", || {
            properties::run(24, batches(), |batches| {
                let folder = tempfile::tempdir().map_err(failed)?;
                let ledger = EmbeddedLedger::open(folder.path()).map_err(failed)?;
                let runtime = tokio::runtime::Builder::new_current_thread().build();
                let received = LedgerModel::new(ledger.into(), None).live(&batches);
                runtime.map_err(failed)?.block_on(received)
            })
        }),
        Trial::test("cluster_ledger::cluster::model", || {
            properties::run(48, batches(), |batches| {
                paused().map_err(failed)?.block_on(async {
                    let server = ApiServer::new();
                    let options = ClusterLedgerOptions::new("a");
                    let ledger = ClusterLedger::new(server.client(), options);
                    LedgerModel::new(ledger.into(), Some(server))
                        .live(&batches)
                        .await
                })
            })
        }),
    ]
}

fn failed(error: impl ToString) -> TestCaseError {
    TestCaseError::fail(error.to_string())
}

/// The writes of a batch: creates by address and pod, and one change of a record that may exist.
#[derive(Debug, Clone)]
struct BatchSpec {
    creates: BTreeMap<u8, u8>,
    then: Option<(u8, ModelChange)>,
    faults: Vec<(u8, u8, bool)>,
}

/// A change that names a version this many versions older than the record's.
#[derive(Debug, Clone)]
enum ModelChange {
    Update(u8, u64),
    Delete(u64),
}

fn batches() -> impl Strategy<Value = Vec<BatchSpec>> {
    // Few names, so that batches collide; mostly current versions.
    let age = prop_oneof![4 => Just(0u64), 1 => 1..3u64];
    let change = prop_oneof![
        (0..3u8, age.clone()).prop_map(|(pod, age)| ModelChange::Update(pod, age)),
        age.prop_map(ModelChange::Delete),
    ];
    let wish = (
        prop::collection::btree_map(1..6u8, 0..3u8, 0..3),
        prop::option::of((1..6u8, change)),
        prop::collection::vec((0..5u8, 0..5u8, any::<bool>()), 0..3),
    );
    let wish = wish.prop_map(|(creates, then, faults)| BatchSpec {
        then: then.filter(|(name, _)| !creates.contains_key(name)),
        creates,
        faults,
    });
    prop::collection::vec(wish, 1..24)
}

/// A ledger and a map as its model.
struct LedgerModel {
    ledger: Ledger,
    server: Option<ApiServer>,
    records: BTreeMap<u8, Stored>,
    newest: Version,
}

impl LedgerModel {
    fn new(ledger: Ledger, server: Option<ApiServer>) -> Self {
        Self {
            ledger,
            server,
            records: BTreeMap::new(),
            newest: Version(0),
        }
    }

    async fn live(mut self, batches: &[BatchSpec]) -> Result<(), TestCaseError> {
        let (_, cursor) = self.ledger.list().await.map_err(failed)?;
        self.newest = cursor.version();
        for wish in batches {
            self.take(wish).await?;
        }
        self.followed(self.ledger.follow(cursor)).await
    }

    async fn take(&mut self, wish: &BatchSpec) -> Result<(), TestCaseError> {
        let batch = self.batch(wish);
        let expected = self.expected(&batch);
        self.inject_faults(&wish.faults);
        let written = self.ledger.write(batch.clone()).await;
        if let Some(server) = &self.server {
            server.heal();
        }
        match expected {
            Some(error) => prop_assert_eq!(written, Err(error), "{:?}", &batch),
            None => self.apply(&batch, &written.map_err(failed)?)?,
        }
        let (records, cursor) = self.ledger.list().await.map_err(failed)?;
        let named: Vec<_> = self.records.values().map(|one| &one.allocation).collect();
        let found: Vec<_> = records.iter().map(|one| &one.allocation).collect();
        prop_assert_eq!(found, named);
        for (known, now) in self.records.values_mut().zip(records) {
            // A refused batch may have taken over existing records that were already as requested.
            prop_assert!(known.version <= now.version && now.version <= cursor.version());
            known.version = now.version;
        }
        self.newest = self.newest.max(cursor.version());
        Ok(())
    }

    fn batch(&self, wish: &BatchSpec) -> Vec<Write> {
        let creates = wish.creates.iter();
        let creates = creates.map(|(name, pod)| create(*name, &pod.to_string()));
        let then = wish.then.iter().map(|(name, change)| {
            let now = self
                .records
                .get(name)
                .map_or(self.newest, |one| one.version);
            let version = |age: &u64| Version(now.0.saturating_sub(*age));
            match change {
                ModelChange::Update(pod, age) => update(*name, &pod.to_string(), version(age)),
                ModelChange::Delete(age) => delete(*name, "whoever", version(age)),
            }
        });
        creates.chain(then).collect()
    }

    fn current(&self, write: &Write) -> Option<&Stored> {
        let mut records = self.records.values();
        records.find(|one| one.allocation.address == write.allocation().address)
    }

    /// Returns the first error that refuses the batch. A cluster's ledger accepts a create of a
    /// record that exists as requested.
    fn expected(&self, batch: &[Write]) -> Option<WriteError> {
        let content = self.server.is_some();
        batch.iter().find_map(|write| {
            let current = self.current(write);
            let same = |wanted: &Allocation| {
                current.is_some_and(|one| content && one.allocation == *wanted)
            };
            match write {
                Write::Create(wanted) if same(wanted) => None,
                Write::Create(_) => Some(WriteError::Exists(Box::new(current?.clone()))),
                Write::Update(wanted, _) if same(wanted) => None,
                Write::Update(_, version) | Write::Delete(_, version) => {
                    let fits = current.is_some_and(|one| one.version == *version);
                    (!fits).then(|| WriteError::Changed {
                        name: write.allocation().record_name(),
                        current: current.cloned().map(Box::new),
                    })
                }
            }
        })
    }

    fn apply(&mut self, batch: &[Write], versions: &[Version]) -> Result<(), TestCaseError> {
        prop_assert_eq!(batch.len(), versions.len());
        for (write, version) in batch.iter().zip(versions) {
            let before = self.current(write).cloned();
            let record = write.allocation();
            let unchanged = before.as_ref().is_some_and(|one| one.allocation == *record);
            let above = before.map_or(self.newest, |one| one.version);
            prop_assert!(*version > above || unchanged && *version == above);
            let name = match record.address.to_string().rsplit('.').next() {
                Some(last) => last.parse().map_err(failed)?,
                None => 0,
            };
            self.records.remove(&name);
            if !matches!(write, Write::Delete(..)) {
                let allocation = record.clone();
                let version = *version;
                self.records.insert(
                    name,
                    Stored {
                        allocation,
                        version,
                    },
                );
            }
        }
        Ok(())
    }

    fn inject_faults(&self, faults: &[(u8, u8, bool)]) {
        let Some(server) = &self.server else { return };
        for (verb, failure, lost) in faults {
            let verb = ["create", "update", "delete", "get", "create"][usize::from(*verb)];
            let failure = match failure {
                0 => InjectedFailure::Silence,
                1 => InjectedFailure::Connection,
                2 => InjectedFailure::Internal,
                3 => InjectedFailure::TooManyRequests(1),
                _ => InjectedFailure::Timeout,
            };
            // A throttled request has no effect.
            let turned_away = matches!(failure, InjectedFailure::TooManyRequests(_));
            let action = match *lost && !turned_away {
                true => FaultAction::lost(failure),
                false => failure.into(),
            };
            fault(server, verb, action, 1);
        }
    }

    /// Checks that the events add up to the current state, with growing versions of each record.
    async fn followed(
        &self,
        mut events: nadmit::ledger::LedgerEvents,
    ) -> Result<(), TestCaseError> {
        let mut received = BTreeMap::new();
        let mut last = BTreeMap::new();
        // The stream never ends: stop when no event is immediately available.
        for _ in 0..1_000 {
            tokio::task::yield_now().await;
            let Some(Some(event)) = events.next().now_or_never() else {
                continue;
            };
            let event = event.map_err(failed)?;
            let name = event.allocation().record_name();
            let before = last.insert(name.clone(), event.version());
            prop_assert!(before.is_none_or(|before| before < event.version()));
            match event {
                LedgerEvent::Put(stored) => received.insert(name, stored),
                LedgerEvent::Deleted { .. } => received.remove(&name),
            };
        }
        let received: BTreeSet<_> = received
            .into_values()
            .map(|one| (one.version, one.allocation.record_name()))
            .collect();
        let there = self.records.values();
        let there: BTreeSet<_> = there
            .map(|one| (one.version, one.allocation.record_name()))
            .collect();
        prop_assert_eq!(received, there);
        Ok(())
    }
}
