//! A cluster with replicas of nadmit, in which each test runs its scenario.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use arc_swap::{ArcSwap, ArcSwapOption};
use jiff::{SignedDuration, Timestamp};
use libtest_mimic::Failed;
use nadmit::{
    allocation::{Address, Allocation, Holder, NetworkRef, PodRef, SharedIndex, Space, Write},
    api::call::RetryPolicy,
    catalog::Catalog,
    clock::Clock,
    controllers::{
        ClusterPodWriter, EventSink, EventType, LedgerSync, ObjectRef, Reconciler, ReconcilerParts,
        SliceSync,
    },
    ledger::{ClusterLedger, ClusterLedgerOptions, Ledger, SliceLedger, Store as _},
    rules::{Injection, Policy},
    sources,
};
use serde_json::{Value, json};
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use crate::api_server::ApiServer;
pub(super) use crate::support::same;
pub(super) use crate::support::{TestResult, paused};

pub(super) const RECORDS: &str = "addressallocations.nadmit.io";
pub(super) const SLICES: &str = "addressslices.nadmit.io";
pub(super) const NETWORKS: &str = "k8s.v1.cni.cncf.io/networks";
pub(super) const STATUS: &str = "k8s.v1.cni.cncf.io/network-status";

/// A cluster with a pool, a network of the pool, a namespace and two nodes.
pub(super) struct ReconcilerFixture {
    pub(super) server: ApiServer,
    clock: Clock,
}

/// A replica of nadmit.
pub(super) struct ReconcilerReplica {
    pub(super) index: Arc<SharedIndex>,
    pub(super) ledger: Arc<Ledger>,
    pub(super) slices: SliceLedger,
    pub(super) reconciler: Reconciler,
    pub(super) events: Arc<EmittedEvents>,
    leads: watch::Sender<bool>,
    stop: CancellationToken,
}

impl Drop for ReconcilerReplica {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// The emitted events: object, reason and message.
#[derive(Default)]
pub(super) struct EmittedEvents(Mutex<Vec<(String, &'static str, String)>>);

impl EventSink for EmittedEvents {
    fn emit(&self, about: ObjectRef, _: EventType, reason: &'static str, message: String) {
        let mut events = self.0.lock().unwrap_or_else(|e| e.into_inner());
        events.push((about.name, reason, message));
    }
}

impl EmittedEvents {
    /// Returns the objects of the events with this reason, in order.
    pub(super) fn of(&self, reason: &str) -> Vec<String> {
        let events = self.0.lock().unwrap_or_else(|e| e.into_inner());
        let of_reason = events.iter().filter(|one| one.1 == reason);
        let mut found: Vec<String> = of_reason.map(|one| one.0.clone()).collect();
        found.sort();
        found
    }

    /// Returns the messages of the events with this reason, in order.
    pub(super) fn messages_of(&self, reason: &str) -> Vec<String> {
        let events = self.0.lock().unwrap_or_else(|e| e.into_inner());
        let of_reason = events.iter().filter(|one| one.1 == reason);
        of_reason.map(|one| one.2.clone()).collect()
    }
}

impl ReconcilerFixture {
    /// Returns a cluster with a pool of this specification.
    pub(super) fn with(pool: &Value) -> Self {
        let fixture = Self {
            server: ApiServer::new(),
            clock: of_tokio(),
        };
        fixture
            .server
            .namespace("db", &[("nadmit.io/injection", "enabled")]);
        for node in ["node-1", "node-2"] {
            fixture.node(node, true);
        }
        let config = json!({
            "cniVersion": "0.3.1", "type": "macvlan", "capabilities": {"ips": true, "mac": true},
            "ipam": {"type": "static"},
        });
        fixture.server.put(json!({
            "apiVersion": "k8s.cni.cncf.io/v1", "kind": "NetworkAttachmentDefinition",
            "metadata": {"name": "storage-net", "namespace": "db",
                "annotations": {"nadmit.io/address-pool": "storage"}},
            "spec": {"config": config.to_string()},
        }));
        fixture.server.put(json!({
            "apiVersion": "nadmit.io/v1alpha1", "kind": "AddressPool",
            "metadata": {"name": "storage"}, "spec": pool,
        }));
        fixture
    }

    pub(super) fn new() -> Self {
        Self::with(&json!({
            "ranges": [{"range": "192.0.2.0/24"}], "quarantine": "30s", "namespaceSelector": {},
        }))
    }

    /// Returns a cluster whose pool has slices of 16 addresses.
    pub(super) fn sliced() -> Self {
        Self::with(&json!({
            "ranges": [{"range": "192.0.2.0/24"}], "quarantine": "30s", "namespaceSelector": {},
            "nodeSliceSize": "/28",
        }))
    }

    /// Creates a node, or updates its readiness.
    pub(super) fn node(&self, name: &str, ready: bool) {
        let status = if ready { "True" } else { "Unknown" };
        self.server.put(json!({
            "apiVersion": "v1", "kind": "Node", "metadata": {"name": name}, "spec": {},
            "status": {"conditions": [{"type": "Ready", "status": status}]},
        }));
    }

    /// Creates a pod, bound to a node if one is named.
    pub(super) fn pod(&self, name: &str, annotations: Value, node: Option<&str>) -> String {
        self.server.put(json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "namespace": "db", "annotations": annotations},
            "spec": {"nodeName": node, "containers": []}, "status": {"phase": "Running"},
        }));
        self.uid(name)
    }

    /// Creates a pod whose network-status shows an address on `storage-net`.
    pub(super) fn running(&self, name: &str, ip: &str, node: &str) -> String {
        self.pod(name, carrying(ip), Some(node))
    }

    pub(super) fn uid(&self, pod: &str) -> String {
        let stored = self.server.stored("pods", "db", pod).unwrap_or_default();
        text(&stored["metadata"]["uid"])
    }

    /// Deletes a pod at once, as `kubectl delete --force` does.
    pub(super) async fn delete(&self, pod: &str) -> TestResult {
        let pods = self.pods();
        let params = kube::api::DeleteParams::default().grace_period(0);
        pods.delete(pod, &params).await?;
        Ok(())
    }

    pub(super) fn pods(&self) -> kube::Api<k8s_openapi::api::core::v1::Pod> {
        kube::Api::namespaced(self.server.client(), "db")
    }

    /// Starts a replica and waits until its watches and its index are synced; `leads` sets whether
    /// it is the leader.
    pub(super) async fn replica(
        &self,
        name: &str,
        leads: bool,
    ) -> Result<ReconcilerReplica, Failed> {
        let stop = CancellationToken::new();
        let server = self.server.named(name);
        let catalog: Arc<ArcSwapOption<Catalog>> = Arc::default();
        let options = sources::ClusterSourceOptions::default();
        let source = sources::ClusterSource::new(server.client(), options, Arc::clone(&catalog));
        tokio::spawn(source.clone().run(stop.clone()));
        source.wait_synced().await;
        let ledger = ClusterLedger::new(server.client(), ClusterLedgerOptions::new(name));
        let ledger: Arc<Ledger> = Arc::new(ledger.into());
        let slices = SliceLedger::new(server.client(), RetryPolicy::default());
        let index: Arc<SharedIndex> = Arc::default();
        index.lock().enable_slices();
        index.lock().share_ledger();
        let feed = LedgerSync::open(Arc::clone(&ledger), Arc::clone(&index)).await?;
        tokio::spawn(feed.run(stop.clone()));
        let feed = SliceSync::open(slices.clone(), Arc::clone(&index)).await?;
        tokio::spawn(feed.run(stop.clone()));
        let mut policy = Policy::default();
        policy.injection = Some(Injection::Bind);
        let events = Arc::new(EmittedEvents::default());
        let (leading, led) = watch::channel(leads);
        let reconciler = Reconciler::new(ReconcilerParts {
            catalog,
            policy: Arc::new(ArcSwap::from_pointee(policy)),
            index: Arc::clone(&index),
            ledger: Arc::clone(&ledger),
            slices: Some(slices.clone()),
            clock: self.clock.clone(),
            live: Arc::new(sources::ClusterLiveCatalog::new(source, || {
                Policy::default().multus_namespace
            })),
            pod_writer: Arc::new(ClusterPodWriter::new(
                server.client(),
                RetryPolicy::default(),
            )),
            events: Arc::clone(&events) as Arc<dyn EventSink>,
            is_leader: led,
        });
        tokio::spawn(reconciler.clone().run(stop.clone()));
        Ok(ReconcilerReplica {
            index,
            ledger,
            slices,
            reconciler,
            events,
            leads: leading,
            stop,
        })
    }

    /// Returns the recorded addresses with their holders, as the server stores them.
    pub(super) fn held(&self) -> Vec<(String, String)> {
        let all = self.server.all(RECORDS);
        let pair = |object: &Arc<Value>| {
            let spec = &object["spec"];
            let holder = spec["holder"].as_object();
            let holder = holder.and_then(|holder| holder.values().next());
            let name = holder.map(|holder| match &holder["name"] {
                Value::Null => text(&holder["token"]),
                name => text(name),
            });
            (text(&spec["address"]), name.unwrap_or_default())
        };
        all.iter().map(pair).collect()
    }

    /// Returns the allocation of an address to a pod with this UID on a node.
    pub(super) fn record(&self, ip: &str, pod: &str, uid: &str, node: &str) -> Allocation {
        Allocation {
            address: address(ip),
            space: Space::default(),
            pool: "storage".into(),
            network: NetworkRef {
                namespace: "db".into(),
                name: "storage-net".into(),
            },
            interface: "net1".into(),
            holder: Holder::Pod {
                namespace: "db".into(),
                name: pod.into(),
            },
            pod: Some(PodRef {
                name: pod.into(),
                uid: Some(uid.into()),
                node: Some(node.into()),
            }),
            mac: None,
            former_nodes: Vec::new(),
            taken: None,
            reservation: None,
            since: self.clock.seconds(),
        }
    }
}

impl ReconcilerReplica {
    pub(super) fn lead(&self, leads: bool) {
        self.leads.send_replace(leads);
    }

    pub(super) fn is_ready(&self) -> bool {
        self.index.lock().is_ready("storage")
    }

    /// Stores an allocation without a review.
    pub(super) async fn write(&self, record: Allocation) -> TestResult {
        self.ledger.write(vec![Write::Create(record)]).await?;
        Ok(())
    }
}

/// Returns the annotations of a pod that has an address on `storage-net`.
pub(super) fn carrying(ip: &str) -> Value {
    let status = json!([{"name": "db/storage-net", "interface": "net1", "ips": [ip]}]);
    json!({NETWORKS: asking(ip), STATUS: status.to_string()})
}

/// Returns the annotation that requests the address.
pub(super) fn asking(ip: &str) -> String {
    json!([{"name": "storage-net", "ips": [format!("{ip}/24")]}]).to_string()
}

pub(super) fn address(ip: &str) -> Address {
    ip.parse().unwrap_or_else(|e| panic!("{ip}: {e}"))
}

pub(super) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

pub(super) fn holding(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = |(ip, name): &(&str, &str)| ((*ip).to_owned(), (*name).to_owned());
    pairs.iter().map(owned).collect()
}

pub(super) async fn seconds(seconds: u64) {
    sleep(Duration::from_secs(seconds)).await;
}

/// Returns tokio's time, counted from the fake API server's first day.
fn of_tokio() -> Clock {
    let began = Instant::now();
    let day = Timestamp::from_second(1_767_225_600).unwrap_or(Timestamp::UNIX_EPOCH);
    Clock::new(move || {
        let passed = SignedDuration::try_from(began.elapsed()).unwrap_or_default();
        day + passed
    })
}
