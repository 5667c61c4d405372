//! A cluster, read for a command that ends.

use std::cell::RefCell;

use clap::Args;
use serde_json::Value;

use super::check::ProgressLine;
use crate::{
    config::Config,
    rules::{Injection, Policy},
    sources::{Cluster, ClusterError, ClusterObject, ClusterQuery, ClusterSnapshot},
};

/// nadmit's namespace, as its manifests have it.
const DEFAULT_NAMESPACE: &str = "nadmit";
/// The settings among the keys of the ConfigMap.
const SETTINGS_KEY: &str = "nadmit.yaml";

/// Where nadmit itself is.
#[derive(Debug, Args)]
pub(super) struct NadmitNamespaceArgs {
    /// nadmit's own namespace in the cluster: without --config the settings count that the ConfigMap
    /// nadmit-config there has
    #[arg(
        long,
        env = "NADMIT_NAMESPACE",
        value_name = "NAMESPACE",
        default_value = DEFAULT_NAMESPACE
    )]
    nadmit_namespace: String,
}

/// The ConfigMap with nadmit's settings.
pub(super) struct ClusterSettings {
    /// Itself.
    pub(super) object: ClusterObject,
    /// The settings in it; where it has none, what the server does without.
    pub(super) policy: Policy,
}

/// Lists what is sought, and tells a terminal how far that is.
pub(super) async fn read(
    cluster: &Cluster,
    sought: &ClusterQuery,
) -> Result<ClusterSnapshot, ClusterError> {
    let progress = RefCell::new(ProgressLine::new());
    let found = cluster.read(sought, |count| {
        let mut progress = progress.borrow_mut();
        progress.tell(|| format!("reading {}: {count} objects", cluster.server()));
    });
    let found = found.await;
    progress.borrow().clear();
    found
}

impl NadmitNamespaceArgs {
    /// The ConfigMap with the settings, if it is there. That it may not be read is only warned of.
    ///
    /// # Errors
    /// When the cluster does not answer, or the settings have mistakes.
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

/// The settings of a ConfigMap, as the server reads them.
fn policy(object: &ClusterObject) -> anyhow::Result<Policy> {
    let whole: Value = serde_json::from_str(&object.text)?;
    let mut policy = match whole["data"][SETTINGS_KEY].as_str() {
        Some(text) => {
            let name = format!("{}, key {SETTINGS_KEY}", object.name);
            let read = Config::parse(text, &name);
            let read = read.map_err(|errors| {
                anyhow::anyhow!(
                    "{name} has mistakes; mend it, or name other settings with --config:\n{errors}"
                )
            });
            read?.policy
        }
        None => Policy::default(),
    };
    // What suits a cluster, where nothing is said.
    policy.injection.get_or_insert(Injection::Bind);
    Ok(policy)
}
