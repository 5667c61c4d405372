//! Backends of the operators' commands: the running server, its file, or a cluster's API server.

use std::{collections::BTreeSet, io, path::Path, sync::Arc};

use anyhow::{Context as _, bail};
use arc_swap::{ArcSwap, ArcSwapOption};

use super::{SourceArgs, client::AdminClient, in_cluster::ClusterBackend};
use crate::{
    allocation::{Address, SharedIndex},
    catalog::Catalog,
    inspect::{AddressRow, Filter, PodView, PoolMap, PoolRow, Whois},
    ledger::{EmbeddedLedger, Ledger, LedgerOrigin, OlderLedger, Store as _},
    rules::Policy,
    server::{
        OperatorService,
        operator::{ReleaseRequest, Released},
    },
    sources::{FolderOptions, FolderSource},
};

/// Files of the embedded ledger; if one of them is missing, the ledger was lost.
const FILES: [&str; 2] = ["allocations.redb", "allocations.version"];

/// Backend of a command.
pub(super) enum Backend {
    /// The server of the data directory.
    Server(AdminClient),
    /// The file in the data directory, if no server is running.
    File(Box<OperatorService>),
    /// The API server of a cluster.
    Cluster(Box<ClusterBackend>),
}

impl Backend {
    /// Opens the cluster if requested, else the running server, else the file.
    ///
    /// # Errors
    /// When none of them exists, or the one that exists cannot be used.
    pub(super) async fn open(from: &SourceArgs) -> anyhow::Result<Self> {
        if from.cluster.cluster {
            return Self::of_cluster(from).await;
        }
        if let Some(client) = AdminClient::connect(&from.data_dir).await? {
            return Ok(Self::Server(client));
        }
        let kept = FILES.iter().any(|file| from.data_dir.join(file).exists());
        if !kept {
            bail!(
                "no nadmit server and no allocations in directory {:?} (--data-dir); for a cluster \
                 add --cluster",
                from.data_dir
            );
        }
        Self::of_file(from, OlderLedger::ReadOnly).await
    }

    /// Opens like [`Self::open`], but creates a missing file, and treats a ledger that lacks acknowledged
    /// writes as given.
    ///
    /// # Errors
    /// When the cluster, server or file cannot be used.
    pub(super) async fn open_or_make(
        from: &SourceArgs,
        older: OlderLedger,
    ) -> anyhow::Result<Self> {
        if from.cluster.cluster {
            return Self::of_cluster(from).await;
        }
        match AdminClient::connect(&from.data_dir).await? {
            Some(client) => Ok(Self::Server(client)),
            None => Self::of_file(from, older).await,
        }
    }

    async fn of_cluster(from: &SourceArgs) -> anyhow::Result<Self> {
        let cluster = ClusterBackend::connect(&from.cluster).await?;
        Ok(Self::Cluster(Box::new(cluster)))
    }

    async fn of_file(from: &SourceArgs, older: OlderLedger) -> anyhow::Result<Self> {
        let catalog: Arc<ArcSwapOption<Catalog>> = Arc::default();
        if let Some(manifests) = &from.manifests {
            read(manifests, &catalog).await?;
        }
        let embedded = EmbeddedLedger::open_with(&from.data_dir, older)?;
        if let origin @ (LedgerOrigin::ReadOnly(_) | LedgerOrigin::Accepted { .. }) =
            embedded.origin()
        {
            crate::cli::print_warning(origin);
        }
        let ledger: Arc<Ledger> = Arc::new(embedded.into());
        let index = Arc::new(SharedIndex::default());
        let (stored, cursor) = ledger.list().await?;
        index.lock().replace(stored, cursor.version());
        let policy = Arc::new(ArcSwap::from_pointee(Policy::default()));
        let operator = OperatorService::new(catalog, policy, index, ledger, crate::cli::clock());
        Ok(Self::File(Box::new(operator)))
    }

    pub(super) async fn pools(&self) -> anyhow::Result<Vec<PoolRow>> {
        match self {
            Self::Server(client) => client.pools().await,
            Self::File(operator) => Ok(operator.pools()),
            Self::Cluster(cluster) => cluster.pools().await,
        }
    }

    pub(super) async fn map(&self, pool: &str) -> anyhow::Result<PoolMap> {
        match self {
            Self::Server(client) => client.map(pool).await,
            Self::File(operator) => Ok(operator.map(pool)?),
            Self::Cluster(cluster) => cluster.map(pool).await,
        }
    }

    pub(super) async fn allocations(&self, filter: &Filter) -> anyhow::Result<Vec<AddressRow>> {
        match self {
            Self::Server(client) => client.allocations(filter).await,
            Self::File(operator) => Ok(operator.allocations(filter)),
            Self::Cluster(cluster) => cluster.allocations(filter).await,
        }
    }

    /// Returns the pods with these labels in the namespace of a filter, as `namespace/name`.
    pub(super) async fn selected_pods(
        &self,
        filter: &Filter,
        selector: &str,
    ) -> anyhow::Result<BTreeSet<String>> {
        match self {
            Self::Cluster(cluster) => {
                let namespace = filter.namespace.as_deref();
                cluster.selected_pods(namespace, selector).await
            }
            Self::Server(_) | Self::File(_) => {
                bail!("only a cluster selects pods by labels; add --cluster")
            }
        }
    }

    pub(super) async fn whois(&self, address: Address) -> anyhow::Result<Whois> {
        match self {
            Self::Server(client) => client.whois(address).await,
            Self::File(operator) => Ok(operator.whois(address)),
            Self::Cluster(cluster) => cluster.whois(address).await,
        }
    }

    pub(super) async fn pod(&self, namespace: &str, name: &str) -> anyhow::Result<PodView> {
        match self {
            Self::Server(client) => client.pod(namespace, name).await,
            Self::File(operator) => Ok(operator.pod(namespace, name)),
            Self::Cluster(cluster) => cluster.pod(namespace, name).await,
        }
    }

    pub(super) async fn release(&self, request: ReleaseRequest) -> anyhow::Result<Released> {
        match self {
            Self::Server(client) => client.release(&request).await,
            Self::File(operator) => Ok(operator.release(request).await?),
            Self::Cluster(cluster) => cluster.release(request).await,
        }
    }

    pub(super) async fn export(
        &self,
        mut out: impl io::Write + Send + 'static,
    ) -> anyhow::Result<()> {
        match self {
            Self::Server(client) => {
                let page = client.export().await?;
                out.write_all(&page).and_then(|()| out.flush())?;
            }
            Self::File(operator) => {
                operator.export(out).await?;
            }
            Self::Cluster(cluster) => {
                cluster.export(out).await?;
            }
        }
        Ok(())
    }

    pub(super) async fn import(&self, lines: Vec<u8>) -> anyhow::Result<u64> {
        match self {
            Self::Server(client) => client.import(lines).await,
            Self::File(operator) => Ok(operator.import(io::Cursor::new(lines)).await?),
            Self::Cluster(cluster) => cluster.import(lines).await,
        }
    }
}

/// Reads the manifests once, like a server.
async fn read(manifests: &Path, catalog: &Arc<ArcSwapOption<Catalog>>) -> anyhow::Result<()> {
    let source = FolderSource::open(manifests, FolderOptions::default(), Arc::clone(catalog))?;
    source
        .refresh()
        .await
        .with_context(|| format!("--manifests {}", manifests.display()))
}
