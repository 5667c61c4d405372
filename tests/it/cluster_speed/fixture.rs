//! Two replicas of nadmit on the fake API server, which calls them alternately.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use axum::Router;
use kube::api::{Api, DynamicObject, PostParams};
use libtest_mimic::Failed;
use nadmit::{
    allocation::SharedIndex,
    cli::{Replica, ReplicaOptions},
    clock::{Clock, RandomSource},
    rules::{Injection, Policy},
    server::{Limits, webhook_routes},
};
use serde_json::{Value, json};
use tokio::{sync::watch, time::sleep};
use tokio_util::sync::CancellationToken;

use crate::api_server::{ApiServer, FaultAction, FaultRule, Webhook, posting};
use crate::support::TestResult;

const REPLICAS: usize = 2;

pub(super) struct SpeedFixture {
    pub(super) server: ApiServer,
    indexes: Vec<Arc<SharedIndex>>,
    stop: CancellationToken,
}

/// Runs a test on one thread, in time that is paused during computations.
pub(super) fn paused(case: impl Future<Output = TestResult>) -> TestResult {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()?;
    runtime.block_on(case)
}

impl SpeedFixture {
    /// Returns a pool of this range, with 1000 addresses, and two replicas that serve it.
    pub(super) async fn start(range: &str, write: Duration) -> Result<Self, Failed> {
        let server = ApiServer::new();
        server.namespace("db", &[("nadmit.io/injection", "enabled")]);
        server.put(json!({
            "apiVersion": "nadmit.io/v1alpha1", "kind": "AddressPool",
            "metadata": {"name": "storage"},
            "spec": {
                "ranges": [{"range": range, "rangeStart": "10.0.0.1", "rangeEnd": "10.0.3.232"}],
                "namespaceSelector": {},
            },
        }));
        let config = |ipam: &str| {
            format!(
                r#"{{"cniVersion": "0.3.1", "type": "macvlan", "capabilities": {{"ips": true}}, "ipam": {{"type": "{ipam}"}}}}"#
            )
        };
        server.put(json!({
            "apiVersion": "k8s.cni.cncf.io/v1", "kind": "NetworkAttachmentDefinition",
            "metadata": {"name": "storage-net", "namespace": "db",
                "annotations": {"nadmit.io/address-pool": "storage"}},
            "spec": {"config": config("static")},
        }));
        server.put(json!({
            "apiVersion": "k8s.cni.cncf.io/v1", "kind": "NetworkAttachmentDefinition",
            "metadata": {"name": "plain-net", "namespace": "db"},
            "spec": {"config": config("dhcp")},
        }));
        let stop = CancellationToken::new();
        let (mut indexes, mut routers) = (Vec::new(), Vec::new());
        for number in 0..REPLICAS {
            let replica = replica(&server, number);
            indexes.push(Arc::clone(&replica.state.allocations.index));
            routers.push(webhook_routes(replica.state, Limits::default(), clock()));
            tokio::spawn(replica.tasks.run(stop.clone()));
        }
        let fixture = Self {
            server,
            indexes,
            stop,
        };
        fixture.settle().await;
        for index in &fixture.indexes {
            if !index.lock().is_ready("storage") {
                return Err("the pool is not ready after two seconds".into());
            }
        }
        fixture.register(&routers);
        for verb in ["create", "update", "delete"] {
            fixture.server.fault(FaultRule::of(
                verb,
                "*",
                FaultAction::slow(Duration::ZERO, write),
            ));
        }
        Ok(fixture)
    }

    /// Registers both kinds of webhooks; calls go to the replicas in turn.
    fn register(&self, routers: &[Router]) {
        for (name, path, mutating) in [
            ("mutate.nadmit.io", "/mutate", true),
            ("validate.nadmit.io", "/validate", false),
        ] {
            let posts: Vec<_> = routers
                .iter()
                .map(|router| posting(router.clone(), path))
                .collect();
            let turn = AtomicUsize::new(usize::from(mutating));
            let call = move |review: Value| {
                let next = turn.fetch_add(1, Ordering::Relaxed) % REPLICAS;
                posts[next](review)
            };
            let webhook = match mutating {
                true => Webhook::mutating(name, call),
                false => Webhook::validating(name, call),
            };
            self.server
                .webhook(webhook.on(&["CREATE"], &["pods", "pods/binding"]));
        }
    }

    /// Waits until all writes have reached the replicas.
    pub(super) async fn settle(&self) {
        sleep(Duration::from_secs(2)).await;
    }

    pub(super) async fn create(&self, name: &str, networks: Option<&str>) -> TestResult {
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "namespace": "db",
                "annotations": {"k8s.v1.cni.cncf.io/networks": networks}},
            "spec": {"containers": [{"name": "app", "image": "registry.example/app:1"}]},
        });
        let pods: Api<DynamicObject> = Api::namespaced_with(self.server.client(), "db", &pods());
        let pod: DynamicObject = serde_json::from_value(pod)?;
        pods.create(&PostParams::default(), &pod).await?;
        Ok(())
    }

    /// Binds a pod as the scheduler does.
    pub(super) async fn bind(&self, name: &str, node: &str) -> TestResult {
        let uid = self.server.stored("pods", "db", name);
        let uid = uid.map(|pod| pod["metadata"]["uid"].clone());
        let binding = json!({
            "apiVersion": "v1", "kind": "Binding",
            "metadata": {"name": name, "namespace": "db", "uid": uid},
            "target": {"apiVersion": "v1", "kind": "Node", "name": node},
        });
        let path = format!("/api/v1/namespaces/db/pods/{name}/binding");
        let request = http::Request::post(path)
            .header(http::header::CONTENT_TYPE, "application/json")
            .body(serde_json::to_vec(&binding)?)?;
        self.server.client().request::<Value>(request).await?;
        Ok(())
    }

    /// Binds a pod, retrying refused bindings as the scheduler does; returns the number of
    /// refusals.
    pub(super) async fn bind_until(&self, name: &str, node: &str) -> Result<usize, Failed> {
        let mut pause = Duration::from_secs(1);
        for refused in 0..10 {
            match self.bind(name, node).await {
                Ok(()) => return Ok(refused),
                Err(_) => sleep(pause).await,
            }
            pause *= 2;
        }
        self.bind(name, node).await.map(|()| 10)
    }

    /// Returns the number of attempted writes of allocations, whatever their outcome.
    pub(super) fn writes(&self) -> u64 {
        let asked = self.server.request_counts();
        let of_allocations = |((verb, resource), _): &(&(String, String), &u64)| {
            let changes = ["create", "update", "delete"].contains(&verb.as_str());
            changes && resource.starts_with("addressallocations")
        };
        asked
            .iter()
            .filter(of_allocations)
            .map(|(_, count)| count)
            .sum()
    }

    /// Returns a pod's networks annotation.
    pub(super) fn address(&self, name: &str) -> Option<String> {
        let pod = self.server.stored("pods", "db", name)?;
        let text = pod["metadata"]["annotations"]["k8s.v1.cni.cncf.io/networks"].as_str()?;
        let text: Value = serde_json::from_str(text).ok()?;
        Some(text[0]["ips"][0].as_str()?.to_owned())
    }
}

impl Drop for SpeedFixture {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn clock() -> Clock {
    Clock::new(|| jiff::Timestamp::UNIX_EPOCH)
}

fn pods() -> kube::api::ApiResource {
    kube::api::ApiResource::erase::<k8s_openapi::api::core::v1::Pod>(&())
}

fn replica(server: &ApiServer, number: usize) -> Replica {
    let mut policy = Policy::default();
    policy.injection = Some(Injection::Bind);
    let options = ReplicaOptions {
        server: "of this test".to_owned(),
        namespace: "nadmit".to_owned(),
        writer: format!("replica-{number}"),
        schedule: watch::Sender::new(None).subscribe(),
        is_leader: Some(watch::Sender::new(number == 0).subscribe()),
        policy: Arc::new(ArcSwap::from_pointee(policy)),
        clock: clock(),
        random: RandomSource::new(move || number as u128),
    };
    Replica::new(server.named(&format!("replica-{number}")).client(), options)
}
