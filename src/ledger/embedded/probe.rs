//! Whether the ledger can be written, for those who ask often.

use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::{Mutex, oneshot},
    task::{JoinHandle, spawn_blocking},
    time::{Instant, timeout},
};

use super::{opened::OpenedFile, shared::SharedLedger, writer::Job};
use crate::ledger::NotWritable;

/// For how long an outcome counts.
const RESULT_TTL: Duration = Duration::from_secs(1);
/// How long one who asks waits, which is shorter than a kubelet does.
const CALLER_TIMEOUT: Duration = Duration::from_millis(900);
/// How long a look may take before the disk counts as hanging.
const HANG_TIMEOUT: Duration = Duration::from_secs(5);
/// What one commit may need on the disk, in bytes.
const PROBE_BYTES: usize = 64 << 10;

/// Finds out whether the ledger can be written; one look at a time.
#[derive(Debug)]
pub(super) struct WriteProbe {
    directory: PathBuf,
    /// The file that is open; why nothing may be written where none is.
    opened: Result<Arc<OpenedFile>, String>,
    state: Mutex<ProbeState>,
}

#[derive(Debug, Default)]
struct ProbeState {
    last: Option<ProbeResult>,
    running: Option<RunningProbe>,
}

#[derive(Debug)]
struct ProbeResult {
    at: Instant,
    outcome: Result<(), NotWritable>,
}

#[derive(Debug)]
struct RunningProbe {
    since: Instant,
    task: JoinHandle<Result<(), NotWritable>>,
}

impl WriteProbe {
    /// A probe of the ledger at `path`.
    pub(super) fn new(path: &Path, opened: Result<Arc<OpenedFile>, String>) -> Self {
        Self {
            directory: path.parent().unwrap_or(Path::new(".")).to_owned(),
            opened,
            state: Mutex::default(),
        }
    }

    /// Whether the ledger can be written.
    ///
    /// # Errors
    /// [`NotWritable`].
    pub(super) async fn check(&self, shared: &Arc<SharedLedger>) -> Result<(), NotWritable> {
        let opened = self
            .opened
            .as_ref()
            .map_err(|reason| NotWritable::Refused {
                reason: reason.clone(),
            })?;
        let slow = NotWritable::Slow {
            waited: HANG_TIMEOUT,
        };
        let Ok(mut state) = timeout(CALLER_TIMEOUT, self.state.lock()).await else {
            return Err(slow);
        };
        let fresh = state
            .last
            .as_ref()
            .filter(|seen| seen.at.elapsed() < RESULT_TTL);
        if let Some(seen) = fresh {
            return seen.outcome.clone();
        }
        let running = state.running.get_or_insert_with(|| RunningProbe {
            since: Instant::now(),
            task: tokio::spawn(probe(
                Arc::clone(shared),
                Arc::clone(opened),
                self.directory.clone(),
            )),
        });
        match timeout(CALLER_TIMEOUT, &mut running.task).await {
            Ok(ended) => {
                let outcome = ended.unwrap_or_else(|error| Err(refused(&error)));
                state.running = None;
                state.last = Some(ProbeResult {
                    at: Instant::now(),
                    outcome: outcome.clone(),
                });
                outcome
            }
            Err(_) if running.since.elapsed() >= HANG_TIMEOUT => Err(slow),
            // A busy disk; what was seen last counts.
            Err(_) => state
                .last
                .as_ref()
                .map_or(Ok(()), |seen| seen.outcome.clone()),
        }
    }
}

async fn probe(
    shared: Arc<SharedLedger>,
    opened: Arc<OpenedFile>,
    directory: PathBuf,
) -> Result<(), NotWritable> {
    let found = spawn_blocking(move || {
        opened.check().map_err(|error| refused(&error))?;
        check_space(&directory).map_err(|source| NotWritable::Disk {
            path: directory,
            source: Arc::new(source),
        })
    });
    found.await.unwrap_or_else(|error| Err(refused(&error)))?;
    if shared.write_failure().is_none() {
        return Ok(());
    }
    // An empty batch has the writer try to mend what failed.
    let (answer, answered) = oneshot::channel();
    let batch = Vec::new();
    if shared.queue.submit(Job { batch, answer }).is_ok() {
        let _ = answered.await;
    }
    match shared.write_failure() {
        Some(reason) => Err(NotWritable::Refused { reason }),
        None => Ok(()),
    }
}

/// Writes what a commit may need to a file without a name, which is gone when this returns.
fn check_space(directory: &Path) -> io::Result<()> {
    let mut file = tempfile::tempfile_in(directory)?;
    file.write_all(&[0; PROBE_BYTES])?;
    file.sync_data()
}

fn refused(error: &dyn std::error::Error) -> NotWritable {
    NotWritable::Refused {
        reason: error.to_string(),
    }
}
