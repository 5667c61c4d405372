//! The cluster of a history, and how its actors speak to the API server.

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
    dice::Dice,
    log::Log,
    nodes::Node,
    plan::{Cast, Plan},
    replicas::Slot,
};
use crate::api_server::ApiServer;

/// How long a caller waits for the API server.
const PATIENCE: Duration = Duration::from_secs(34);

pub(super) const ALLOCATIONS: &str = "addressallocations.nadmit.io";

/// Everything that the actors share.
pub(super) struct World {
    pub(super) server: ApiServer,
    pub(super) plan: Plan,
    pub(super) log: Log,
    pub(super) dice: Dice,
    pub(super) began: Instant,
    pub(super) replicas: Mutex<Vec<Slot>>,
    pub(super) nodes: Mutex<Vec<Node>>,
    /// What the replicas of sets had when they first ran.
    pub(super) sticky: Mutex<BTreeMap<String, Vec<String>>>,
    /// All records as they were once.
    pub(super) copy: Mutex<Option<Vec<Arc<Value>>>>,
    /// Whether no replica may start now.
    pub(super) closed: AtomicBool,
    healed: AtomicBool,
}

/// An answer; the code is 0 where none came.
pub(super) struct Answered {
    pub(super) code: u16,
    pub(super) body: Value,
}

impl World {
    /// A cluster with its objects, nodes and no replica.
    pub(super) fn new(seed: u64, cast: Cast) -> Arc<Self> {
        let dice = Dice::of(seed);
        let plan = Plan::draw(&dice.fork(), cast);
        let (server, log) = (ApiServer::new(), Log::begin());
        let lines = log.clone();
        server.log(move |line| lines.say(line));
        let world = Arc::new(Self {
            server,
            log,
            dice,
            began: Instant::now(),
            replicas: Mutex::default(),
            nodes: Mutex::default(),
            sticky: Mutex::default(),
            copy: Mutex::default(),
            closed: AtomicBool::new(false),
            healed: AtomicBool::new(false),
            plan,
        });
        for namespace in super::plan::NAMESPACES {
            world
                .server
                .namespace(namespace, &[("nadmit.io/injection", "enabled")]);
        }
        for object in world.plan.objects() {
            world.server.put(object);
        }
        world.log.say(format_args!("{:?}", world.plan));
        world
    }

    pub(super) fn lock<'m, T>(&self, of: &'m Mutex<T>) -> MutexGuard<'m, T> {
        of.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything works from now on.
    pub(super) fn heal(&self) {
        self.healed.store(true, Ordering::Relaxed);
        self.server.heal();
        self.log.say("everything is mended");
    }

    /// Whether it does.
    pub(super) fn is_healed(&self) -> bool {
        self.healed.load(Ordering::Relaxed)
    }

    /// How long an actor waits before it looks again: long, when nothing happens any more.
    pub(super) async fn pause(&self, time: Duration) {
        let calm = self.healed.load(Ordering::Relaxed);
        sleep(time * if calm { 10 } else { 1 }).await;
    }

    /// Asks the API server, as one of its clients.
    pub(super) async fn ask(
        &self,
        client: &str,
        method: &str,
        path: &str,
        body: &Value,
    ) -> Answered {
        let lost = |why: String| Answered {
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
        let (code, bytes) = match timeout(PATIENCE, answering).await {
            Ok(Ok(answer)) => (answer.status().as_u16(), answer.into_body().collect().await),
            Ok(Err(error)) => return lost(error.to_string()),
            Err(_) => return lost("no answer in time".to_owned()),
        };
        match bytes {
            Ok(bytes) => Answered {
                code,
                body: serde_json::from_slice(&bytes.to_bytes()).unwrap_or_default(),
            },
            Err(error) => lost(error.to_string()),
        }
    }

    pub(super) async fn post(&self, client: &str, path: &str, body: &Value) -> Answered {
        self.ask(client, "POST", path, body).await
    }

    pub(super) async fn patch(&self, client: &str, path: &str, body: &Value) -> Answered {
        self.ask(client, "PATCH", path, body).await
    }

    pub(super) fn pods(&self) -> Vec<Arc<Value>> {
        self.server.all("pods")
    }

    pub(super) fn allocations(&self) -> Vec<Arc<Value>> {
        self.server.all(ALLOCATIONS)
    }

    /// The time of day, as the cluster has it.
    pub(super) fn now(&self) -> jiff::Timestamp {
        // 2026-01-01T00:00:00Z
        let day = jiff::Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_secs(1_767_225_600);
        let passed = jiff::SignedDuration::try_from(self.began.elapsed()).unwrap_or_default();
        day + passed
    }
}

impl Answered {
    pub(super) fn is_done(&self) -> bool {
        (200..300).contains(&self.code)
    }

    /// In a line of the log.
    pub(super) fn told(&self) -> String {
        let message = self.body["message"].as_str().unwrap_or_default();
        format!("{} {message}", self.code)
    }
}

/// A member of an object's metadata.
pub(super) fn meta<'o>(object: &'o Value, key: &str) -> &'o str {
    object["metadata"][key].as_str().unwrap_or_default()
}

/// `namespace/name`
pub(super) fn full_name(object: &Value) -> String {
    format!("{}/{}", meta(object, "namespace"), meta(object, "name"))
}

/// Where a pod is found.
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

/// Whether its containers have ended for good.
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
