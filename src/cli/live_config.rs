//! The settings: read at the start, and again whenever the file's content changes.

use std::{path::Path, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::{config::Config, rules::Policy, sources::WatchedFile};

/// How often the file is looked at.
const PERIOD: Duration = Duration::from_secs(2);

/// The settings' file, if there is one.
pub(super) struct LiveConfig {
    file: Option<(WatchedFile, String)>,
    /// The settings as last read; the defaults without a file.
    pub(super) policy: Arc<ArcSwap<Policy>>,
}

impl LiveConfig {
    /// Reads the settings.
    ///
    /// # Errors
    /// When the file cannot be read or has mistakes: all of them.
    pub(super) fn open(file: Option<&Path>) -> anyhow::Result<Self> {
        let Some(path) = file else {
            return Ok(Self {
                file: None,
                policy: Arc::new(ArcSwap::from_pointee(Policy::default())),
            });
        };
        let name = path.display().to_string();
        let watched =
            WatchedFile::open(path).map_err(|error| anyhow::anyhow!("--config {name}: {error}"))?;
        let config = Config::parse(watched.content(), &name)
            .map_err(|errors| anyhow::anyhow!("--config {name} has mistakes:\n{errors}"))?;
        let policy = Arc::new(ArcSwap::from_pointee(config.policy));
        Ok(Self {
            file: Some((watched, name)),
            policy,
        })
    }

    /// Takes changes up until `stop`; a file with mistakes changes nothing.
    pub(super) async fn follow(self, stop: CancellationToken) {
        let Some((file, name)) = self.file else {
            return;
        };
        let policy = self.policy;
        file.watch(PERIOD, stop, move |text| {
            policy.store(Arc::new(Config::parse(text, &name)?.policy));
            info!(file = name, "new settings");
            Ok::<(), crate::config::ConfigErrors>(())
        })
        .await;
    }
}
