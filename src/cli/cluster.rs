//! One-time reads of a cluster, for commands.

use std::cell::RefCell;

use clap::Args;
use serde_json::Value;

use super::output::ProgressLine;
use crate::{
    catalog::PoolDerivation,
    config::Config,
    rules::{Injection, Policy},
    sources::{Cluster, ClusterError, ClusterObject, ClusterQuery, ClusterSnapshot},
};

/// nadmit's namespace in its manifests.
const DEFAULT_NAMESPACE: &str = "nadmit";
/// Key of the settings in the ConfigMap.
const SETTINGS_KEY: &str = "nadmit.yaml";

/// Argument that names nadmit's own namespace.
#[derive(Debug, Args)]
pub(super) struct NadmitNamespaceArgs {
    /// nadmit's namespace; without --config, its ConfigMap nadmit-config is used
    #[arg(
        long,
        env = "NADMIT_NAMESPACE",
        value_name = "NAMESPACE",
        default_value = DEFAULT_NAMESPACE
    )]
    nadmit_namespace: String,
}

/// The ConfigMap with nadmit's settings, and the settings in it.
pub(super) struct ClusterSettings {
    /// The ConfigMap.
    pub(super) object: ClusterObject,
    /// Settings of the ConfigMap; the server's defaults if it has none.
    pub(super) policy: Policy,
}

/// Lists the objects of a query, showing progress on a terminal.
pub(super) async fn read(
    cluster: &Cluster,
    sought: &ClusterQuery,
) -> Result<ClusterSnapshot, ClusterError> {
    let progress = RefCell::new(ProgressLine::new());
    let found = cluster.read(sought, |count| {
        let mut progress = progress.borrow_mut();
        progress.show(|| format!("reading {}: {count} objects", cluster.server()));
    });
    let found = found.await;
    progress.borrow().clear();
    found
}

/// Returns by which settings networks define pools in a cluster; the defaults if its settings cannot be
/// read.
pub(super) async fn pool_derivation(cluster: &Cluster) -> PoolDerivation {
    let sought = ClusterQuery::Settings {
        namespace: DEFAULT_NAMESPACE.to_owned(),
    };
    let found = read(cluster, &sought).await.ok();
    let object = found.and_then(|found| found.objects.into_iter().next());
    let policy = object.and_then(|object| policy(&object).ok());
    policy.map_or_else(PoolDerivation::default, |policy| policy.pool_derivation)
}

impl NadmitNamespaceArgs {
    /// Returns the namespace.
    pub(super) fn name(&self) -> &str {
        &self.nadmit_namespace
    }

    /// Reads the ConfigMap with the settings; `None` if it does not exist. Lacking permission is only a
    /// warning.
    ///
    /// # Errors
    /// When the cluster does not respond, or the settings are invalid.
    pub(super) async fn settings(
        &self,
        cluster: &Cluster,
    ) -> anyhow::Result<Option<ClusterSettings>> {
        let sought = ClusterQuery::Settings {
            namespace: self.nadmit_namespace.clone(),
        };
        let found = read(cluster, &sought).await?;
        for unknown in &found.unreadable {
            super::print_warning(unknown);
        }
        let Some(object) = found.objects.into_iter().next() else {
            return Ok(None);
        };
        let policy = policy(&object)?;
        Ok(Some(ClusterSettings { object, policy }))
    }
}

/// Parses the settings of a ConfigMap like the server.
fn policy(object: &ClusterObject) -> anyhow::Result<Policy> {
    let whole: Value = serde_json::from_str(&object.text)?;
    let mut policy = match whole["data"][SETTINGS_KEY].as_str() {
        Some(text) => {
            let name = format!("{}, key {SETTINGS_KEY}", object.name);
            let read = Config::parse(text, &name);
            let read = read.map_err(|errors| {
                anyhow::anyhow!(
                    "{name} has errors; fix them, or name other settings with --config:\n{errors}"
                )
            });
            read?.policy
        }
        None => Policy::default(),
    };
    // Default of a cluster.
    policy.injection.get_or_insert(Injection::Bind);
    Ok(policy)
}
