//! nadmit without a cluster: a folder feeds the catalog, and is asked before a denial.

use std::{path::Path, sync::Arc};

use arc_swap::{ArcSwap, ArcSwapOption};
use futures_util::{FutureExt as _, future::BoxFuture};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::gauge::ConstGauge,
};
use tokio_util::sync::CancellationToken;

use crate::{
    catalog::Catalog,
    rules::{Lookup, Policy},
    server::{Confirm, ConfirmError, Metrics, State, metrics},
    sources::{FolderOptions, FolderSource},
};

/// A folder that has been read once, and the server's view of it.
pub(super) struct Standalone {
    /// Feeds the catalog.
    pub(super) source: FolderSource,
    /// What the server reads.
    pub(super) state: State,
    /// Ends what runs beside the server.
    pub(super) stop: CancellationToken,
}

impl Standalone {
    /// Reads the folder for the first time.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) async fn open(
        folder: &Path,
        catalog: Arc<ArcSwapOption<Catalog>>,
        policy: Arc<ArcSwap<Policy>>,
    ) -> anyhow::Result<Self> {
        let source = FolderSource::open(folder, FolderOptions::default(), catalog.clone())?;
        source.refresh().await?;
        let mut registry = metrics::registry();
        let server_metrics = Metrics::register(&mut registry, catalog.clone());
        registry.register_collector(Box::new(FolderMetrics(source.clone())));
        let state = State {
            catalog,
            policy,
            confirmer: Arc::new(AskFolder(source.clone())),
            metrics: server_metrics,
            registry,
        };
        Ok(Self {
            source,
            state,
            stop: CancellationToken::new(),
        })
    }
}

/// Confirms by scanning the folder once more: that answers every look-up.
struct AskFolder(FolderSource);

impl Confirm for AskFolder {
    fn confirm<'a>(&'a self, _: &'a [Lookup]) -> BoxFuture<'a, Result<(), ConfirmError>> {
        self.0
            .refresh()
            .map(|outcome| outcome.map_err(ConfirmError::new))
            .boxed()
    }
}

/// The folder's state, as it is at each scrape.
#[derive(Debug)]
struct FolderMetrics(FolderSource);

impl Collector for FolderMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let status = self.0.status();
        let gauges = [
            (
                "manifest_files",
                "Files with manifests in the folder",
                status.files,
            ),
            (
                "manifest_errors",
                "Errors in the folder, each shown in the log once",
                status.all_errors().count(),
            ),
        ];
        for (name, help, value) in gauges {
            let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            let metric = encoder.encode_descriptor(name, help, None, gauge.metric_type())?;
            gauge.encode(metric)?;
        }
        Ok(())
    }
}
