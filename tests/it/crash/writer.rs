//! The child: tasks that write as fast as they can, until they are killed.

use std::{
    env,
    io::{Write as _, stdout},
    path::PathBuf,
    sync::Arc,
};

use nadmit::ledger::{EmbeddedLedger, Store as _, WriteError};

use super::protocol::{CrashRng, Op, WriterReport, holder};

/// The ledger's folder. A process with this variable is a writer.
pub(super) const FOLDER: &str = "NADMIT_CRASH_FOLDER";
/// The number of the round.
pub(super) const ROUND: &str = "NADMIT_CRASH_ROUND";

const TASKS: u8 = 8;
/// Few addresses, so that the tasks collide.
const ADDRESSES: u64 = 48;

/// Writes until it is killed, if this process is a writer. Returns false if it is not.
pub(crate) fn run_as_writer() -> bool {
    let Some(folder) = env::var_os(FOLDER) else {
        return false;
    };
    let round = super::number(ROUND, 0);
    let written = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .map_err(|error| error.to_string())
        .and_then(|runtime| runtime.block_on(write_forever(folder.into(), round)));
    if let Err(wrong) = written {
        report(&WriterReport::Wrong(wrong));
    }
    true
}

/// Prints a whole line at once: reports before the kill are in the pipe.
fn report(line: &WriterReport) {
    let mut text = serde_json::to_string(line).unwrap_or_default();
    text.push('\n');
    // If the parent is gone, its pipe is closed.
    let _ = stdout().lock().write_all(text.as_bytes());
}

async fn write_forever(folder: PathBuf, round: u64) -> Result<(), String> {
    let ledger = Arc::new(EmbeddedLedger::open(&folder).map_err(|error| error.to_string())?);
    let (records, _) = ledger.list().await.map_err(|error| error.to_string())?;
    report(&WriterReport::Ready);
    let mut tasks = Vec::new();
    for number in 0..TASKS {
        let mine = records
            .iter()
            .filter(|stored| stored.allocation.holder == holder(number))
            .map(|stored| {
                let last = stored.allocation.address.number() & 0xff;
                (u8::try_from(last).unwrap_or_default(), stored.version.0)
            })
            .collect();
        let task = WriterTask {
            ledger: Arc::clone(&ledger),
            number,
            mine,
            random: CrashRng(round << 8 | u64::from(number)),
            batch: i64::try_from(round << 32).unwrap_or_default() | i64::from(number) << 24,
        };
        tasks.push(tokio::spawn(task.run()));
    }
    for task in tasks {
        task.await.map_err(|error| error.to_string())??;
    }
    Ok(())
}

struct WriterTask {
    ledger: Arc<EmbeddedLedger>,
    number: u8,
    /// The task's own records, with versions.
    mine: Vec<(u8, u64)>,
    random: CrashRng,
    batch: i64,
}

impl WriterTask {
    async fn run(mut self) -> Result<(), String> {
        loop {
            self.batch += 1;
            let (batch, task, writes) = (self.batch, self.number, self.choose());
            report(&WriterReport::Asked {
                batch,
                task,
                writes: writes.clone(),
            });
            let asked = writes.iter().map(|op| op.write(task, batch)).collect();
            match self.ledger.write(asked).await {
                Ok(versions) => {
                    let versions: Vec<u64> = versions.into_iter().map(|v| v.0).collect();
                    self.remember(&writes, &versions);
                    report(&WriterReport::Written { batch, versions });
                }
                Err(WriteError::Exists(_)) => report(&WriterReport::Refused { batch }),
                // No other task changes a task's records.
                Err(error) => return Err(format!("batch {batch} {writes:?}: {error}")),
            }
        }
    }

    /// Returns up to three writes: updates and deletes of its own records, then creates of any.
    fn choose(&mut self) -> Vec<Op> {
        let mut writes = Vec::new();
        if !self.mine.is_empty() && self.random.below(3) > 0 {
            let at = self.random.below(self.mine.len() as u64);
            let (last, version) = self.mine[usize::try_from(at).unwrap_or_default()];
            writes.push(match self.random.below(3) {
                0 => Op::Update(last, version),
                _ => Op::Delete(last, version),
            });
        }
        for _ in writes.len() as u64..1 + self.random.below(3) {
            let last = u8::try_from(self.random.below(ADDRESSES)).unwrap_or_default();
            if writes.iter().all(|op| op.last() != last) {
                writes.push(Op::Create(last));
            }
        }
        writes
    }

    fn remember(&mut self, writes: &[Op], versions: &[u64]) {
        for (op, version) in writes.iter().zip(versions) {
            self.mine.retain(|(last, _)| *last != op.last());
            if !matches!(op, Op::Delete(..)) {
                self.mine.push((op.last(), *version));
            }
        }
    }
}
