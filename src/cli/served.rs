//! What a server serves: a folder, or a cluster.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{
    replica::{self, Replica, ReplicaOptions},
    serve::ServeArgs,
    standalone::{self, Standalone},
};
use crate::{
    rules::Policy,
    server::{Desk, State},
    sources::{Connection, OptionalFile},
};

/// The schedule among the keys of the ConfigMap.
const SCHEDULE: &str = "reconciler_cron_expression";
/// How often its file is looked at.
const PERIOD: Duration = Duration::from_secs(2);

/// Put together, and not running yet.
pub(super) struct Served {
    /// What the webhooks read.
    pub(super) state: State,
    /// Where operators are served.
    pub(super) desk: Arc<Desk>,
    /// What runs beside the server.
    pub(super) beside: Beside,
    /// Where the admin socket is to be, if anywhere.
    pub(super) data_dir: Option<PathBuf>,
    /// What is served, for people: a folder, or a cluster's URL.
    pub(super) origin: String,
}

/// What runs beside the server.
pub(super) enum Beside {
    Folder(Box<standalone::Beside>),
    Cluster(Box<replica::Beside>, Option<OptionalFile>),
}

impl Served {
    /// A folder of manifests, and an embedded ledger.
    ///
    /// # Errors
    /// When one of them cannot be read.
    pub(super) async fn folder(
        manifests: &Path,
        data_dir: PathBuf,
        policy: Arc<ArcSwap<Policy>>,
    ) -> anyhow::Result<Self> {
        let catalog = Arc::new(ArcSwapOption::empty());
        let standalone = Standalone::open(manifests, &data_dir, catalog, policy).await?;
        Ok(Self {
            state: standalone.state,
            desk: standalone.desk,
            beside: Beside::Folder(Box::new(standalone.beside)),
            data_dir: Some(data_dir),
            origin: manifests.display().to_string(),
        })
    }

    /// A cluster.
    ///
    /// # Errors
    /// When the kubeconfig leads to none.
    pub(super) async fn cluster(
        args: &ServeArgs,
        policy: Arc<ArcSwap<Policy>>,
    ) -> anyhow::Result<Self> {
        let Connection {
            client,
            server,
            namespace,
        } = args.access().client().await?;
        let chance = super::chance();
        let dir = args.config_dir.as_deref();
        let schedule = dir.map(|dir| OptionalFile::open(dir.join(SCHEDULE)));
        let schedule = schedule.transpose()?;
        let none = watch::Sender::new(None);
        let options = ReplicaOptions {
            server: server.clone(),
            namespace: args.namespace.clone().unwrap_or(namespace),
            schedule: schedule
                .as_ref()
                .map_or_else(|| none.subscribe(), OptionalFile::said),
            leads: None,
            writer: format!("{}-{:08x}", args.replica, chance.next() as u32),
            policy,
            clock: super::clock(),
            chance,
        };
        let replica = Replica::new(client, options);
        Ok(Self {
            state: replica.state,
            desk: replica.desk,
            beside: Beside::Cluster(Box::new(replica.beside), schedule),
            data_dir: args.data_dir.clone(),
            origin: server,
        })
    }
}

impl Beside {
    /// Runs until `stop`.
    pub(super) async fn run(self, stop: CancellationToken) {
        match self {
            Self::Folder(beside) => beside.run(stop).await,
            Self::Cluster(beside, schedule) => {
                let watched = async {
                    if let Some(schedule) = schedule {
                        schedule.watch(PERIOD, stop.clone()).await;
                    }
                };
                tokio::join!(beside.run(stop.clone()), watched);
            }
        }
    }
}
