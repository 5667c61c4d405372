//! What a server serves: a folder, or a cluster.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio_util::sync::CancellationToken;

use super::{
    replica::{self, Replica, ReplicaOptions},
    serve::ServeArgs,
    standalone::{self, Standalone},
};
use crate::{
    rules::Policy,
    server::{Desk, State},
    sources::Connection,
};

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
    Cluster(Box<replica::Beside>),
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
        let Connection { client, server, .. } = args.access().client().await?;
        let chance = super::chance();
        let options = ReplicaOptions {
            server: server.clone(),
            writer: format!("{}-{:08x}", args.replica, chance.next() as u32),
            policy,
            clock: super::clock(),
            chance,
        };
        let replica = Replica::new(client, options);
        Ok(Self {
            state: replica.state,
            desk: replica.desk,
            beside: Beside::Cluster(Box::new(replica.beside)),
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
            Self::Cluster(beside) => beside.run(stop).await,
        }
    }
}
