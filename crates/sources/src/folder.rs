//! A folder of manifests that is polled.

use std::{
    collections::HashSet,
    fmt,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::{
    sync::Mutex,
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use nadmit_catalog::{Catalog, PoolDerivation};

use super::{
    FolderStatus, SourceError,
    scan::{FolderScanner, ScanResult},
};

/// The options of a folder source.
#[derive(Debug, Clone, Copy)]
pub struct FolderOptions {
    /// The time between two scans.
    pub interval: Duration,
    /// The clock, which is compared with the modification times of files.
    pub clock: fn() -> SystemTime,
}

impl Default for FolderOptions {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(2),
            clock: SystemTime::now,
        }
    }
}

/// Maintains the catalog of the manifests in a folder. Clones share their state.
///
/// Scans are single-flight: one runs at a time, and all callers that arrive meanwhile share the
/// next one.
#[derive(Clone)]
pub struct FolderSource {
    shared: Arc<FolderShared>,
}

impl fmt::Debug for FolderSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FolderSource")
            .field("status", &self.status())
            .finish_non_exhaustive()
    }
}

struct FolderShared {
    options: FolderOptions,
    catalog: Arc<ArcSwapOption<Catalog>>,
    status: ArcSwap<FolderStatus>,
    /// The settings by which networks define pools.
    derivation: ArcSwap<PoolDerivation>,
    /// The number of scans that have started.
    begun: AtomicU64,
    /// The lock is held by the scan and not by the caller that started it: a cancelled caller
    /// neither stops the scan nor makes others believe that it has finished.
    state: Arc<Mutex<FolderState>>,
}

struct FolderState {
    folder: FolderScanner,
    /// The number of the last finished scan; `outcome` is its result.
    ended: u64,
    outcome: Result<(), SourceError>,
}

impl FolderSource {
    /// Creates a source that maintains `catalog` from `folder`. Nothing is read until
    /// [`Self::refresh`].
    ///
    /// # Errors
    /// Returns an error if the folder does not exist.
    pub fn open(
        folder: impl Into<PathBuf>,
        options: FolderOptions,
        catalog: Arc<ArcSwapOption<Catalog>>,
    ) -> Result<Self, SourceError> {
        let folder = folder.into();
        let name = || folder.display().to_string();
        match std::fs::metadata(&folder) {
            Ok(found) if found.is_dir() => {}
            Ok(_) => return Err(SourceError::NotAFolder { folder: name() }),
            Err(_) => return Err(SourceError::FolderMissing { folder: name() }),
        }
        let state = FolderState {
            folder: FolderScanner::new(folder, options.clock),
            ended: 0,
            outcome: Ok(()),
        };
        Ok(Self {
            shared: Arc::new(FolderShared {
                options,
                catalog,
                status: ArcSwap::default(),
                derivation: ArcSwap::default(),
                begun: AtomicU64::new(0),
                state: Arc::new(Mutex::new(state)),
            }),
        })
    }

    /// Sets by which settings networks define pools, from the next scan on.
    pub fn set_pool_derivation(&self, derivation: PoolDerivation) {
        if **self.shared.derivation.load() != derivation {
            self.shared.derivation.store(Arc::new(derivation));
        }
    }

    /// Returns the status of the folder as of the last scan.
    pub fn status(&self) -> Arc<FolderStatus> {
        self.shared.status.load_full()
    }

    /// The number of scans that have started.
    pub fn scans(&self) -> u64 {
        self.shared.begun.load(Ordering::SeqCst)
    }

    /// Updates the catalog: afterwards it is at least as fresh as the folder was at the call. The
    /// first call publishes the first catalog.
    ///
    /// Errors in files are not errors of this call: the state of a file with errors *is* its last
    /// good one.
    ///
    /// # Errors
    /// Returns an error if the folder cannot be read. The catalog is unchanged then, and may be
    /// stale.
    pub async fn refresh(&self) -> Result<(), SourceError> {
        let scans_before = self.shared.begun.load(Ordering::SeqCst);
        let mut state = Arc::clone(&self.shared.state).lock_owned().await;
        if state.ended > scans_before {
            // A scan that started after this call has finished while the call waited.
            return state.outcome.clone();
        }
        let name = state.folder.root().display().to_string();
        let shared = Arc::clone(&self.shared);
        let scan = tokio::task::spawn_blocking(move || {
            let number = shared.begun.fetch_add(1, Ordering::SeqCst) + 1;
            let outcome = shared.scan(&mut state.folder);
            state.ended = number;
            state.outcome.clone_from(&outcome);
            outcome
        });
        scan.await.unwrap_or_else(|error| {
            Err(SourceError::Interrupted {
                folder: name,
                reason: error.to_string(),
            })
        })
    }

    /// Refreshes the catalog periodically until `cancel`.
    pub async fn run(self, cancel: CancellationToken) {
        let mut ticks = interval(self.shared.options.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = cancel.cancelled() => return,
                _ = ticks.tick() => {}
            }
            // Errors are in the log and the status; the next tick retries.
            let _ = self.refresh().await;
        }
    }
}

impl FolderShared {
    /// Scans the folder, publishes a changed catalog, and reports errors.
    fn scan(&self, folder: &mut FolderScanner) -> Result<(), SourceError> {
        folder.set_pool_derivation(**self.derivation.load());
        let (scan, outcome) = match folder.scan() {
            Ok(scan) => (scan, Ok(())),
            Err(error) => {
                let errors = vec![error.clone()];
                let scan = ScanResult {
                    errors,
                    ..ScanResult::default()
                };
                (scan, Err(error))
            }
        };
        tracing::debug!(folder = %folder.root().display(), read = scan.read, "folder scanned");
        let status = folder.status(scan.errors);
        self.report(&status);
        // An empty folder has a catalog, too.
        let first = outcome.is_ok() && self.catalog.load().is_none();
        if let Some(catalog) = scan.catalog.or_else(|| first.then(|| folder.catalog())) {
            tracing::info!(
                folder = %folder.root().display(),
                files = status.files,
                networks = catalog.network_count(),
                "catalog updated"
            );
            self.catalog.store(Some(Arc::new(catalog)));
        }
        self.status.store(Arc::new(status));
        outcome
    }

    /// Logs the errors that are new since the last scan.
    fn report(&self, status: &FolderStatus) {
        let before = self.status.load();
        if **before == *status {
            return;
        }
        let known: HashSet<String> = before.all_errors().map(ToString::to_string).collect();
        for error in status.all_errors().map(ToString::to_string) {
            if !known.contains(&error) {
                tracing::warn!(%error, "error in the folder of manifests");
            }
        }
        for fixed in before.faulty.iter().map(|report| &report.file) {
            if !status.faulty.iter().any(|report| report.file == *fixed) {
                tracing::info!(file = %fixed, "errors resolved");
            }
        }
    }
}
