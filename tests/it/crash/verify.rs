//! The required and the permitted contents of the file after a kill.
//!
//! Versions order everything that was acknowledged. A batch without a response may have been
//! written, as a whole or not at all. A task writes only to its own records, or creates: so the
//! effect of a batch without a response is still visible.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use nadmit::allocation::Stored;

use super::protocol::{Op, WriterReport};

/// The relevant part of a record: its version, and the batch that wrote it.
type RecordState = (u64, i64);

/// The known contents of the file.
#[derive(Debug, Default)]
pub(super) struct KnownRecords {
    records: BTreeMap<u8, RecordState>,
    last: u64,
}

/// Statistics of a round.
#[derive(Debug, Default)]
pub(super) struct RoundStats {
    pub(super) answered: usize,
    refused: usize,
    lost: usize,
    kept: usize,
}

impl RoundStats {
    pub(super) fn add(&mut self, other: &Self) {
        self.answered += other.answered;
        self.refused += other.refused;
        self.lost += other.lost;
        self.kept += other.kept;
    }
}

impl fmt::Display for RoundStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            answered,
            refused,
            lost,
            kept,
        } = self;
        write!(
            f,
            "{answered} batches were written and {refused} refused; of those not answered, {kept} were there and {lost} were not"
        )
    }
}

/// The reports of a round.
#[derive(Default)]
struct RoundReports<'a> {
    /// Batches without a response, by number.
    open: BTreeMap<i64, &'a [Op]>,
    /// By version: the batch and its write.
    written: BTreeMap<u64, (i64, Op)>,
    answered: usize,
    refused: usize,
}

impl<'a> RoundReports<'a> {
    fn of(lines: &'a [WriterReport]) -> Result<Self, String> {
        let mut round = Self::default();
        for line in lines {
            match line {
                WriterReport::Ready | WriterReport::Wrong(_) => {}
                WriterReport::Asked { batch, writes, .. } => {
                    round.open.insert(*batch, writes);
                }
                WriterReport::Refused { batch } => {
                    round.open.remove(batch);
                    round.refused += 1;
                }
                WriterReport::Written { batch, versions } => {
                    let writes = round.open.remove(batch).unwrap_or_default();
                    if writes.len() != versions.len() {
                        return Err(format!("batch {batch}: {versions:?} for {writes:?}"));
                    }
                    round.answered += 1;
                    for (op, version) in writes.iter().zip(versions) {
                        if round.written.insert(*version, (*batch, *op)).is_some() {
                            return Err(format!("version {version} was given twice"));
                        }
                    }
                }
            }
        }
        Ok(round)
    }

    /// Returns true if a batch without a response deletes this address.
    fn may_delete(&self, last: u8) -> bool {
        let mut writes = self.open.values().copied().flatten();
        writes.any(|op| matches!(op, Op::Delete(deleted, _) if *deleted == last))
    }
}

impl KnownRecords {
    /// Checks the file after a round; the next round starts from it.
    pub(super) fn verify_round(
        &mut self,
        lines: &[WriterReport],
        found: &[Stored],
        last: u64,
    ) -> Result<RoundStats, String> {
        let round = RoundReports::of(lines)?;
        self.replay(&round)?;
        let found: BTreeMap<u8, RecordState> = found.iter().map(record).collect();
        let mut counts = RoundStats {
            answered: round.answered,
            refused: round.refused,
            ..RoundStats::default()
        };
        let mut versions = round.written.len();
        for (batch, writes) in &round.open {
            if self.apply_if_written(*batch, writes, &found)? {
                counts.kept += 1;
                versions += writes.len();
            } else {
                counts.lost += 1;
            }
        }
        if self.records != found {
            return Err(format!(
                "there should be {:?}, there is {found:?}",
                self.records
            ));
        }
        if last != self.last + versions as u64 {
            return Err(format!(
                "the last version is {last}, {versions} writes after {}",
                self.last
            ));
        }
        self.last = last;
        Ok(counts)
    }

    /// Applies acknowledged writes in the order of versions.
    fn replay(&mut self, round: &RoundReports<'_>) -> Result<(), String> {
        for (version, (batch, op)) in &round.written {
            if *version <= self.last {
                return Err(format!("version {version} was given before"));
            }
            let before = match op {
                Op::Delete(last, _) => self.records.remove(last),
                Op::Create(last) | Op::Update(last, _) => {
                    self.records.insert(*last, (*version, *batch))
                }
            };
            let fits = match op {
                Op::Create(last) => before.is_none() || round.may_delete(*last),
                Op::Update(_, seen) | Op::Delete(_, seen) => {
                    before.is_some_and(|(version, _)| version == *seen)
                }
            };
            if !fits {
                return Err(format!(
                    "{op:?} of batch {batch} was answered over {before:?}"
                ));
            }
        }
        Ok(())
    }

    fn version(&self, last: u8) -> Option<u64> {
        self.records.get(&last).map(|(version, _)| *version)
    }

    /// Applies a batch without a response if it was written; it must be there as a whole or not at
    /// all.
    fn apply_if_written(
        &mut self,
        batch: i64,
        writes: &[Op],
        found: &BTreeMap<u8, RecordState>,
    ) -> Result<bool, String> {
        let there: BTreeSet<bool> = writes
            .iter()
            .map(|op| {
                let now = found.get(&op.last());
                match op {
                    Op::Create(_) | Op::Update(..) => now.is_some_and(|(_, by)| *by == batch),
                    Op::Delete(_, seen) => now.is_none_or(|(version, _)| version != seen),
                }
            })
            .collect();
        if there.len() > 1 {
            return Err(format!(
                "of batch {batch}, {writes:?}, a part is there: {found:?}"
            ));
        }
        if !there.contains(&true) {
            return Ok(false);
        }
        for op in writes {
            match (op, found.get(&op.last())) {
                (Op::Create(last) | Op::Update(last, _), Some(record)) => {
                    self.records.insert(*last, *record);
                }
                // A replayed write may have given it to another task since.
                (Op::Delete(last, seen), _) if self.version(*last) == Some(*seen) => {
                    self.records.remove(last);
                }
                _ => {}
            }
        }
        Ok(true)
    }
}

fn record(stored: &Stored) -> (u8, RecordState) {
    let allocation = &stored.allocation;
    let last = u8::try_from(allocation.address.number() & 0xff).unwrap_or_default();
    (last, (stored.version.0, allocation.since.0))
}
