//! One replica of nadmit in a cluster: watches, ledger, index and webhooks put together.
//!
//! It knows nothing of sockets and kubeconfigs: who starts it brings a client, a clock and a source of
//! chance. So a simulation runs the very same.

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
    catalog::Catalog,
    clock::{Clock, RandomSource},
    controllers::{
        ClusterPodWriter, EventRecorder, EventSink, EventWriter, LeaderElector, LeaseOptions,
        LedgerSync, LiveReader, ReadTarget, Reconciler, ReconcilerParts, ResyncHistory,
        ResyncScheduler, SliceSync, StatusWriter,
    },
    ledger::{ClusterLedger, ClusterLedgerOptions as LedgerOptions, Ledger, SliceLedger},
    rules::{LiveRead, Policy},
    server::{
        Allocations, LiveCatalog, LiveReadError, Metrics, OperatorService, ServerState, metrics,
    },
    sources::{ClusterError, ClusterSource, ClusterSourceOptions},
};

/// How long to wait before what could not be read at the start is read again.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// The Lease whose annotations say when everything was compared last.
const HISTORY_LEASE: &str = "nadmit";

/// What a replica is given.
pub struct ReplicaOptions {
    /// What the API server is called in errors: its URL.
    pub server: String,
    /// nadmit's own namespace, where its Lease and its ConfigMap are.
    pub namespace: String,
    /// The name of this process, unlike that of any other.
    pub writer: String,
    /// The settings.
    pub policy: Arc<ArcSwap<Policy>>,
    /// When everything is compared, as the file says it.
    pub schedule: Receiver<Option<String>>,
    /// Who says that this replica leads; without it, a Lease does.
    pub is_leader: Option<Receiver<bool>>,
    /// What the time is.
    pub clock: Clock,
    /// Numbers that nobody can guess.
    pub random: RandomSource,
}

/// A replica, put together; nothing is asked of the cluster yet.
pub struct Replica {
    /// What the webhooks read.
    pub state: ServerState,
    /// Where operators are served.
    pub operator: Arc<OperatorService>,
    /// What runs beside the webhooks.
    pub tasks: ReplicaTasks,
}

/// What runs beside the webhooks.
pub struct ReplicaTasks {
    source: ClusterSource,
    ledger: Arc<Ledger>,
    slices: SliceLedger,
    index: Arc<SharedIndex>,
    controllers: Controllers,
}

/// What acts, where this replica leads.
struct Controllers {
    leadership: Option<LeaderElector>,
    leads: Receiver<bool>,
    /// Where it is handed on who leads.
    leader_senders: [Sender<bool>; 2],
    steward: Reconciler,
    rounds: ResyncScheduler,
    status: StatusWriter,
    events: EventWriter,
}

impl Replica {
    /// A replica of the cluster that `client` leads to.
    pub fn new(client: kube::Client, options: ReplicaOptions) -> Self {
        let catalog = Arc::new(ArcSwapOption::empty());
        let watches = ClusterSourceOptions {
            server: options.server.clone(),
            ..ClusterSourceOptions::default()
        };
        let source = ClusterSource::new(client.clone(), watches, Arc::clone(&catalog));
        let cluster = ClusterLedger::new(client.clone(), LedgerOptions::new(&*options.writer));
        let mut registry = metrics::registry();
        registry.register_collector(cluster.collector());
        registry.register_collector(Box::new(WatchMetrics(source.clone())));
        let ledger: Arc<Ledger> = Arc::new(cluster.into());
        let slices = SliceLedger::new(client.clone(), RetryPolicy::default());
        let chance = options.random.clone();
        let allocations = Allocations::new(Arc::default(), Arc::clone(&ledger), chance)
            .with_slices(slices.clone());
        let index = Arc::clone(&allocations.index);
        let server_metrics = Metrics::register(&mut registry, Arc::clone(&catalog));
        metrics::register_pools(&mut registry, Arc::clone(&index));
        let ask = Arc::new(ClusterLiveCatalog {
            source: source.clone(),
            policy: Arc::clone(&options.policy),
        });
        let live_catalog: Arc<dyn LiveCatalog> = ask.clone();
        let operator = OperatorService::new(
            Arc::clone(&catalog),
            Arc::clone(&options.policy),
            Arc::clone(&index),
            Arc::clone(&ledger),
            options.clock.clone(),
        )
        .with_server(Arc::clone(&live_catalog), Arc::clone(&server_metrics));
        let known = ControllerDependencies {
            catalog: Arc::clone(&catalog),
            index: Arc::clone(&index),
            ledger: Arc::clone(&ledger),
            slices: slices.clone(),
            live: ask,
        };
        let controllers = Controllers::new(client, &options, known, &mut registry);
        let state = ServerState {
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
                ledger,
                slices,
                index,
                controllers,
            },
        }
    }
}

/// What the controllers know.
struct ControllerDependencies {
    catalog: Arc<ArcSwapOption<Catalog>>,
    index: Arc<SharedIndex>,
    ledger: Arc<Ledger>,
    slices: SliceLedger,
    live: Arc<ClusterLiveCatalog>,
}

impl Controllers {
    fn new(
        client: kube::Client,
        options: &ReplicaOptions,
        known: ControllerDependencies,
        registry: &mut Registry,
    ) -> Self {
        let clock = options.clock.clone();
        let (recorder, writer) =
            EventRecorder::new(client.clone(), &*options.writer, clock.clone());
        registry.register_collector(recorder.collector());
        let events: Arc<dyn EventSink> = Arc::new(recorder);
        let (leadership, leads) = match &options.is_leader {
            Some(leads) => (None, leads.clone()),
            None => {
                let lease = LeaseOptions::new(&*options.namespace, &*options.writer);
                let leadership = LeaderElector::new(client.clone(), lease, clock.clone());
                registry.register_collector(leadership.collector());
                let leads = leadership.is_leader();
                (Some(leadership), leads)
            }
        };
        // A channel for each who waits: of several at one, tokio wakes a random one first, and a
        // simulation could not be repeated.
        let leader_senders: [Sender<bool>; 2] =
            std::array::from_fn(|_| Sender::new(*leads.borrow()));
        let steward = Reconciler::new(ReconcilerParts {
            catalog: Arc::clone(&known.catalog),
            policy: Arc::clone(&options.policy),
            index: Arc::clone(&known.index),
            ledger: known.ledger,
            slices: Some(known.slices),
            clock: clock.clone(),
            live: known.live,
            pod_writer: Arc::new(ClusterPodWriter::new(
                client.clone(),
                RetryPolicy::default(),
            )),
            events: Arc::clone(&events),
            is_leader: leads.clone(),
        });
        registry.register_collector(steward.collector());
        let journal = ResyncHistory::new(client.clone(), &options.namespace, HISTORY_LEASE);
        let rounds = ResyncScheduler::new(
            options.schedule.clone(),
            leader_senders[0].subscribe(),
            journal,
            Arc::clone(&events),
            &options.namespace,
            clock.clone(),
        );
        registry.register_collector(rounds.collector());
        let status = StatusWriter::new(
            client,
            known.catalog,
            known.index,
            leader_senders[1].subscribe(),
            events,
            clock,
        );
        Self {
            leadership,
            leads,
            leader_senders,
            steward,
            rounds,
            status,
            events: writer,
        }
    }

    async fn run(self, index: Arc<SharedIndex>, cancel: CancellationToken) {
        let Self {
            leadership,
            leads,
            leader_senders,
            steward,
            rounds,
            status,
            events,
        } = self;
        let leading = match leadership {
            Some(leadership) => leadership.run(cancel.clone()).boxed(),
            None => std::future::ready(()).boxed(),
        };
        let compare = || {
            let steward = steward.clone();
            async move {
                let report = steward.pass(true).await;
                match report.errors.first() {
                    Some(error) => Err(error.clone()),
                    None => Ok(report.to_string()),
                }
            }
            .boxed()
        };
        run_all([
            leading,
            publish_leadership(leads, leader_senders, index, cancel.clone()).boxed(),
            steward.clone().run(cancel.clone()).boxed(),
            rounds.run(compare, cancel.clone()).boxed(),
            status.run(cancel.clone()).boxed(),
            events.run(cancel.clone()).boxed(),
        ])
        .await;
    }
}

/// Tells who has to know whether this replica leads: the controllers, and the index. The replica that
/// leads takes the lowest addresses; others step aside when many ask at once.
async fn publish_leadership(
    mut leads: Receiver<bool>,
    leader_senders: [Sender<bool>; 2],
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
    /// Keeps the replica's view of the cluster true, and the cluster as it should be, until `cancel`.
    /// Reviews are answered from when the allocations and everything that is necessary were read once.
    pub async fn run(self, cancel: CancellationToken) {
        let index = &self.index;
        let feed = retry_until_ok(&cancel, || {
            LedgerSync::open(Arc::clone(&self.ledger), Arc::clone(index))
        });
        // Before there is a catalog nothing is decided: so the index is never asked empty.
        let Some(feed) = feed.await else { return };
        let slices = retry_until_ok(&cancel, || {
            SliceSync::open(self.slices.clone(), Arc::clone(index))
        });
        let Some(slices) = slices.await else { return };
        run_all([
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

/// Runs all of these to their end. `join!` would look at each of them whenever one has something to
/// do, which is often.
async fn run_all<'f>(futures: impl IntoIterator<Item = BoxFuture<'f, ()>>) {
    let mut futures: FuturesUnordered<BoxFuture<'f, ()>> = futures.into_iter().collect();
    while futures.next().await.is_some() {}
}

/// Tries until it works; `None` when that is not wanted any more.
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
            Err(error) => tracing::error!("{error}"),
        }
        tokio::select! {
            biased;
            () = cancel.cancelled() => return None,
            () = sleep(RETRY_DELAY) => {}
        }
    }
}

/// Confirms by reading the cluster past the watches.
struct ClusterLiveCatalog {
    source: ClusterSource,
    policy: Arc<ArcSwap<Policy>>,
}

impl ClusterLiveCatalog {
    async fn look(&self, lookup: &LiveRead) -> Result<(), ClusterError> {
        let source = &self.source;
        match lookup {
            LiveRead::Network { namespace, name } => source.refresh_network(namespace, name).await,
            LiveRead::Pod { namespace, name } => source.refresh_pod(namespace, name).await,
            LiveRead::Migration { namespace, name } => {
                source.refresh_migration(namespace, name).await
            }
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
                let default_home = self.policy.load().multus_namespace.clone();
                source
                    .refresh_network_users(namespace, name, &default_home)
                    .await
            }
            // The ledger is asked for them.
            LiveRead::Allocations { .. } | LiveRead::Holdings { .. } => Ok(()),
        }
    }
}

impl LiveReader for ClusterLiveCatalog {
    fn refresh<'a>(&'a self, target: &'a ReadTarget) -> BoxFuture<'a, Result<(), String>> {
        async move {
            let source = &self.source;
            let refreshed = match target {
                ReadTarget::Node(name) => source.refresh_node(name).await,
                ReadTarget::Network(namespace, name) => {
                    source.refresh_network(namespace, name).await
                }
                ReadTarget::StatefulSet(namespace, name) => {
                    source.refresh_stateful_set(namespace, name).await
                }
                ReadTarget::VirtualMachine(namespace, name) => {
                    source.refresh_virtual_machine(namespace, name).await
                }
                ReadTarget::Migration(namespace, name) => {
                    source.refresh_migration(namespace, name).await
                }
                ReadTarget::Pod(namespace, name) => source.refresh_pod(namespace, name).await,
                ReadTarget::PodsOf(namespace) => source.refresh_pods_of(namespace).await,
            };
            refreshed.map_err(|error| error.to_string())
        }
        .boxed()
    }
}

impl LiveCatalog for ClusterLiveCatalog {
    fn confirm<'a>(&'a self, lookups: &'a [LiveRead]) -> BoxFuture<'a, Result<(), LiveReadError>> {
        async move {
            for lookup in lookups {
                self.look(lookup).await.map_err(LiveReadError::new)?;
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
