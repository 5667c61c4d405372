//! Live reads through the sources that feed the catalog.

use nadmit_catalog::{LiveCatalog, LiveRead, LiveReadError, LiveReadFuture};

use super::{ClusterError, ClusterSource, FolderSource};

/// Live reads from the API server instead of the watch cache.
pub struct ClusterLiveCatalog {
    source: ClusterSource,
    /// Returns the namespace in which Multus looks up default networks.
    multus_namespace: Box<dyn Fn() -> Box<str> + Send + Sync>,
}

impl ClusterLiveCatalog {
    /// Creates live reads of `source`. `multus_namespace` returns the namespace in which Multus looks
    /// up default networks, which the settings may change.
    pub fn new(
        source: ClusterSource,
        multus_namespace: impl Fn() -> Box<str> + Send + Sync + 'static,
    ) -> Self {
        Self {
            source,
            multus_namespace: Box::new(multus_namespace),
        }
    }

    async fn read(&self, read: &LiveRead) -> Result<(), ClusterError> {
        let source = &self.source;
        match read {
            LiveRead::Node { name } => source.refresh_node(name).await,
            LiveRead::Network { namespace, name } => source.refresh_network(namespace, name).await,
            LiveRead::StatefulSet { namespace, name } => {
                source.refresh_stateful_set(namespace, name).await
            }
            LiveRead::VirtualMachine { namespace, name } => {
                source.refresh_virtual_machine(namespace, name).await
            }
            LiveRead::Migration { namespace, name } => {
                source.refresh_migration(namespace, name).await
            }
            LiveRead::Pod { namespace, name } => source.refresh_pod(namespace, name).await,
            LiveRead::PodsOf { namespace } => source.refresh_pods_of(namespace).await,
            LiveRead::NetworkOperator => source.refresh_operator().await,
            LiveRead::Pool { name, namespace } => {
                source.refresh_pool(name).await?;
                match namespace {
                    Some(namespace) => source.refresh_namespace(namespace).await,
                    None => Ok(()),
                }
            }
            LiveRead::NetworkUsers { namespace, name } => {
                source.refresh_namespace(namespace).await?;
                let multus_namespace = (self.multus_namespace)();
                source
                    .refresh_network_users(namespace, name, &multus_namespace)
                    .await
            }
            LiveRead::Allocations { .. } | LiveRead::Holdings { .. } => Ok(()),
        }
    }
}

impl LiveCatalog for ClusterLiveCatalog {
    fn refresh<'a>(&'a self, reads: &'a [LiveRead]) -> LiveReadFuture<'a> {
        Box::pin(async move {
            for read in reads {
                let refreshed = self.read(read).await;
                refreshed.map_err(|error| LiveReadError::Cluster(error.into()))?;
            }
            Ok(())
        })
    }
}

/// Live reads by another scan of the folder, which covers every read.
pub struct FolderLiveCatalog(pub FolderSource);

impl LiveCatalog for FolderLiveCatalog {
    fn refresh<'a>(&'a self, _: &'a [LiveRead]) -> LiveReadFuture<'a> {
        Box::pin(async {
            let refreshed = self.0.refresh().await;
            refreshed.map_err(|error| LiveReadError::Folder(error.into()))
        })
    }
}
