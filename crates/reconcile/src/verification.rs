//! The condition under which an action that revokes an address may be applied: it is planned again
//! after everything it rests on was read live.

use std::collections::{BTreeMap, BTreeSet};

use nadmit_allocation::{Allocation, Index};
use nadmit_catalog::{Catalog, LiveRead};

use crate::{
    Effect, PlannedAction,
    absence_tracker::{RecordKey, key},
};

/// The live reads that the revocations of a plan require.
#[derive(Debug)]
pub struct RequiredReads<'a>(Vec<RequiredRead<'a>>);

#[derive(Debug)]
struct RequiredRead<'a> {
    record: RecordKey,
    dependencies: BTreeSet<LiveRead>,
    action: &'a PlannedAction,
}

/// The records for which all required reads succeeded, each with those reads.
#[derive(Debug, Default)]
pub struct VerifiedReads(BTreeMap<RecordKey, BTreeSet<LiveRead>>);

impl<'a> RequiredReads<'a> {
    /// Returns the reads that these revocations require. Records that are gone require none.
    pub fn of(
        revocations: impl IntoIterator<Item = &'a PlannedAction>,
        index: &Index,
        catalog: &Catalog,
    ) -> Self {
        let required = revocations.into_iter().filter_map(|action| {
            let record = current_record(action, index)?;
            Some(RequiredRead {
                record: key(record),
                dependencies: action.dependencies(record, catalog),
                action,
            })
        });
        Self(required.collect())
    }

    /// Returns the reads of all revocations.
    pub fn all(&self) -> BTreeSet<LiveRead> {
        let all = self.0.iter().flat_map(|one| &one.dependencies);
        all.cloned().collect()
    }

    /// Divides the revocations by the outcome of their reads: those without a failed one, and the
    /// others, each with its first failed dependency.
    pub fn verify(
        self,
        has_failed: impl Fn(&LiveRead) -> bool,
    ) -> (VerifiedReads, Vec<(&'a PlannedAction, LiveRead)>) {
        let (mut verified, mut failed) = (BTreeMap::new(), Vec::new());
        for one in self.0 {
            match one.dependencies.iter().find(|read| has_failed(read)) {
                Some(dependency) => failed.push((one.action, dependency.clone())),
                None => drop(verified.insert(one.record, one.dependencies)),
            }
        }
        (VerifiedReads(verified), failed)
    }
}

impl VerifiedReads {
    /// Returns true if an action of a later plan revokes an address, and everything that it rests on
    /// now was read live.
    pub fn permit(&self, planned: &PlannedAction, index: &Index, catalog: &Catalog) -> bool {
        let revokes = planned.effect == Effect::Revoke;
        let Some(record) = current_record(planned, index).filter(|_| revokes) else {
            return false;
        };
        let reads = self.0.get(&key(record));
        reads.is_some_and(|reads| planned.dependencies(record, catalog).is_subset(reads))
    }
}

/// Returns the record that an action concerns, as the index has it: the write of a returned address no
/// longer names the previous holder.
fn current_record<'i>(planned: &PlannedAction, index: &'i Index) -> Option<&'i Allocation> {
    let record = planned.action.write.as_ref()?.allocation();
    index.holder_of(&record.space, record.address)
}
