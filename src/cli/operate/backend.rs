//! Who answers: the running server, or the file that it would have.

use std::{io, path::Path, sync::Arc};

use anyhow::{Context as _, bail};
use arc_swap::{ArcSwap, ArcSwapOption};

use super::{From, client::Client};
use crate::{
    allocation::{Address, SharedIndex},
    catalog::Catalog,
    ledger::{EmbeddedLedger, Ledger, Store as _},
    operate::{AllocationRow, Filter, PodView, PoolMap, PoolRow, Whois},
    rules::Policy,
    server::{
        Desk,
        desk::{Release, Released},
    },
    sources::{FolderOptions, FolderSource},
};

/// The file of the embedded ledger.
const FILE_NAME: &str = "allocations.redb";

/// Who answers.
pub(super) enum Backend {
    /// The server that runs on the data directory.
    Server(Client),
    /// Its file, which no server has open.
    File(Box<Desk>),
}

impl Backend {
    /// Whoever there is: the server, else the file.
    ///
    /// # Errors
    /// When there is neither, or what is there cannot be used.
    pub(super) async fn open(from: &From) -> anyhow::Result<Self> {
        if let Some(client) = Client::connect(&from.data_dir).await? {
            return Ok(Self::Server(client));
        }
        let file = from.data_dir.join(FILE_NAME);
        if !file.exists() {
            bail!(
                "{}: no server answers there and no allocations are kept there; name the data \
                 directory of the server with --data-dir",
                from.data_dir.display()
            );
        }
        Self::of_file(from).await
    }

    /// The same, but where there is nothing yet, a new file is made.
    ///
    /// # Errors
    /// When what is there cannot be used.
    pub(super) async fn open_or_make(from: &From) -> anyhow::Result<Self> {
        match Client::connect(&from.data_dir).await? {
            Some(client) => Ok(Self::Server(client)),
            None => Self::of_file(from).await,
        }
    }

    async fn of_file(from: &From) -> anyhow::Result<Self> {
        let catalog: Arc<ArcSwapOption<Catalog>> = Arc::default();
        if let Some(manifests) = &from.manifests {
            read(manifests, &catalog).await?;
        }
        let ledger: Arc<Ledger> = Arc::new(EmbeddedLedger::open(&from.data_dir)?.into());
        let index = Arc::new(SharedIndex::default());
        let (stored, cursor) = ledger.list().await?;
        index.lock().replace(stored, cursor.version());
        let policy = Arc::new(ArcSwap::from_pointee(Policy::default()));
        let desk = Desk::new(catalog, policy, index, ledger, crate::cli::clock());
        Ok(Self::File(Box::new(desk)))
    }

    pub(super) async fn pools(&self) -> anyhow::Result<Vec<PoolRow>> {
        match self {
            Self::Server(client) => client.pools().await,
            Self::File(desk) => Ok(desk.pools()),
        }
    }

    pub(super) async fn map(&self, pool: &str) -> anyhow::Result<PoolMap> {
        match self {
            Self::Server(client) => client.map(pool).await,
            Self::File(desk) => Ok(desk.map(pool)?),
        }
    }

    pub(super) async fn allocations(&self, filter: &Filter) -> anyhow::Result<Vec<AllocationRow>> {
        match self {
            Self::Server(client) => client.allocations(filter).await,
            Self::File(desk) => Ok(desk.allocations(filter)),
        }
    }

    pub(super) async fn whois(&self, address: Address) -> anyhow::Result<Whois> {
        match self {
            Self::Server(client) => client.whois(address).await,
            Self::File(desk) => Ok(desk.whois(address)),
        }
    }

    pub(super) async fn pod(&self, namespace: &str, name: &str) -> anyhow::Result<PodView> {
        match self {
            Self::Server(client) => client.pod(namespace, name).await,
            Self::File(desk) => Ok(desk.pod(namespace, name)),
        }
    }

    pub(super) async fn release(&self, ask: Release) -> anyhow::Result<Released> {
        match self {
            Self::Server(client) => client.release(&ask).await,
            Self::File(desk) => Ok(desk.release(ask).await?),
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
            Self::File(desk) => {
                desk.export(out).await?;
            }
        }
        Ok(())
    }

    pub(super) async fn import(&self, lines: Vec<u8>) -> anyhow::Result<u64> {
        match self {
            Self::Server(client) => client.import(lines).await,
            Self::File(desk) => Ok(desk.import(io::Cursor::new(lines)).await?),
        }
    }
}

/// Reads the manifests once, as a server would.
async fn read(manifests: &Path, catalog: &Arc<ArcSwapOption<Catalog>>) -> anyhow::Result<()> {
    let source = FolderSource::open(manifests, FolderOptions::default(), Arc::clone(catalog))?;
    source
        .refresh()
        .await
        .with_context(|| format!("--manifests {}", manifests.display()))
}
