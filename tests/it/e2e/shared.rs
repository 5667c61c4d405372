//! The server shared by tests that do not disturb each other.

use std::sync::Arc;

use libtest_mimic::Failed;

use super::{
    cluster::{E2eCluster, Registration, soon},
    process::{NadmitProcess, ReplicaConfig},
};
use crate::shared::SharedValue;

/// A cluster in which nadmit is installed.
pub(super) struct Installed {
    // Dropped before the cluster, to avoid errors in its log.
    pub(super) nadmit: NadmitProcess,
    pub(super) cluster: E2eCluster,
    /// The kinds in `deploy/` that this server does not serve.
    pub(super) left_out: Vec<String>,
    _home: ReplicaConfig,
}

impl Installed {
    pub(super) fn new() -> Result<Self, Failed> {
        let cluster = E2eCluster::start()?;
        let home = ReplicaConfig::new("")?;
        let nadmit = home.serve(&cluster, "nadmit-0", 0)?;
        let left_out = cluster.install(&Registration {
            name: "nadmit",
            url: &nadmit.url,
            ca: &home.ca()?,
            flags: &["--mode", "deny"],
        })?;
        soon("nadmit is not ready", || {
            Ok(nadmit.is_ready()?.then_some(()))
        })?;
        Ok(Self {
            nadmit,
            cluster,
            left_out,
            _home: home,
        })
    }
}

static INSTALLED: SharedValue<Installed> = SharedValue::new();

/// Returns the shared cluster; the first caller starts it.
pub(super) fn installed() -> Result<Arc<Installed>, Failed> {
    INSTALLED.get(Installed::new)
}

/// Ends the shared cluster after the last test: nothing else would end its processes.
pub(crate) fn end() {
    INSTALLED.end();
}
