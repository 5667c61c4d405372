//! One replica of nadmit in a cluster: watches, ledger, index, controllers and webhook state.
//!
//! It does not depend on sockets or kubeconfigs: the caller provides a client, a clock and a random source,
//! so that a simulation can run the same code.

use std::{future::Future, sync::Arc, time::Duration};

use arc_swap::{ArcSwap, ArcSwapOption};
use futures_util::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{counter::ConstCounter, gauge::ConstGauge},
    registry::Registry,
};
use tokio::{
    sync::watch::{Receiver, Sender},
    time::sleep,
};
use tokio_util::sync::CancellationToken;

use crate::{
    allocation::SharedIndex,
    api::call::RetryPolicy,
    catalog::{Catalog, LiveCatalog},
    clock::{Clock, RandomSource},
    controllers::{
        ClusterPodWriter, EventRecorder, EventSink, EventWriter, LeaderElector, LeaseOptions,
        LedgerSync, Reconciler, ReconcilerParts, ResyncHistory, ResyncScheduler, ServedNetworks,
        ServedNetworksParts, SliceSync, StatusWriter, WhereaboutsRepair, WhereaboutsRepairParts,
    },
    ledger::{
        ClusterLedger, ClusterLedgerOptions as LedgerOptions, Ledger, Pacing, SliceLedger,
        WhereaboutsLedger,
    },
    rules::Policy,
    server::{Allocations, Metrics, OperatorService, SharedState, metrics},
    sources::{ClusterLiveCatalog, ClusterSource, ClusterSourceOptions},
};

/// Delay before a failed initial read is repeated.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// Name of the Lease whose annotations record the last full resync.
const HISTORY_LEASE: &str = "nadmit";

/// Options of a replica.
pub struct ReplicaOptions {
    /// URL of the API server, for error messages.
    pub server: String,
    /// nadmit's own namespace, which has its Lease and its ConfigMap.
    pub namespace: String,
    /// Name of this process, unique among all writers.
    pub writer: String,
    /// The settings.
    pub policy: Arc<ArcSwap<Policy>>,
    /// Schedule of full resyncs, as written in its file.
    pub schedule: Receiver<Option<String>>,
    /// Channel that says whether this replica is the leader; without it, a Lease decides.
    pub is_leader: Option<Receiver<bool>>,
    /// Clock.
    pub clock: Clock,
    /// Source of unguessable numbers.
    pub random: RandomSource,
}

/// A replica that has not sent any request yet.
pub struct Replica {
    /// State of the webhooks.
    pub state: SharedState,
    /// Service for operators' requests.
    pub operator: Arc<OperatorService>,
    /// Tasks that run alongside the webhooks.
    pub tasks: ReplicaTasks,
}

/// Tasks that run alongside the webhooks.
pub struct ReplicaTasks {
    source: ClusterSource,
    policy: Arc<ArcSwap<Policy>>,
    ledger: Arc<Ledger>,
    slices: SliceLedger,
    index: Arc<SharedIndex>,
    controllers: Controllers,
}

/// Controllers, which act while this replica is the leader.
struct Controllers {
    leadership: Option<LeaderElector>,
    leads: Receiver<bool>,
    /// Channels that publish whether this replica is the leader.
    leader_senders: [Sender<bool>; 4],
    reconciler: Reconciler,
    served_networks: ServedNetworks,
    whereabouts_repair: WhereaboutsRepair,
    resync_scheduler: ResyncScheduler,
    status: StatusWriter,
    events: EventWriter,
}

impl Replica {
    /// Creates a replica of the cluster that `client` connects to.
    pub fn new(client: kube::Client, options: ReplicaOptions) -> Self {
        let catalog = Arc::new(ArcSwapOption::empty());
        let watches = ClusterSourceOptions {
            server: options.server.clone(),
            ..ClusterSourceOptions::default()
        };
        let source = ClusterSource::new(client.clone(), watches, Arc::clone(&catalog));
        source.set_pool_derivation(options.policy.load().pool_derivation);
        let cluster = ClusterLedger::new(client.clone(), LedgerOptions::new(&*options.writer));
        let mut registry = metrics::registry();
        cluster.register(&mut registry);
        registry.register_collector(Box::new(WatchMetrics(source.clone())));
        let ledger: Arc<Ledger> = Arc::new(cluster.into());
        let slices = SliceLedger::new(client.clone(), RetryPolicy::default());
        let chance = options.random.clone();
        let whereabouts = WhereaboutsLedger::new(
            client.clone(),
            RetryPolicy::default(),
            Arc::clone(&ledger),
            pacing(&source, &options),
        );
        let allocations = Allocations::new(Arc::default(), Arc::clone(&ledger), chance)
            .with_slices(slices.clone())
            .with_whereabouts(whereabouts.clone());
        let index = Arc::clone(&allocations.index);
        let server_metrics = Metrics::register(&mut registry, Arc::clone(&catalog));
        metrics::register_pools(&mut registry, Arc::clone(&index));
        let policy = Arc::clone(&options.policy);
        let live_catalog: Arc<dyn LiveCatalog> =
            Arc::new(ClusterLiveCatalog::new(source.clone(), move || {
                policy.load().multus_namespace.clone()
            }));
        let operator = OperatorService::new(
            Arc::clone(&catalog),
            Arc::clone(&options.policy),
            Arc::clone(&index),
            Arc::clone(&ledger),
            options.clock.clone(),
        )
        .with_server(Arc::clone(&live_catalog), Arc::clone(&server_metrics));
        let dependencies = ControllerDependencies {
            catalog: Arc::clone(&catalog),
            index: Arc::clone(&index),
            ledger: Arc::clone(&ledger),
            slices: slices.clone(),
            whereabouts,
            live: Arc::clone(&live_catalog),
        };
        let controllers = Controllers::new(client, &options, dependencies, &mut registry);
        let policy = Arc::clone(&options.policy);
        let state = SharedState {
            catalog,
            policy: options.policy,
            allocations,
            live_catalog,
            metrics: server_metrics,
            registry,
        };
        Self {
            state,
            operator: Arc::new(operator),
            tasks: ReplicaTasks {
                source,
                policy,
                ledger,
                slices,
                index,
                controllers,
            },
        }
    }
}

/// Returns the pacing of the writes of Whereabouts's records: nadmit's pods are among those that are watched.
fn pacing(source: &ClusterSource, options: &ReplicaOptions) -> Pacing {
    let (source, namespace) = (source.clone(), options.namespace.clone());
    let random = options.random.clone();
    Pacing::new(
        move || source.live_replicas(&namespace),
        move || random.next(),
    )
}

/// Dependencies of the controllers.
struct ControllerDependencies {
    catalog: Arc<ArcSwapOption<Catalog>>,
    index: Arc<SharedIndex>,
    ledger: Arc<Ledger>,
    slices: SliceLedger,
    whereabouts: WhereaboutsLedger,
    live: Arc<dyn LiveCatalog>,
}

impl Controllers {
    fn new(
        client: kube::Client,
        options: &ReplicaOptions,
        dependencies: ControllerDependencies,
        registry: &mut Registry,
    ) -> Self {
        let clock = options.clock.clone();
        let (recorder, writer) =
            EventRecorder::new(client.clone(), &*options.writer, clock.clone());
        recorder.register(registry);
        let events: Arc<dyn EventSink> = Arc::new(recorder);
        let (leadership, leads) = match &options.is_leader {
            Some(leads) => (None, leads.clone()),
            None => {
                let lease = LeaseOptions::new(&*options.namespace, &*options.writer);
                let leadership = LeaderElector::new(client.clone(), lease, clock.clone());
                leadership.register(registry);
                let leads = leadership.is_leader();
                (Some(leadership), leads)
            }
        };
        // One channel per receiver: tokio wakes several receivers of one channel in random order, which
        // would make simulations irreproducible.
        let leader_senders: [Sender<bool>; 4] =
            std::array::from_fn(|_| Sender::new(*leads.borrow()));
        let served_networks = ServedNetworks::new(ServedNetworksParts {
            catalog: Arc::clone(&dependencies.catalog),
            policy: Arc::clone(&options.policy),
            index: Arc::clone(&dependencies.index),
            ledger: Arc::clone(&dependencies.ledger),
            whereabouts: dependencies.whereabouts.clone(),
            live: Arc::clone(&dependencies.live),
            is_leader: leader_senders[2].subscribe(),
        });
        let whereabouts_repair = WhereaboutsRepair::new(WhereaboutsRepairParts {
            catalog: Arc::clone(&dependencies.catalog),
            index: Arc::clone(&dependencies.index),
            whereabouts: dependencies.whereabouts,
            events: Arc::clone(&events),
            is_leader: leader_senders[3].subscribe(),
        });
        whereabouts_repair.register(registry);
        let reconciler = Reconciler::new(ReconcilerParts {
            catalog: Arc::clone(&dependencies.catalog),
            policy: Arc::clone(&options.policy),
            index: Arc::clone(&dependencies.index),
            ledger: dependencies.ledger,
            slices: Some(dependencies.slices),
            clock: clock.clone(),
            live: dependencies.live,
            pod_writer: Arc::new(ClusterPodWriter::new(
                client.clone(),
                RetryPolicy::default(),
            )),
            events: Arc::clone(&events),
            is_leader: leads.clone(),
        });
        reconciler.register(registry);
        let resync_history = ResyncHistory::new(client.clone(), &options.namespace, HISTORY_LEASE);
        let resync_scheduler = ResyncScheduler::new(
            options.schedule.clone(),
            leader_senders[0].subscribe(),
            resync_history,
            Arc::clone(&events),
            &options.namespace,
            clock.clone(),
        );
        resync_scheduler.register(registry);
        let status = StatusWriter::new(
            client,
            dependencies.catalog,
            dependencies.index,
            leader_senders[1].subscribe(),
            events,
            clock,
        );
        Self {
            leadership,
            leads,
            leader_senders,
            reconciler,
            served_networks,
            whereabouts_repair,
            resync_scheduler,
            status,
            events: writer,
        }
    }

    async fn run(self, index: Arc<SharedIndex>, cancel: CancellationToken) {
        let Self {
            leadership,
            leads,
            leader_senders,
            reconciler,
            served_networks,
            whereabouts_repair,
            resync_scheduler,
            status,
            events,
        } = self;
        let leading = match leadership {
            Some(leadership) => leadership.run(cancel.clone()).boxed(),
            None => std::future::ready(()).boxed(),
        };
        let compare = || {
            let reconciler = reconciler.clone();
            let whereabouts_repair = whereabouts_repair.clone();
            async move {
                let mut report = reconciler.pass(true).await;
                whereabouts_repair.request();
                match report.errors.is_empty() {
                    true => Ok(report),
                    false => Err(report.errors.swap_remove(0)),
                }
            }
            .boxed()
        };
        run_all([
            leading,
            publish_leadership(leads, leader_senders, index, cancel.clone()).boxed(),
            reconciler.clone().run(cancel.clone()).boxed(),
            served_networks.run(cancel.clone()).boxed(),
            whereabouts_repair.clone().run(cancel.clone()).boxed(),
            resync_scheduler.run(compare, cancel.clone()).boxed(),
            status.run(cancel.clone()).boxed(),
            events.run(cancel.clone()).boxed(),
        ])
        .await;
    }
}

/// Publishes whether this replica is the leader to the controllers and the index. The leader allocates the
/// lowest addresses; other replicas avoid them under contention.
async fn publish_leadership(
    mut leads: Receiver<bool>,
    leader_senders: [Sender<bool>; 4],
    index: Arc<SharedIndex>,
    cancel: CancellationToken,
) {
    loop {
        let leader = *leads.borrow_and_update();
        index.lock().yield_lowest(!leader);
        for one in &leader_senders {
            one.send_replace(leader);
        }
        tokio::select! {
            biased;
            () = cancel.cancelled() => return,
            changed = leads.changed() => if changed.is_err() { return },
        }
    }
}

impl ReplicaTasks {
    /// Keeps the replica's view of the cluster up to date and reconciles the cluster, until `cancel`.
    /// Reviews are answered once the allocations and all required kinds were read.
    pub async fn run(self, cancel: CancellationToken) {
        let index = &self.index;
        let feed = retry_until_ok(&cancel, || {
            LedgerSync::open(Arc::clone(&self.ledger), Arc::clone(index))
        });
        // Nothing is decided before there is a catalog, so the index is never used while it is empty.
        let Some(feed) = feed.await else { return };
        let slices = retry_until_ok(&cancel, || {
            SliceSync::open(self.slices.clone(), Arc::clone(index))
        });
        let Some(slices) = slices.await else { return };
        let source = self.source.clone();
        let derivation = super::live_config::follow_pool_derivation(
            self.policy,
            cancel.clone(),
            move |derivation| {
                source.set_pool_derivation(derivation);
            },
        );
        run_all([
            derivation.boxed(),
            feed.run(cancel.clone()).boxed(),
            slices.run(cancel.clone()).boxed(),
            self.source.run(cancel.clone()).boxed(),
            self.controllers
                .run(Arc::clone(index), cancel.clone())
                .boxed(),
        ])
        .await;
    }
}

/// Runs all of these to completion. `join!` would poll each of them whenever any is ready, which is often.
async fn run_all<'f>(futures: impl IntoIterator<Item = BoxFuture<'f, ()>>) {
    let mut futures: FuturesUnordered<BoxFuture<'f, ()>> = futures.into_iter().collect();
    while futures.next().await.is_some() {}
}

/// Retries until an attempt succeeds; `None` after cancellation.
async fn retry_until_ok<T, E, F>(
    cancel: &CancellationToken,
    mut attempt: impl FnMut() -> F,
) -> Option<T>
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
            Err(error) => {
                tracing::error!(component = "replica", %error, "initial read failed; retrying")
            }
        }
        tokio::select! {
            biased;
            () = cancel.cancelled() => return None,
            () = sleep(RETRY_DELAY) => {}
        }
    }
}

/// Collector of the state of the watches. It reads the source's status at each scrape; gauges would be a
/// second copy of it.
#[derive(Debug)]
struct WatchMetrics(ClusterSource);

impl Collector for WatchMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let status = self.0.status();
        let events = ConstCounter::new(status.events);
        let help = "Events received by the watches.";
        let metric = encoder.encode_descriptor("watch_events", help, None, events.metric_type())?;
        events.encode(metric)?;
        let none = ConstGauge::new(0_i64).metric_type();
        let help =
            "Whether the watch of a kind is interrupted; its last known objects still apply.";
        let mut metric = encoder.encode_descriptor("watch_stale", help, None, none)?;
        for kind in &status.kinds {
            let labels = [("resource", &*kind.resource)];
            let stale = i64::from(kind.stale.is_some());
            ConstGauge::new(stale).encode(metric.encode_family(&labels)?)?;
        }
        let help = "Objects of a kind in the catalog.";
        let mut metric = encoder.encode_descriptor("watch_objects", help, None, none)?;
        for kind in &status.kinds {
            let labels = [("resource", &*kind.resource)];
            let objects = i64::try_from(kind.objects).unwrap_or(i64::MAX);
            ConstGauge::new(objects).encode(metric.encode_family(&labels)?)?;
        }
        Ok(())
    }
}
