//! One replica of nadmit in a cluster: watches, ledger, index and webhooks put together.
//!
//! It knows nothing of sockets and kubeconfigs: who starts it brings a client, a clock and a source of
//! chance. So a simulation runs the very same.

use std::{future::Future, sync::Arc, time::Duration};

use arc_swap::{ArcSwap, ArcSwapOption};
use futures_util::{FutureExt as _, future::BoxFuture};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{counter::ConstCounter, gauge::ConstGauge},
};
use tokio::{join, time::sleep};
use tokio_util::sync::CancellationToken;

use crate::{
    api::call::Patience,
    clock::{Chance, Clock},
    controllers::Feed,
    ledger::{ClusterLedger, ClusterOptions as LedgerOptions, Ledger, SliceLedger},
    rules::{Lookup, Policy},
    server::{Allocations, Confirm, ConfirmError, Desk, Metrics, State, metrics},
    sources::{ClusterError, ClusterOptions, ClusterSource},
};

/// How long to wait before what could not be read at the start is read again.
const PATIENCE: Duration = Duration::from_secs(1);

/// What a replica is given.
pub struct ReplicaOptions {
    /// What the API server is called in errors: its URL.
    pub server: String,
    /// The name of this process, unlike that of any other.
    pub writer: String,
    /// The settings.
    pub policy: Arc<ArcSwap<Policy>>,
    /// What the time is.
    pub clock: Clock,
    /// Numbers that nobody can guess.
    pub chance: Chance,
}

/// A replica, put together; nothing is asked of the cluster yet.
pub struct Replica {
    /// What the webhooks read.
    pub state: State,
    /// Where operators are served.
    pub desk: Arc<Desk>,
    /// What runs beside the webhooks.
    pub beside: Beside,
}

/// What runs beside the webhooks.
pub struct Beside {
    source: ClusterSource,
    ledger: Arc<Ledger>,
    allocations: Allocations,
}

impl Replica {
    /// A replica of the cluster that `client` leads to.
    pub fn new(client: kube::Client, options: ReplicaOptions) -> Self {
        let catalog = Arc::new(ArcSwapOption::empty());
        let watches = ClusterOptions {
            server: options.server,
            ..ClusterOptions::default()
        };
        let source = ClusterSource::new(client.clone(), watches, Arc::clone(&catalog));
        let cluster = ClusterLedger::new(client.clone(), LedgerOptions::new(options.writer));
        let requests = cluster.collector();
        let ledger: Arc<Ledger> = Arc::new(cluster.into());
        let slices = SliceLedger::new(client, Patience::default());
        let allocations = Allocations::new(Arc::default(), Arc::clone(&ledger), options.chance)
            .with_slices(slices);
        let mut registry = metrics::registry();
        let server_metrics = Metrics::register(&mut registry, Arc::clone(&catalog));
        metrics::register_pools(&mut registry, Arc::clone(&allocations.index));
        registry.register_collector(requests);
        registry.register_collector(Box::new(WatchMetrics(source.clone())));
        let confirmer: Arc<dyn Confirm> = Arc::new(AskCluster {
            source: source.clone(),
            policy: Arc::clone(&options.policy),
        });
        let desk = Desk::new(
            Arc::clone(&catalog),
            Arc::clone(&options.policy),
            Arc::clone(&allocations.index),
            Arc::clone(&ledger),
            options.clock,
        )
        .serving(Arc::clone(&confirmer), Arc::clone(&server_metrics));
        let state = State {
            catalog,
            policy: options.policy,
            allocations: allocations.clone(),
            confirmer,
            metrics: server_metrics,
            registry,
        };
        Self {
            state,
            desk: Arc::new(desk),
            beside: Beside {
                source,
                ledger,
                allocations,
            },
        }
    }
}

impl Beside {
    /// Keeps the replica's view of the cluster true, until `cancel`. Reviews are answered from when
    /// the allocations and everything that is necessary were read once.
    pub async fn run(self, cancel: CancellationToken) {
        let index = Arc::clone(&self.allocations.index);
        let feed = until(&cancel, || {
            Feed::open(Arc::clone(&self.ledger), Arc::clone(&index))
        });
        // Before there is a catalog nothing is decided: so the index is never asked empty.
        let Some(feed) = feed.await else { return };
        join!(feed.run(cancel.clone()), self.source.run(cancel.clone()));
    }
}

/// Tries until it works; `None` when that is not wanted any more.
async fn until<T, E, F>(cancel: &CancellationToken, mut attempt: impl FnMut() -> F) -> Option<T>
where
    F: Future<Output = Result<T, E>>,
    E: std::fmt::Display,
{
    loop {
        let tried = tokio::select! {
            biased;
            () = cancel.cancelled() => return None,
            tried = attempt() => tried,
        };
        match tried {
            Ok(value) => return Some(value),
            Err(error) => tracing::error!("{error}"),
        }
        tokio::select! {
            biased;
            () = cancel.cancelled() => return None,
            () = sleep(PATIENCE) => {}
        }
    }
}

/// Confirms by reading the cluster past the watches.
struct AskCluster {
    source: ClusterSource,
    policy: Arc<ArcSwap<Policy>>,
}

impl AskCluster {
    async fn look(&self, lookup: &Lookup) -> Result<(), ClusterError> {
        let source = &self.source;
        match lookup {
            Lookup::Network { namespace, name } => source.refresh_network(namespace, name).await,
            Lookup::Pod { namespace, name } => source.refresh_pod(namespace, name).await,
            Lookup::NetworkOperator => source.refresh_operator().await,
            Lookup::Pool { name, namespace } => {
                source.refresh_pool(name).await?;
                match namespace {
                    Some(namespace) => source.refresh_namespace(namespace).await,
                    None => Ok(()),
                }
            }
            Lookup::NetworkUsers { namespace, name } => {
                source.refresh_namespace(namespace).await?;
                let default_home = self.policy.load().multus_namespace.clone();
                source
                    .refresh_network_users(namespace, name, &default_home)
                    .await
            }
            // The ledger is asked for them.
            Lookup::Allocations { .. } | Lookup::Holdings { .. } => Ok(()),
        }
    }
}

impl Confirm for AskCluster {
    fn confirm<'a>(&'a self, lookups: &'a [Lookup]) -> BoxFuture<'a, Result<(), ConfirmError>> {
        async move {
            for lookup in lookups {
                self.look(lookup).await.map_err(ConfirmError::new)?;
            }
            Ok(())
        }
        .boxed()
    }
}

/// The state of the watches, as it is at each scrape.
#[derive(Debug)]
struct WatchMetrics(ClusterSource);

impl Collector for WatchMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let status = self.0.status();
        let events = ConstCounter::new(status.events);
        let help = "Events that the watches brought";
        let metric = encoder.encode_descriptor("watch_events", help, None, events.metric_type())?;
        events.encode(metric)?;
        let none = ConstGauge::new(0_i64).metric_type();
        let help = "Whether nothing is heard of a kind at the moment; what was known before counts";
        let mut metric = encoder.encode_descriptor("watch_stale", help, None, none)?;
        for kind in &status.kinds {
            let labels = [("resource", &*kind.resource)];
            let stale = i64::from(kind.stale.is_some());
            ConstGauge::new(stale).encode(metric.encode_family(&labels)?)?;
        }
        let help = "Objects of a kind that the catalog has";
        let mut metric = encoder.encode_descriptor("watch_objects", help, None, none)?;
        for kind in &status.kinds {
            let labels = [("resource", &*kind.resource)];
            let objects = i64::try_from(kind.objects).unwrap_or(i64::MAX);
            ConstGauge::new(objects).encode(metric.encode_family(&labels)?)?;
        }
        Ok(())
    }
}
