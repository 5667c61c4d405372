//! The cluster of a scenario, and the requests of its actors to the API server.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::body::Body;
use http::{Request, header};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};
use tower::ServiceExt as _;

use super::{
    event_log::EventLog,
    nodes::SimNode,
    replicas::ReplicaSlot,
    rng::Rng,
    scenario::{Actors, Scenario},
};
use crate::api_server::ApiServer;

/// The time that a caller waits for the API server.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(34);

pub(super) const ALLOCATIONS: &str = "addressallocations.nadmit.io";

/// The state that all actors share.
pub(super) struct SimCluster {
    pub(super) server: ApiServer,
    pub(super) scenario: Scenario,
    pub(super) log: EventLog,
    pub(super) rng: Rng,
    pub(super) began: Instant,
    pub(super) replicas: Mutex<Vec<ReplicaSlot>>,
    pub(super) nodes: Mutex<Vec<SimNode>>,
    /// The addresses that the replicas of sets had when they first ran.
    pub(super) sticky: Mutex<BTreeMap<String, Vec<String>>>,
    /// A copy of all records, made at some point of the scenario.
    pub(super) copy: Mutex<Option<Vec<Arc<Value>>>>,
    /// Set while no replica may start.
    pub(super) closed: AtomicBool,
    healed: AtomicBool,
}

/// A response; the code is 0 if there was none.
pub(super) struct SimResponse {
    pub(super) code: u16,
    pub(super) body: Value,
}

impl SimCluster {
    /// Returns a cluster with its objects and nodes, without replicas.
    pub(super) fn new(seed: u64, actors: Actors) -> Arc<Self> {
        let rng = Rng::of(seed);
        let scenario = Scenario::draw(&rng.fork(), actors);
        let (server, log) = (ApiServer::new(), EventLog::begin());
        let lines = log.clone();
        server.log(move |line| lines.record(line));
        let cluster = Arc::new(Self {
            server,
            log,
            rng,
            began: Instant::now(),
            replicas: Mutex::default(),
            nodes: Mutex::default(),
            sticky: Mutex::default(),
            copy: Mutex::default(),
            closed: AtomicBool::new(false),
            healed: AtomicBool::new(false),
            scenario,
        });
        for namespace in super::scenario::NAMESPACES {
            cluster
                .server
                .namespace(namespace, &[("nadmit.io/injection", "enabled")]);
        }
        for object in cluster.scenario.objects() {
            cluster.server.put(object);
        }
        cluster.log.record(format_args!("{:?}", cluster.scenario));
        cluster
    }

    pub(super) fn lock<'m, T>(&self, of: &'m Mutex<T>) -> MutexGuard<'m, T> {
        of.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes all faults from now on.
    pub(super) fn heal(&self) {
        self.healed.store(true, Ordering::Relaxed);
        self.server.heal();
        self.log.record("everything is mended");
    }

    /// Returns true if the faults have been removed.
    pub(super) fn is_healed(&self) -> bool {
        self.healed.load(Ordering::Relaxed)
    }

    /// Sleeps until an actor's next step; longer once the scenario has come to rest.
    pub(super) async fn pause(&self, time: Duration) {
        let calm = self.healed.load(Ordering::Relaxed);
        sleep(time * if calm { 10 } else { 1 }).await;
    }

    /// Sends a request to the API server, as one of its clients.
    pub(super) async fn ask(
        &self,
        client: &str,
        method: &str,
        path: &str,
        body: &Value,
    ) -> SimResponse {
        let lost = |why: String| SimResponse {
            code: 0,
            body: json!({"message": why}),
        };
        let form = match method {
            "PATCH" => "application/merge-patch+json",
            _ => "application/json",
        };
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::CONTENT_TYPE, form)
            .body(Body::from(body.to_string()));
        let request = match request {
            Ok(request) => request,
            Err(error) => return lost(error.to_string()),
        };
        let answering = self.server.named(client).oneshot(request);
        let (code, bytes) = match timeout(REQUEST_TIMEOUT, answering).await {
            Ok(Ok(answer)) => (answer.status().as_u16(), answer.into_body().collect().await),
            Ok(Err(error)) => return lost(error.to_string()),
            Err(_) => return lost("no answer in time".to_owned()),
        };
        match bytes {
            Ok(bytes) => SimResponse {
                code,
                body: serde_json::from_slice(&bytes.to_bytes()).unwrap_or_default(),
            },
            Err(error) => lost(error.to_string()),
        }
    }

    pub(super) async fn post(&self, client: &str, path: &str, body: &Value) -> SimResponse {
        self.ask(client, "POST", path, body).await
    }

    pub(super) async fn patch(&self, client: &str, path: &str, body: &Value) -> SimResponse {
        self.ask(client, "PATCH", path, body).await
    }

    pub(super) fn pods(&self) -> Vec<Arc<Value>> {
        self.server.all("pods")
    }

    pub(super) fn allocations(&self) -> Vec<Arc<Value>> {
        self.server.all(ALLOCATIONS)
    }

    /// Returns the time of day of the cluster.
    pub(super) fn now(&self) -> jiff::Timestamp {
        // 2026-01-01T00:00:00Z
        let day = jiff::Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_secs(1_767_225_600);
        let passed = jiff::SignedDuration::try_from(self.began.elapsed()).unwrap_or_default();
        day + passed
    }
}

impl SimResponse {
    pub(super) fn is_done(&self) -> bool {
        (200..300).contains(&self.code)
    }

    /// Formats the response for a line of the log.
    pub(super) fn summary(&self) -> String {
        let message = self.body["message"].as_str().unwrap_or_default();
        format!("{} {message}", self.code)
    }
}

/// Returns a member of an object's metadata.
pub(super) fn meta<'o>(object: &'o Value, key: &str) -> &'o str {
    object["metadata"][key].as_str().unwrap_or_default()
}

/// Returns `namespace/name`.
pub(super) fn full_name(object: &Value) -> String {
    format!("{}/{}", meta(object, "namespace"), meta(object, "name"))
}

/// Returns the path of a pod.
pub(super) fn path_of(pod: &Value) -> String {
    format!(
        "/api/v1/namespaces/{}/pods/{}",
        meta(pod, "namespace"),
        meta(pod, "name")
    )
}

pub(super) fn is_going(object: &Value) -> bool {
    !meta(object, "deletionTimestamp").is_empty()
}

/// Returns true if its containers have ended permanently.
pub(super) fn has_ended(pod: &Value) -> bool {
    matches!(
        pod["status"]["phase"].as_str(),
        Some("Succeeded" | "Failed")
    )
}

pub(super) fn node_of(pod: &Value) -> Option<&str> {
    pod["spec"]["nodeName"]
        .as_str()
        .filter(|node| !node.is_empty())
}
