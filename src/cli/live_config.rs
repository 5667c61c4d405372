//! The settings: read at the start, and again whenever the file's content changes.

use std::{path::Path, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::{
    config::Config,
    rules::{Injection, Policy},
    sources::WatchedFile,
};

/// How often the file is looked at.
const PERIOD: Duration = Duration::from_secs(2);

/// The settings' file, if there is one.
pub(super) struct LiveConfig {
    file: Option<(WatchedFile, String)>,
    injection: Injection,
    /// The settings as last read; the defaults without a file.
    pub(super) policy: Arc<ArcSwap<Policy>>,
}

impl LiveConfig {
    /// Reads the settings; `injection` is what suits where nadmit runs.
    ///
    /// # Errors
    /// When the file cannot be read or has mistakes: all of them.
    pub(super) fn open(file: Option<&Path>, injection: Injection) -> anyhow::Result<Self> {
        let Some(path) = file else {
            let policy = suited(Policy::default(), injection);
            return Ok(Self {
                file: None,
                injection,
                policy: Arc::new(ArcSwap::from_pointee(policy)),
            });
        };
        let name = path.display().to_string();
        let watched =
            WatchedFile::open(path).map_err(|error| anyhow::anyhow!("--config {name}: {error}"))?;
        let config = Config::parse(watched.content(), &name)
            .map_err(|errors| anyhow::anyhow!("--config {name} has mistakes:\n{errors}"))?;
        let policy = Arc::new(ArcSwap::from_pointee(suited(config.policy, injection)));
        Ok(Self {
            file: Some((watched, name)),
            injection,
            policy,
        })
    }

    /// Takes changes up until `stop`; a file with mistakes changes nothing.
    pub(super) async fn follow(self, stop: CancellationToken) {
        let Some((file, name)) = self.file else {
            return;
        };
        let (policy, injection) = (self.policy, self.injection);
        file.watch(PERIOD, stop, move |text| {
            let read = Config::parse(text, &name)?.policy;
            policy.store(Arc::new(suited(read, injection)));
            info!(file = name, "new settings");
            Ok::<(), crate::config::ConfigErrors>(())
        })
        .await;
    }
}

/// The settings, with what suits where nothing is said.
fn suited(mut policy: Policy, injection: Injection) -> Policy {
    policy.injection.get_or_insert(injection);
    policy
}
