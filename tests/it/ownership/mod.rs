//! Ownership of addresses under random operations: the index against a naive map.

mod generators;
mod model;
mod reconciling;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use libtest_mimic::Trial;
use nadmit::allocation::{
    Holder, Index, Stored, Timestamp, Version, Write,
    index::{AllocationPlan, AttachmentRequest, PlanId},
    reconcile::reconcile,
};
use proptest::{prelude::*, test_runner::TestCaseError};

use self::{
    generators::{
        AllPodsExist, AttachmentSpec, CommitResult, POOLS, ScenarioStep, ask, asker, elsewhere,
        layouts, step,
    },
    model::{NaiveAllocator, key},
};
use crate::properties;

/// The number of random scenarios.
const SCENARIOS: u32 = 500;

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        Trial::test("ownership::the_index_equals_a_naive_map", || {
            let steps = prop::collection::vec(step(), 1..80);
            properties::run(SCENARIOS, steps, |steps| {
                OwnershipHarness::new().live(&steps)
            })
        }),
        Trial::test(
            "ownership::addresses_carried_by_a_pod_are_never_released",
            || reconciling::run(SCENARIOS),
        ),
    ]
}

struct OwnershipHarness {
    index: Index,
    naive: NaiveAllocator,
    plans: Vec<(PlanId, Vec<Write>, u64)>,
    issued: u64,
    now: Timestamp,
}

impl OwnershipHarness {
    fn new() -> Self {
        let mut harness = Self {
            index: Index::default(),
            naive: NaiveAllocator::default(),
            plans: Vec::new(),
            issued: 0,
            now: Timestamp(1_000_000),
        };
        harness.sync(0);
        harness
    }

    /// Runs all steps, and releases everything at the end.
    fn live(mut self, steps: &[ScenarioStep]) -> Result<(), TestCaseError> {
        for step in steps {
            self.take(step)?;
            self.compare()?;
        }
        while !self.plans.is_empty() {
            self.write(0, CommitResult::Answered)?;
            self.compare()?;
        }
        while !self.naive.ledger.is_empty() {
            self.release(0);
            self.compare()?;
        }
        self.sync(0);
        for pool in POOLS {
            let usage = self.index.usage(pool).unwrap_or_default();
            prop_assert_eq!(usage.free, usage.capacity, "{}", pool);
        }
        Ok(())
    }

    fn take(&mut self, step: &ScenarioStep) -> Result<(), TestCaseError> {
        match step {
            ScenarioStep::Plan(pod, attachments) => self.plan(*pod, attachments)?,
            ScenarioStep::Write(which, ending) => self.write(*which, *ending)?,
            ScenarioStep::Release(which) => self.release(*which),
            ScenarioStep::Elsewhere(last) => {
                let record = elsewhere(*last, &self.naive.layout, self.now);
                self.recorded_by_another(record.map(Write::Create));
            }
            ScenarioStep::Reserve => {
                let layout = Arc::clone(&self.naive.layout);
                let actions =
                    reconcile(self.index.recorded(), &layout, &[], &AllPodsExist, self.now);
                for action in actions {
                    self.recorded_by_another(action.write);
                }
            }
            ScenarioStep::Sync(which) => self.sync(*which),
            ScenarioStep::Wait => self.now = self.now.plus(Duration::from_secs(40)),
        }
        Ok(())
    }

    fn sync(&mut self, which: usize) {
        let layout = layouts().swap_remove(which);
        let mut index = self.index.synced(&layout);
        for pool in POOLS {
            index.set_ready(pool);
        }
        self.naive.layout = layout;
    }

    fn plan(&mut self, pod: u32, attachments: &[AttachmentSpec]) -> Result<(), TestCaseError> {
        let asker = asker(pod);
        self.naive.now = self.now;
        let asks: Vec<AttachmentRequest> = attachments.iter().copied().map(ask).collect();
        self.issued += 1;
        let expected: Vec<_> = asks
            .iter()
            .map(|ask| self.naive.plan(&asker, ask, self.issued))
            .collect();
        let issued = self.issued;
        self.naive.flying.retain(|_, (_, by)| *by != issued);
        let mut index = self.index.synced(&self.naive.layout);
        match index.plan(&asker, &asks, self.now) {
            Ok(planned) => {
                let given = planned.assignments.iter();
                let given: Vec<_> = given
                    .map(|one| Ok(one.ips.iter().map(|(ip, _)| *ip).collect()))
                    .collect();
                prop_assert_eq!(given, expected);
                self.take_off(planned);
            }
            Err(refused) => {
                let codes: Vec<_> = refused
                    .iter()
                    .map(|r| (r.request, r.error.code()))
                    .collect();
                let expected = expected.iter().enumerate();
                let expected: Vec<_> = expected
                    .filter_map(|(at, one)| Some((at, one.clone().err()?)))
                    .collect();
                prop_assert_eq!(codes, expected, "{:?}", refused);
            }
        }
        Ok(())
    }

    fn take_off(&mut self, planned: AllocationPlan) {
        for write in &planned.writes {
            let wanted = write.allocation().clone();
            self.naive
                .flying
                .insert(key(&wanted), (wanted, self.issued));
        }
        self.plans.push((planned.id, planned.writes, self.issued));
    }

    /// Writes a plan as the server does.
    fn write(&mut self, which: usize, ending: CommitResult) -> Result<(), TestCaseError> {
        if self.plans.is_empty() {
            return Ok(());
        }
        let (ticket, writes, by) = self.plans.swap_remove(which % self.plans.len());
        self.naive.flying.retain(|_, (_, of)| *of != by);
        if matches!(ending, CommitResult::Unavailable) {
            self.index.abort(ticket);
            return Ok(());
        }
        match self.naive.write(&writes) {
            Ok(versions) => {
                if !matches!(ending, CommitResult::Answered) {
                    for (write, version) in writes.iter().zip(&versions) {
                        let allocation = write.allocation().clone();
                        self.index.apply(Stored {
                            allocation,
                            version: *version,
                        });
                    }
                }
                if !matches!(ending, CommitResult::Lost) {
                    self.index.commit(ticket, &versions);
                }
            }
            Err(other) => {
                let (space, address) = other.key;
                match other.there {
                    Some((allocation, version)) => self.index.apply(Stored {
                        allocation,
                        version,
                    }),
                    None => self.index.apply_delete(&space, address, Version(u64::MAX)),
                }
                self.index.abort(ticket);
            }
        }
        Ok(())
    }

    /// Delivers the event of a write.
    fn recorded_by_another(&mut self, write: Option<Write>) {
        let Some(write) = write else { return };
        let Ok(versions) = self.naive.write(std::slice::from_ref(&write)) else {
            return;
        };
        let allocation = write.allocation().clone();
        match &write {
            Write::Delete(_, version) => {
                self.index
                    .apply_delete(&allocation.space, allocation.address, *version);
            }
            _ => self.index.apply(Stored {
                allocation,
                version: versions[0],
            }),
        }
    }

    fn release(&mut self, which: usize) {
        let records = self.naive.ledger.len();
        let chosen = self.naive.ledger.values().nth(which % records.max(1));
        let gone = chosen.map(|(record, version)| Write::Delete(record.clone(), *version));
        self.recorded_by_another(gone);
    }

    /// Checks that the index agrees with the map on every address and every pool.
    fn compare(&self) -> Result<(), TestCaseError> {
        let mut entries = BTreeSet::new();
        let mut macs = BTreeSet::new();
        for record in self.naive.entries() {
            prop_assert!(
                entries.insert(key(record)),
                "two holders of {}",
                record.address
            );
            let found = self.index.holder_of(&record.space, record.address);
            prop_assert_eq!(found, Some(record));
            let held = self
                .index
                .held_by(&record.holder, &record.network, &record.interface);
            prop_assert!(
                held.contains(&record),
                "{:?} is not found by its holder",
                record
            );
            if let Some(mac) = record.mac {
                let one = macs.insert((record.space.clone(), mac));
                prop_assert!(one, "two have {mac}");
            }
            let held_by_reservation = matches!(record.holder, Holder::Reservation { .. });
            prop_assert!(!held_by_reservation || record.pod.is_none());
        }
        let recorded: BTreeSet<_> = self.index.recorded().map(|(r, v)| (key(r), v)).collect();
        let ledger = self.naive.ledger.iter();
        let still = ledger.filter(|(key, _)| !self.naive.flying.contains_key(*key));
        prop_assert_eq!(recorded, still.map(|(k, (_, v))| (k.clone(), *v)).collect());
        for pool in self.naive.layout.pools.values() {
            let usage = self.index.usage(&pool.name);
            prop_assert_eq!(usage, Some(self.naive.usage(pool)), "{}", pool.name);
        }
        Ok(())
    }
}
