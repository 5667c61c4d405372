//! Live reads through the sources that feed the catalog.

use nadmit_catalog::{LiveCatalog, LiveRead, LiveReadError, LiveReadFuture};

use super::{ClusterSource, FolderSource};

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
}

impl LiveCatalog for ClusterLiveCatalog {
    fn refresh<'a>(&'a self, reads: &'a [LiveRead]) -> LiveReadFuture<'a> {
        Box::pin(async move {
            for read in reads {
                let multus_namespace = (self.multus_namespace)();
                let refreshed = self.source.refresh(read, &multus_namespace).await;
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
