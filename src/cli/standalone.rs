//! nadmit without a cluster: the catalog and live reads come from a folder of manifests.

use std::{path::Path, sync::Arc};

use arc_swap::{ArcSwap, ArcSwapOption};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::gauge::ConstGauge,
};
use tokio_util::sync::CancellationToken;

use crate::{
    catalog::{Catalog, LiveCatalog},
    controllers::{FolderReconciler, LedgerSync},
    ledger::{EmbeddedLedger, Ledger, LedgerOrigin, OlderLedger},
    rules::Policy,
    server::{Allocations, Metrics, OperatorService, SharedState, metrics},
    sources::{FolderLiveCatalog, FolderOptions, FolderSource},
};

/// A folder that was read once, and the server state built from it.
pub(super) struct Standalone {
    /// Tasks that run alongside the server.
    pub(super) tasks: StandaloneTasks,
    /// State of the webhooks.
    pub(super) state: SharedState,
    /// Service for operators' requests.
    pub(super) operator: Arc<OperatorService>,
}

/// Tasks that run alongside the server.
pub(super) struct StandaloneTasks {
    source: FolderSource,
    policy: Arc<ArcSwap<Policy>>,
    feed: LedgerSync,
    reconciler: FolderReconciler,
}

impl Standalone {
    /// Opens the folder and the ledger, and reads both.
    ///
    /// # Errors
    /// When the folder or the ledger cannot be read.
    pub(super) async fn open(
        folder: &Path,
        data_dir: &Path,
        older: OlderLedger,
        catalog: Arc<ArcSwapOption<Catalog>>,
        policy: Arc<ArcSwap<Policy>>,
    ) -> anyhow::Result<Self> {
        let source = FolderSource::open(folder, FolderOptions::default(), catalog.clone())?;
        source.set_pool_derivation(policy.load().pool_derivation);
        source.refresh().await?;
        let embedded = EmbeddedLedger::open_with(data_dir, older)?;
        warn_about_lost_records(
            &embedded,
            data_dir,
            catalog.load().as_deref(),
            &policy.load(),
        );
        let ledger: Arc<Ledger> = Arc::new(embedded.into());
        let allocations =
            Allocations::new(Arc::default(), Arc::clone(&ledger), super::random_source());
        let feed = LedgerSync::open(Arc::clone(&ledger), Arc::clone(&allocations.index)).await?;
        let mut reconciler = FolderReconciler::new(
            catalog.clone(),
            policy.clone(),
            Arc::clone(&allocations.index),
            Arc::clone(&ledger),
            super::clock(),
        );
        // Pools must be ready for the first request.
        reconciler.reconcile_once().await;
        let mut registry = metrics::registry();
        let server_metrics = Metrics::register(&mut registry, catalog.clone());
        metrics::register_pools(&mut registry, Arc::clone(&allocations.index));
        reconciler.register(&mut registry);
        registry.register_collector(Box::new(FolderMetrics(source.clone())));
        let live_catalog: Arc<dyn LiveCatalog> = Arc::new(FolderLiveCatalog(source.clone()));
        let index = Arc::clone(&allocations.index);
        let operator = OperatorService::new(
            catalog.clone(),
            policy.clone(),
            index,
            ledger,
            super::clock(),
        )
        .with_server(Arc::clone(&live_catalog), Arc::clone(&server_metrics));
        let state = SharedState {
            catalog,
            policy: Arc::clone(&policy),
            allocations,
            live_catalog,
            metrics: server_metrics,
            registry,
        };
        Ok(Self {
            tasks: StandaloneTasks {
                source,
                policy,
                feed,
                reconciler,
            },
            state,
            operator: Arc::new(operator),
        })
    }
}

impl StandaloneTasks {
    /// Runs until `stop`.
    pub(super) async fn run(self, stop: CancellationToken) {
        let source = self.source.clone();
        tokio::join!(
            self.source.run(stop.clone()),
            super::live_config::follow_pool_derivation(
                self.policy,
                stop.clone(),
                move |derivation| {
                    source.set_pool_derivation(derivation);
                }
            ),
            self.feed.run(stop.clone()),
            self.reconciler.run(stop.clone()),
        );
    }
}

/// Warns which addresses may be allocated twice if records are lost. Addresses used by pods are adopted
/// before anything is allocated.
fn warn_about_lost_records(
    ledger: &EmbeddedLedger,
    data_dir: &Path,
    catalog: Option<&Catalog>,
    policy: &Policy,
) {
    let data_dir = data_dir.display();
    match ledger.origin() {
        origin @ LedgerOrigin::Accepted { .. } => tracing::warn!(
            component = "ledger",
            %data_dir,
            %origin,
            "adopting the addresses of pods among the manifests; those of other pods may be allocated again"
        ),
        LedgerOrigin::Created => {
            let carried = catalog.map(|catalog| catalog.addresses_in_use(&policy.multus_namespace));
            let count = carried.map_or(0, |carried| carried.len());
            if count > 0 {
                tracing::warn!(
                    component = "ledger",
                    %data_dir,
                    addresses = count,
                    "the ledger is new, but pods and networks among the manifests use addresses of pools: \
                     adopting them; if a ledger was lost, stop nadmit and restore it, because addresses of \
                     other pods may be allocated again"
                );
            }
        }
        _ => {}
    }
}

/// Collector of the folder's state. It reads the source's status at each scrape; gauges would be a second
/// copy of it.
#[derive(Debug)]
struct FolderMetrics(FolderSource);

impl Collector for FolderMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let status = self.0.status();
        let gauges = [
            (
                "manifest_files",
                "Files with manifests in the folder.",
                status.files,
            ),
            (
                "manifest_errors",
                "Errors in the folder; each is logged once.",
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
