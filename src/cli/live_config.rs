//! The settings: read at startup, and reloaded when the content of the file changes.

use std::{path::Path, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use tokio::{sync::Notify, time::sleep};
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::{
    catalog::PoolDerivation,
    config::{Config, digest},
    rules::{Injection, NamespaceIsolation, Policy},
    sources::WatchedFile,
};

/// Interval at which the file is checked.
const POLL_INTERVAL: Duration = Duration::from_secs(2);

/// The settings and their file, if there is one.
pub(super) struct LiveConfig {
    file: Option<(WatchedFile, String)>,
    defaults: EnvironmentDefaults,
    /// Settings as last read; the defaults without a file.
    pub(super) policy: Arc<ArcSwap<Policy>>,
    /// Digest of the file's text.
    pub(super) digest: Arc<ArcSwap<String>>,
}

impl LiveConfig {
    /// Reads the settings; `defaults` fills in settings that are not set.
    ///
    /// # Errors
    /// When the file cannot be read or is invalid; the error lists all mistakes.
    pub(super) fn open(file: Option<&Path>, defaults: EnvironmentDefaults) -> anyhow::Result<Self> {
        let Some(path) = file else {
            let policy = defaults.fill_in(Policy::default());
            return Ok(Self {
                file: None,
                defaults,
                policy: Arc::new(ArcSwap::from_pointee(policy)),
                digest: Arc::new(ArcSwap::from_pointee(digest(""))),
            });
        };
        let name = path.display().to_string();
        let watched =
            WatchedFile::open(path).map_err(|error| anyhow::anyhow!("--config {name}: {error}"))?;
        let config = Config::parse(watched.content(), &name)
            .map_err(|errors| anyhow::anyhow!("--config {name} has errors:\n{errors}"))?;
        let policy = Arc::new(ArcSwap::from_pointee(defaults.fill_in(config.policy)));
        let digest = Arc::new(ArcSwap::from_pointee(digest(watched.content())));
        Ok(Self {
            file: Some((watched, name)),
            defaults,
            policy,
            digest,
        })
    }

    /// Also checks the file whenever `now` is notified.
    pub(super) fn reload_on(&mut self, now: Arc<Notify>) {
        if let Some((file, _)) = &mut self.file {
            file.reload_on(now);
        }
    }

    /// Applies changes of the file until `stop`; an invalid file changes nothing.
    pub(super) async fn follow(self, stop: CancellationToken) {
        let Some((file, name)) = self.file else {
            return;
        };
        let (policy, shown, defaults) = (self.policy, self.digest, self.defaults);
        file.watch(POLL_INTERVAL, stop, move |text| {
            let read = Config::parse(text, &name)?.policy;
            policy.store(Arc::new(defaults.fill_in(read)));
            shown.store(Arc::new(digest(text)));
            info!(file = name, "settings reloaded");
            Ok::<(), crate::config::ConfigErrors>(())
        })
        .await;
    }
}

/// Passes on by which settings networks define pools, when it changes, until `stop`.
pub(super) async fn follow_pool_derivation(
    policy: Arc<ArcSwap<Policy>>,
    stop: CancellationToken,
    set: impl Fn(PoolDerivation),
) {
    let mut known = policy.load().pool_derivation;
    while stop
        .run_until_cancelled(sleep(POLL_INTERVAL))
        .await
        .is_some()
    {
        let now = policy.load().pool_derivation;
        if now != known {
            set(now);
            known = now;
        }
    }
}

/// Defaults of settings that depend on where nadmit runs.
#[derive(Debug, Clone, Copy)]
pub(super) struct EnvironmentDefaults {
    injection: Injection,
    isolation: NamespaceIsolation,
}

impl EnvironmentDefaults {
    /// Defaults for a folder of manifests.
    pub(super) const FOLDER: Self = Self {
        injection: Injection::Create,
        isolation: NamespaceIsolation::On,
    };
    /// Defaults for a cluster, where Multus's namespace isolation is unknown.
    pub(super) const CLUSTER: Self = Self {
        injection: Injection::Bind,
        isolation: NamespaceIsolation::Unknown,
    };

    /// Fills in settings that are not set.
    fn fill_in(self, mut policy: Policy) -> Policy {
        policy.injection.get_or_insert(self.injection);
        policy.namespace_isolation.get_or_insert(self.isolation);
        policy
    }
}
