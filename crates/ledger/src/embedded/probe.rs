//! Checks whether the ledger can be written, for frequent callers such as readiness probes.

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

use super::{
    ledger_origin::LedgerOrigin,
    opened::OpenedFile,
    shared::{Job, SharedLedger},
};
use crate::NotWritable;

/// Time for which a result is cached.
const RESULT_TTL: Duration = Duration::from_secs(1);
/// Longest wait of a caller; shorter than a kubelet's probe timeout.
const CALLER_TIMEOUT: Duration = Duration::from_millis(900);
/// Duration of a probe after which the disk counts as hanging.
const HANG_TIMEOUT: Duration = Duration::from_secs(5);
/// Disk space that one commit may need, in bytes.
const PROBE_BYTES: usize = 64 << 10;

/// Checks whether the ledger can be written, with one probe at a time.
#[derive(Debug)]
pub(super) struct WriteProbe {
    directory: PathBuf,
    /// The open file, or the origin of a ledger that is read-only.
    opened: Result<Arc<OpenedFile>, Arc<LedgerOrigin>>,
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
    /// Creates a probe of the ledger at `path`.
    pub(super) fn new(path: &Path, opened: Result<Arc<OpenedFile>, Arc<LedgerOrigin>>) -> Self {
        Self {
            directory: path.parent().unwrap_or(Path::new(".")).to_owned(),
            opened,
            state: Mutex::default(),
        }
    }

    /// Checks whether the ledger can be written.
    ///
    /// # Errors
    /// [`NotWritable`].
    pub(super) async fn check(&self, shared: &Arc<SharedLedger>) -> Result<(), NotWritable> {
        let opened = self
            .opened
            .as_ref()
            .map_err(|read_only| NotWritable::Refused {
                reason: read_only.to_string(),
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
            // The disk is busy: the last result applies.
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
    // An empty batch makes the writer try to recover.
    let (result, receiver) = oneshot::channel();
    let batch = Vec::new();
    if shared.queue.submit(Job { batch, result }).is_ok() {
        let _ = receiver.await;
    }
    match shared.write_failure() {
        Some(reason) => Err(NotWritable::Refused { reason }),
        None => Ok(()),
    }
}

/// Writes as much as a commit may need to an unnamed temporary file.
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
