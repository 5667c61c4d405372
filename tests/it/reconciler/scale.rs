//! The duration of a reconcile pass with many pods.

use std::{sync::Arc, time::Instant};

use arc_swap::{ArcSwap, ArcSwapOption};
use libtest_mimic::Trial;
use nadmit::{
    allocation::{
        Allocation, Holder, NetworkRef, ParsedSpec, PodRef, PoolConfig, SharedIndex, Space, Stored,
        Timestamp, Version,
    },
    api::call::RetryPolicy,
    catalog::{
        Catalog, LiveCatalog, LiveRead, LiveReadFuture, NamespaceLabels, Pod, RequestedAnnotations,
    },
    clock::Clock,
    controllers::{ClusterPodWriter, NoopSink, Reconciler, ReconcilerParts},
    ledger::{ClusterLedger, ClusterLedgerOptions},
    network::Network,
    rules::Policy,
};
use serde_json::json;
use tokio::sync::watch;

use super::fixture::*;
use crate::api_server::ApiServer;

const PODS: u32 = 50_000;
const RECORDS: u32 = 65_000;
const NAMESPACES: u32 = 200;

pub(super) fn tests() -> Vec<Trial> {
    tests!["reconciler"; with paused; a_comparison_is_cheap_when_little_changed]
}

/// Confirms every cached state.
struct AlwaysCurrent;

impl LiveCatalog for AlwaysCurrent {
    fn refresh<'a>(&'a self, _: &'a [LiveRead]) -> LiveReadFuture<'a> {
        Box::pin(std::future::ready(Ok(())))
    }
}

fn namespace(number: u32) -> String {
    format!("ns-{}", number % NAMESPACES)
}

fn ip(number: u32) -> String {
    let [_, _, high, low] = number.to_be_bytes();
    format!("10.{}.{high}.{low}", 8 + (number >> 16))
}

fn holder(number: u32) -> Holder {
    Holder::Pod {
        namespace: namespace(number).into(),
        name: format!("pod-{number}").into(),
    }
}

fn pod(number: u32, extra: &str) -> Arc<Pod> {
    let ip = ip(number);
    let networks = json!([{"name": "storage-net", "namespace": "db", "ips": [format!("{ip}/13")]}]);
    let status = json!([
        {"name": "cluster", "interface": "eth0", "ips": ["10.1.0.7"], "default": true, "dns": {}},
        {"name": "db/storage-net", "interface": "net1", "ips": [ip], "extra": extra},
    ]);
    Arc::new(Pod {
        namespace: namespace(number).into(),
        name: format!("pod-{number}").into(),
        uid: Some(format!("uid-{number}").into()),
        holder: holder(number),
        host_network: false,
        networks: Some(networks.to_string().into()),
        default_network: None,
        network_status: Some(status.to_string().into()),
        requested: RequestedAnnotations::default(),
        node: Some("node-1".into()),
        terminating: false,
        mirror: false,
        migration: None,
    })
}

fn record(number: u32) -> Stored {
    // Records without a pod are retained for workloads that are scaled down.
    let holder = match number < PODS {
        true => holder(number),
        false => Holder::Replica {
            namespace: namespace(number).into(),
            stateful_set: "db".into(),
            ordinal: number,
        },
    };
    Stored {
        allocation: Allocation {
            address: address(&ip(number)),
            space: Space::default(),
            pool: "storage".into(),
            network: NetworkRef {
                namespace: "db".into(),
                name: "storage-net".into(),
            },
            interface: "net1".into(),
            holder,
            pod: Some(PodRef {
                name: format!("pod-{number}").into(),
                uid: Some(format!("uid-{number}").into()),
                node: Some("node-1".into()),
            }),
            mac: None,
            former_nodes: Vec::new(),
            taken: None,
            reservation: None,
            since: Timestamp(0),
        },
        version: Version(u64::from(number) + 1),
    }
}

fn catalog() -> Catalog {
    let spec = json!({"ranges": [{"range": "10.8.0.0/13"}], "namespaceSelector": {}});
    let pool = ParsedSpec::of_pool(&spec).pool("storage").map(Arc::new);
    let config = json!({
        "cniVersion": "0.3.1", "type": "macvlan", "capabilities": {"ips": true},
        "ipam": {"type": "static"},
    });
    let mut network = Network::new("db", "storage-net", Some(&config.to_string()));
    network.address_pool = Some("storage".into());
    let pods = (0..PODS).map(|number| pod(number, ""));
    let catalog = Catalog::new(
        [("db".into(), NamespaceLabels::default())],
        [Arc::new(network)],
        pods,
    );
    let pool = ("storage".into(), pool.map_err(Arc::from));
    catalog.with_pools([pool], [], &Arc::new(PoolConfig::default()))
}

async fn a_comparison_is_cheap_when_little_changed() -> TestResult {
    let server = ApiServer::new();
    let shown = Arc::new(ArcSwapOption::from_pointee(catalog()));
    let index: Arc<SharedIndex> = Arc::default();
    index.lock().replace(
        (0..RECORDS).map(record).collect(),
        Version(u64::from(RECORDS)),
    );
    let (_leading, leads) = watch::channel(true);
    let reconciler = Reconciler::new(ReconcilerParts {
        catalog: Arc::clone(&shown),
        policy: Arc::new(ArcSwap::from_pointee(Policy::default())),
        index: Arc::clone(&index),
        ledger: Arc::new(
            ClusterLedger::new(server.client(), ClusterLedgerOptions::new("a")).into(),
        ),
        slices: None,
        clock: Clock::new(|| jiff::Timestamp::UNIX_EPOCH),
        live: Arc::new(AlwaysCurrent),
        pod_writer: Arc::new(ClusterPodWriter::new(
            server.client(),
            RetryPolicy::default(),
        )),
        events: Arc::new(NoopSink),
        is_leader: leads,
    });
    let (report, first) = timed(&reconciler).await;
    same(
        (report.pods, report.records),
        (PODS as usize, RECORDS as usize),
    )?;
    same(
        (&report.done, &report.deferred),
        (&Default::default(), &Default::default()),
    )?;
    same(index.lock().is_ready("storage"), true)?;
    let mut next = first;
    for number in 0..3 {
        let mut changed = Catalog::clone(&*shown.load_full().ok_or("no catalog")?);
        changed.put_pod(pod(number, "changed"));
        shown.store(Some(Arc::new(changed)));
        let (report, took) = timed(&reconciler).await;
        same(&report.deferred, &Default::default())?;
        next = next.min(took);
    }
    println!(
        "{PODS} pods, {RECORDS} records: the first pass {:.0} ms, one after a change {:.0} ms: {:.2}",
        first * 1e3,
        next * 1e3,
        next / first
    );
    same(next < first, true)
}

async fn timed(reconciler: &Reconciler) -> (nadmit::controllers::ReconcileReport, f64) {
    let begun = Instant::now();
    let report = reconciler.pass(false).await;
    (report, begun.elapsed().as_secs_f64())
}
