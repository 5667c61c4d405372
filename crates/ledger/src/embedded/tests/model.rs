//! Property test: the ledger behaves like a map under any sequence of writes.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::support::*;
use crate::{LedgerEvent, Store as _, WriteError};
use nadmit_allocation::{Stored, Version, Write};

/// A write that names its version by age: 0 is the current version of the record.
#[derive(Debug, Clone)]
enum ModelWrite {
    Create(u8, u8),
    Update(u8, u8, u64),
    Delete(u8, u64),
    Reopen,
}

fn model_write() -> impl Strategy<Value = ModelWrite> {
    // Few names, so that writes collide; mostly current versions.
    let age = prop_oneof![4 => Just(0u64), 1 => 1..3u64];
    prop_oneof![
        4 => (0..4u8, 0..3u8).prop_map(|(name, pod)| ModelWrite::Create(name, pod)),
        3 => (0..4u8, 0..3u8, age.clone()).prop_map(|(name, pod, age)| ModelWrite::Update(name, pod, age)),
        3 => (0..4u8, age).prop_map(|(name, age)| ModelWrite::Delete(name, age)),
        1 => Just(ModelWrite::Reopen),
    ]
}

/// Reference implementation of the ledger.
#[derive(Debug, Clone, Default, PartialEq)]
struct NaiveLedger {
    records: BTreeMap<u8, Stored>,
    last: u64,
}

impl NaiveLedger {
    fn write(&mut self, wish: &ModelWrite) -> Option<(Write, Result<LedgerEvent, WriteError>)> {
        let version = Version(self.last + 1);
        let current = |name: &u8| self.records.get(name).cloned();
        let seen = |name: &u8, age: u64| {
            let now = current(name).map_or(self.last, |stored| stored.version.0);
            Version(now.saturating_sub(age))
        };
        let (name, write, fits) = match wish {
            ModelWrite::Create(name, pod) => {
                let write = create(*name, &pod.to_string());
                (*name, write, current(name).is_none())
            }
            ModelWrite::Update(name, pod, age) => {
                let write = Write::Update(allocation(*name, &pod.to_string()), seen(name, *age));
                (
                    *name,
                    write,
                    current(name).is_some_and(|c| c.version == seen(name, *age)),
                )
            }
            ModelWrite::Delete(name, age) => {
                let write = Write::Delete(allocation(*name, "any"), seen(name, *age));
                (
                    *name,
                    write,
                    current(name).is_some_and(|c| c.version == seen(name, *age)),
                )
            }
            ModelWrite::Reopen => return None,
        };
        let current = current(&name);
        let result = match (&write, current) {
            (Write::Create(_), Some(there)) => Err(WriteError::Exists(Box::new(there))),
            (_, current) if !fits => Err(changed(name, current)),
            (Write::Delete(..), Some(there)) => {
                self.records.remove(&name);
                Ok(LedgerEvent::Deleted {
                    allocation: there.allocation,
                    version,
                })
            }
            (write, _) => {
                let stored = Stored {
                    allocation: write.allocation().clone(),
                    version,
                };
                self.records.insert(name, stored.clone());
                Ok(LedgerEvent::Put(stored))
            }
        };
        self.last += u64::from(result.is_ok());
        Some((write, result))
    }

    /// Applies a batch; returns the writes and the expected result.
    fn batch(
        &mut self,
        wishes: &[ModelWrite],
    ) -> (Vec<Write>, Result<Vec<LedgerEvent>, WriteError>) {
        let mut after = self.clone();
        let (writes, results): (Vec<_>, Vec<_>) =
            wishes.iter().filter_map(|wish| after.write(wish)).unzip();
        let result: Result<Vec<LedgerEvent>, WriteError> = results.into_iter().collect();
        if result.is_ok() {
            *self = after;
        }
        (writes, result)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn the_ledger_does_what_a_map_does(
        batches in proptest::collection::vec(proptest::collection::vec(model_write(), 1..5), 1..24)
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(check(batches))?;
    }
}

async fn check(batches: Vec<Vec<ModelWrite>>) -> Result<(), TestCaseError> {
    let folder = folder();
    let (mut ledger, mut naive) = (open(&folder), NaiveLedger::default());
    for wishes in batches {
        let (_, cursor) = ledger.list().await.unwrap();
        let (writes, expected) = naive.batch(&wishes);
        let written = ledger.write(writes).await;
        let versions =
            |events: &Vec<LedgerEvent>| events.iter().map(LedgerEvent::version).collect();
        prop_assert_eq!(
            &written,
            &expected.as_ref().map(versions).map_err(Clone::clone)
        );
        let events = futures_util::StreamExt::take(
            ledger.follow(cursor),
            written.map_or(0, |versions| versions.len()),
        );
        let events: Vec<_> = futures_util::StreamExt::collect(events).await;
        prop_assert_eq!(
            events,
            expected
                .unwrap_or_default()
                .into_iter()
                .map(Ok)
                .collect::<Vec<_>>()
        );
        if wishes.iter().any(|wish| matches!(wish, ModelWrite::Reopen)) {
            ledger.close().await;
            ledger = open(&folder);
        }
        let (records, cursor) = ledger.list().await.unwrap();
        prop_assert_eq!(records, naive.records.values().cloned().collect::<Vec<_>>());
        prop_assert_eq!(cursor.version(), Version(naive.last));
    }
    Ok(())
}
