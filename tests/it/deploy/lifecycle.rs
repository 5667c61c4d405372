//! Everything that nadmit does in a cluster, once: two replicas as `nadmit serve --cluster` runs
//! them, called as the webhook configurations of deploy/ say.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use axum::{Router, body::Body};
use http::{Request, header};
use http_body_util::BodyExt as _;
use libtest_mimic::Failed;
use nadmit::{
    catalog::WhereaboutsMode,
    cli::ReplicaOptions,
    clock::RandomSource,
    rules::{Injection, Policy},
};
use serde_json::{Value, json};
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};
use tower::ServiceExt as _;

use super::registered::hooks;
use crate::api_server::{ApiServer, FaultAction, ResourceRequest, Webhook, posting};
use crate::running_replica::{RunningReplica, clock_since};
use crate::support::TestResult;

/// nadmit's ServiceAccount.
const NADMIT: &str = "system:serviceaccount:nadmit:nadmit";
const RECORDS: &str = "addressallocations.nadmit.io";
const SLICES: &str = "addressslices.nadmit.io";
const POOLS: &str = "ippools.whereabouts.cni.cncf.io";
const RESERVATIONS: &str = "overlappingrangeipreservations.whereabouts.cni.cncf.io";
const NETWORKS: &str = "k8s.v1.cni.cncf.io/networks";

const MANIFESTS: &str = r#"
apiVersion: nadmit.io/v1alpha1
kind: AddressPool
metadata: {name: sliced}
spec: {ranges: [{range: 192.0.2.0/24}], quarantine: 5s, namespaceSelector: {}, nodeSliceSize: /28}
---
apiVersion: nadmit.io/v1alpha1
kind: AddressPool
metadata: {name: small}
spec: {ranges: [{range: 198.51.100.0/29}], quarantine: 5s, namespaceSelector: {}, networkName: small}
---
apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata: {name: sliced-net, namespace: db, annotations: {nadmit.io/address-pool: sliced}}
spec: {config: '{"cniVersion": "0.3.1", "type": "macvlan", "capabilities": {"ips": true}, "ipam": {"type": "static"}}'}
---
apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata: {name: small-net, namespace: db, annotations: {nadmit.io/address-pool: small}}
spec: {config: '{"cniVersion": "0.3.1", "type": "macvlan", "capabilities": {"ips": true}, "ipam": {"type": "static"}}'}
---
apiVersion: nadmit.io/v1alpha1
kind: AddressReservation
metadata: {name: kept, namespace: db}
spec: {network: small-net, holder: {pod: kept}, ips: [198.51.100.6/29]}
"#;

/// A network of Whereabouts.
const SERVED: &str = r#"
apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata: {name: served-net, namespace: db}
spec: {config: '{"cniVersion": "0.3.1", "type": "macvlan", "ipam": {"type": "whereabouts", "range": "203.0.113.0/29"}}'}
"#;

/// A cluster in which nadmit is installed.
struct DeployedCluster {
    server: ApiServer,
    whereabouts: WhereaboutsMode,
    began: Instant,
    chance: Arc<AtomicU64>,
}

/// Runs through everything; `guard` sees every request of nadmit's first.
pub(super) fn run_lifecycle<G>(guard: impl FnOnce(&'static str) -> G) -> TestResult
where
    G: Fn(&ResourceRequest) -> Option<FaultAction> + Send + Sync + 'static,
{
    run(
        WhereaboutsMode::Observe,
        guard(NADMIT),
        DeployedCluster::live,
    )
}

/// Runs through what nadmit does for networks of Whereabouts that it serves; `guard` sees every request of
/// nadmit's first.
pub(super) fn run_serving<G>(guard: impl FnOnce(&'static str) -> G) -> TestResult
where
    G: Fn(&ResourceRequest) -> Option<FaultAction> + Send + Sync + 'static,
{
    run(
        WhereaboutsMode::Serve,
        guard(NADMIT),
        DeployedCluster::serve,
    )
}

fn run<G>(
    whereabouts: WhereaboutsMode,
    guard: G,
    steps: impl AsyncFnOnce(&DeployedCluster) -> TestResult,
) -> TestResult
where
    G: Fn(&ResourceRequest) -> Option<FaultAction> + Send + Sync + 'static,
{
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()?;
    runtime.block_on(async {
        let cluster = DeployedCluster::new(whereabouts)?;
        cluster.server.faults(guard);
        steps(&cluster).await
    })
}

impl DeployedCluster {
    fn new(whereabouts: WhereaboutsMode) -> Result<Self, Failed> {
        let server = ApiServer::new();
        server.namespace("nadmit", &[]);
        server.namespace("db", &[("nadmit.io/injection", "enabled")]);
        for name in ["node-1", "node-2"] {
            let ready = json!({"conditions": [{"type": "Ready", "status": "True"}]});
            server.put(
                json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name},
                "spec": {}, "status": ready}),
            );
        }
        for object in super::objects::parsed(MANIFESTS)? {
            server.put(object);
        }
        Ok(Self {
            server,
            whereabouts,
            began: Instant::now(),
            chance: Arc::default(),
        })
    }

    /// Starts a replica with its webhooks.
    fn start(&self, name: &str) -> RunningReplica {
        let mut policy = Policy::default();
        policy.injection = Some(Injection::Bind);
        policy.pool_derivation.whereabouts = self.whereabouts;
        let chance = Arc::clone(&self.chance);
        let options = ReplicaOptions {
            server: "of the test".to_owned(),
            namespace: "nadmit".to_owned(),
            writer: name.to_owned(),
            policy: Arc::new(ArcSwap::from_pointee(policy)),
            schedule: watch::Sender::new(Some("*/5 * * * *".to_owned())).subscribe(),
            is_leader: None,
            clock: clock_since(self.began),
            random: RandomSource::new(move || chance.fetch_add(1, Ordering::Relaxed).into()),
        };
        RunningReplica::start(self.server.named(NADMIT).client(), options)
    }

    /// Registers a replica as the target of the webhooks, as deploy/ does.
    fn register(&self, router: &Router) -> TestResult {
        for hook in hooks()? {
            let (name, failing) = (hook.name(), hook.config["failurePolicy"].clone());
            let webhook = match hook.mutating {
                true => Webhook::mutating(&name, posting(router.clone(), "/mutate")),
                false => Webhook::validating(&name, posting(router.clone(), "/validate")),
            };
            let asked = move |request: &Value| {
                let namespace = &request["namespace"];
                let labels = json!({"kubernetes.io/metadata.name": namespace,
                    "nadmit.io/injection": (namespace == "db").then_some("enabled")});
                hook.is_asked(request, &labels)
                    .unwrap_or_else(|e| panic!("{name}: {e:?}"))
            };
            let webhook = webhook.on(&["*"], &["*"]).when(asked);
            self.server.webhook(match failing == "Ignore" {
                true => webhook.ignoring_failure(),
                false => webhook,
            });
        }
        Ok(())
    }

    /// Sends a request as another user; returns the response's body, or an error.
    async fn ask(&self, method: &str, path: &str, body: &Value) -> Result<Value, Failed> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from(body.to_string()))?;
        let answer = self.server.named("somebody").oneshot(request).await?;
        let status = answer.status();
        let bytes = answer.into_body().collect().await?.to_bytes();
        let body: Value = serde_json::from_slice(&bytes)?;
        if status.is_success() {
            return Ok(body);
        }
        Err(format!("{method} {path}: {status} {}", body["message"]).into())
    }

    async fn pod(&self, name: &str, network: &str) -> TestResult {
        let pod = json!({"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "namespace": "db", "annotations": {NETWORKS: network}},
            "spec": {"containers": [{"name": "c", "image": "i"}]}});
        self.ask("POST", "/api/v1/namespaces/db/pods", &pod).await?;
        seconds(1).await;
        Ok(())
    }

    async fn bind(&self, name: &str, node: &str) -> TestResult {
        let binding = json!({"apiVersion": "v1", "kind": "Binding",
            "metadata": {"name": name, "namespace": "db"},
            "target": {"apiVersion": "v1", "kind": "Node", "name": node}});
        let path = format!("/api/v1/namespaces/db/pods/{name}/binding");
        self.ask("POST", &path, &binding).await?;
        seconds(1).await;
        Ok(())
    }

    async fn delete(&self, path: &str) -> TestResult {
        let now = json!({"apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0});
        self.ask("DELETE", path, &now).await.map(drop)
    }

    /// Returns the held addresses.
    fn held(&self) -> Vec<String> {
        let all = self.server.all(RECORDS);
        let addresses = all.iter().map(|record| &record["spec"]["address"]);
        addresses
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect()
    }

    fn holds(&self, address: &str) -> bool {
        self.held().iter().any(|held| held == address)
    }

    async fn live(&self) -> TestResult {
        let RunningReplica {
            router,
            tasks: first,
            stop,
        } = self.start("nadmit-0");
        let _second = self.start("nadmit-1");
        seconds(20).await;
        self.register(&router)?;
        // The reservation is recorded, and both kinds have a status.
        assert!(self.holds("198.51.100.6"), "{:?}", self.held());

        // The normal lifecycle: created, bound, deleted, released.
        self.pod("a", "sliced-net").await?;
        self.bind("a", "node-1").await?;
        assert!(self.holds("192.0.2.1"), "{:?}", self.held());
        assert_eq!(self.server.all(SLICES).len(), 1);
        self.delete("/api/v1/namespaces/db/pods/a").await?;
        seconds(60).await;
        assert!(!self.holds("192.0.2.1"), "{:?}", self.held());

        // Bound without a review.
        self.server.put(json!({"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "late", "namespace": "db", "annotations": {NETWORKS: "sliced-net"}},
            "spec": {"nodeName": "node-2", "containers": []}, "status": {"phase": "Pending"}}));
        seconds(30).await;
        let late = self.server.stored("pods", "db", "late").unwrap_or_default();
        let networks = late["metadata"]["annotations"][NETWORKS].to_string();
        assert!(networks.contains("192.0.2.16/24"), "{networks}");

        // A node that is deleted, and its slice.
        self.delete("/api/v1/namespaces/db/pods/late").await?;
        self.delete("/api/v1/nodes/node-2").await?;
        seconds(900).await;
        assert_eq!(self.server.all(SLICES).len(), 1);

        // A reservation that is used, and a pool that fills up.
        self.pod("kept", "small-net").await?;
        self.bind("kept", "node-1").await?;
        for number in 0..5 {
            let name = format!("full-{number}");
            self.pod(&name, "small-net").await?;
            self.bind(&name, "node-1").await?;
        }
        seconds(60).await;
        assert!(!self.server.all("events.events.k8s.io").is_empty());

        // Networks in use, and the resync every five minutes.
        let network =
            "/apis/k8s.cni.cncf.io/v1/namespaces/db/network-attachment-definitions/small-net";
        let refused = self.delete(network).await;
        assert!(refused.is_err(), "a network in use was deleted");
        seconds(600).await;

        // The leader ends, and the other replica takes over.
        let lease =
            |server: &ApiServer| server.stored("leases.coordination.k8s.io", "nadmit", "nadmit");
        let holder =
            |lease: Option<Value>| lease.unwrap_or_default()["spec"]["holderIdentity"].clone();
        let before = holder(lease(&self.server));
        stop.cancel();
        first.await?;
        seconds(10).await;
        assert_ne!(holder(lease(&self.server)), before);
        Ok(())
    }
}

impl DeployedCluster {
    /// Returns the entry of an address in the only `IPPool`, by its offset.
    fn entry(&self, offset: &str) -> Value {
        let pools = self.server.all(POOLS);
        let pool = pools.first();
        pool.map_or(Value::Null, |pool| {
            pool["spec"]["allocations"][offset].clone()
        })
    }

    async fn serve(&self) -> TestResult {
        self.server.namespace("kube-system", &[]);
        for object in super::objects::parsed(SERVED)? {
            self.server.put(object);
        }
        let first = self.start("nadmit-0");
        let router = first.router.clone();
        let _second = self.start("nadmit-1");
        seconds(20).await;
        self.register(&router)?;

        // The pool is created, with the entry of the pod, and the reservation.
        self.pod("a", "served-net").await?;
        self.bind("a", "node-1").await?;
        let marked = json!({"id": "nadmit:", "podref": "db/a", "ifname": "net1"});
        assert_eq!(self.entry("1"), marked);
        assert_eq!(self.server.all(RESERVATIONS).len(), 1);

        // The plugin writes its container's id, and nadmit its mark before it.
        let mut pool = (*self.server.all(POOLS).remove(0)).clone();
        pool["spec"]["allocations"]["1"]["id"] = "c0ffee".into();
        self.server.put(pool);
        seconds(5).await;
        assert_eq!(self.entry("1")["id"], "nadmit:c0ffee");

        // The address of a deleted pod is held, and given back after the quarantine.
        self.delete("/api/v1/namespaces/db/pods/a").await?;
        seconds(5).await;
        let held = json!({"id": "nadmit:c0ffee", "podref": "", "ifname": ""});
        assert_eq!(self.entry("1"), held);
        seconds(900).await;
        assert_eq!(self.entry("1"), Value::Null);
        let left = self.server.all(RESERVATIONS);
        assert!(left.is_empty(), "{left:?}");
        Ok(())
    }
}

async fn seconds(seconds: u64) {
    sleep(Duration::from_secs(seconds)).await;
}
