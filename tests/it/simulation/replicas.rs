//! The replicas of nadmit: started, killed, and called by the API server.

use std::{
    collections::HashSet,
    sync::{Arc, atomic::Ordering},
};

use arc_swap::{ArcSwap, ArcSwapOption};
use axum::Router;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use nadmit::{
    allocation::SharedIndex,
    catalog::Catalog,
    cli::{Replica, ReplicaOptions},
    clock::{Clock, RandomSource},
    rules::{Injection, Policy},
    server::{Limits, webhook_routes},
};
use serde_json::Value;
use tokio::{sync::watch, task::AbortHandle};
use tokio_util::sync::CancellationToken;

use super::{client_link::ClientLink, cluster::SimCluster};
use crate::api_server::{Webhook, posting};

/// The maximum clock skew of a replica, in seconds.
const MAX_SKEW: u64 = 5;

/// nadmit's own namespace.
const NAMESPACE: &str = "nadmit";
/// The schedule of full resyncs.
const SCHEDULE: &str = "*/5 * * * *";

/// A slot for a replica, which may be empty.
pub(super) struct ReplicaSlot {
    name: String,
    /// The number of replicas that were started in this slot.
    births: u64,
    live: Option<LiveReplica>,
}

/// A running replica.
#[derive(Clone)]
pub(super) struct LiveReplica {
    pub(super) writer: String,
    pub(super) index: Arc<SharedIndex>,
    catalog: Arc<ArcSwapOption<Catalog>>,
    router: Router,
    cut: CancellationToken,
    task: AbortHandle,
    /// The leadership, where no Lease decides it.
    leads: Arc<watch::Sender<bool>>,
}

impl SimCluster {
    /// Starts all replicas, and registers the webhooks that call them.
    pub(super) fn start_replicas(self: &Arc<Self>) {
        self.server.namespace(NAMESPACE, &[]);
        for number in 0..self.scenario.replicas {
            let slot = ReplicaSlot {
                name: format!("replica-{number}"),
                births: 0,
                live: None,
            };
            self.lock(&self.replicas).push(slot);
            self.start(number);
        }
        self.register();
    }

    /// Starts a replica in an empty slot.
    pub(super) fn start(self: &Arc<Self>, number: usize) {
        if self.closed.load(Ordering::Relaxed) {
            return;
        }
        let (name, births) = {
            let mut slots = self.lock(&self.replicas);
            let Some(slot) = slots.get_mut(number).filter(|slot| slot.live.is_none()) else {
                return;
            };
            slot.births += 1;
            (slot.name.clone(), slot.births)
        };
        let live = self.launch(&name, &format!("{name}-{births}"));
        self.log.record(format_args!("{} starts", live.writer));
        if let Some(slot) = self.lock(&self.replicas).get_mut(number) {
            slot.live = Some(live);
        }
    }

    fn launch(self: &Arc<Self>, name: &str, writer: &str) -> LiveReplica {
        let (rng, cluster) = (self.rng.fork(), Arc::clone(self));
        let skew = i64::try_from(rng.below(2 * MAX_SKEW + 1)).unwrap_or(0) - MAX_SKEW.cast_signed();
        let skew = jiff::SignedDuration::from_secs(skew);
        let cut = CancellationToken::new();
        let wire = ClientLink {
            server: self.server.named(name),
            cut: cut.clone(),
            log: self.log.clone(),
        };
        let leads = Arc::new(watch::Sender::new(rng.percent(50)));
        let schedule = watch::Sender::new(Some(SCHEDULE.to_owned())).subscribe();
        let clock = Clock::new(move || cluster.now() + skew);
        let replica = Replica::new(
            kube::Client::new(wire, "default"),
            ReplicaOptions {
                server: "of the simulation".to_owned(),
                namespace: NAMESPACE.to_owned(),
                writer: writer.to_owned(),
                schedule,
                is_leader: self.scenario.leaders_appointed.then(|| leads.subscribe()),
                policy: Arc::new(ArcSwap::from_pointee(self.policy())),
                clock: clock.clone(),
                random: RandomSource::new(move || {
                    u128::from(rng.next()) << 64 | u128::from(rng.next())
                }),
            },
        );
        let index = Arc::clone(&replica.state.allocations.index);
        let catalog = Arc::clone(&replica.state.catalog);
        let beside = tokio::spawn(replica.tasks.run(cut.child_token()));
        LiveReplica {
            writer: writer.to_owned(),
            index,
            catalog,
            router: webhook_routes(replica.state, Limits::default(), clock),
            cut,
            task: beside.abort_handle(),
            leads,
        }
    }

    fn policy(&self) -> Policy {
        let mut policy = Policy::default();
        policy.injection = Some(match self.scenario.at_creation {
            true => Injection::Create,
            false => Injection::Bind,
        });
        let own = (0..self.scenario.replicas).map(|number| format!("replica-{number}").into());
        policy.own_users = own.collect::<HashSet<Box<str>>>();
        policy
    }

    /// Kills a replica immediately, whatever it is doing.
    pub(super) fn kill(&self, number: usize) {
        let live = {
            let mut slots = self.lock(&self.replicas);
            slots.get_mut(number).and_then(|slot| slot.live.take())
        };
        let Some(live) = live else { return };
        self.log.record(format_args!("{} is killed", live.writer));
        live.cut.cancel();
        live.task.abort();
    }

    /// Sets which replicas believe to be leaders, where no Lease decides it: none, one, or several.
    pub(super) fn appoint(&self, leaders: &[bool]) {
        for (live, leads) in self.live().iter().zip(leaders) {
            if live.leads.send_replace(*leads) != *leads && self.scenario.leaders_appointed {
                self.log
                    .record(format_args!("{} leads: {leads}", live.writer));
            }
        }
    }

    /// Returns all running replicas.
    pub(super) fn live(&self) -> Vec<LiveReplica> {
        let slots = self.lock(&self.replicas);
        slots.iter().filter_map(|slot| slot.live.clone()).collect()
    }

    /// Returns the replica that a Service would route a request to: mostly a ready one.
    fn route(&self, rng: &super::rng::Rng) -> Option<LiveReplica> {
        let mut live = self.live();
        if rng.percent(95) {
            live.retain(|live| live.catalog.load().is_some());
        }
        rng.pick(&live).cloned()
    }

    fn register(self: &Arc<Self>) {
        const KEYS: [&str; 2] = [
            "k8s.v1.cni.cncf.io/networks",
            "v1.multus-cni.io/default-network",
        ];
        let speaks = |request: &Value| {
            KEYS.iter().any(|key| {
                let of = |object: &str| &request[object]["metadata"]["annotations"][*key];
                match request["operation"].as_str() {
                    Some("UPDATE") => of("object") != of("oldObject"),
                    _ => of("object").is_string(),
                }
            })
        };
        let pods = [
            ("/mutate", &["pods"][..]),
            ("/validate", &["pods", "pods/status"]),
        ];
        for (path, resources) in pods {
            let webhook = self.webhook("pods.nadmit.io", path);
            let webhook = webhook.on(&["CREATE", "UPDATE"], resources).when(speaks);
            self.server.webhook(webhook);
        }
        for path in ["/mutate", "/validate"] {
            let webhook = self.webhook("bindings.nadmit.io", path);
            let webhook = webhook.on(&["CREATE"], &["pods/binding", "bindings"]);
            let webhook = webhook.in_namespaces("nadmit.io/injection=enabled");
            self.server.webhook(webhook.ignoring_failure());
        }
    }

    fn webhook(self: &Arc<Self>, name: &str, path: &'static str) -> Webhook {
        let (cluster, rng) = (Arc::clone(self), self.rng.fork());
        let call = move |review: Value| {
            let (cluster, live) = (Arc::clone(&cluster), cluster.route(&rng));
            async move { cluster.call(path, live, review).await }
        };
        match path {
            "/mutate" => Webhook::mutating(name, call),
            _ => Webhook::validating(name, call),
        }
    }

    /// Has a replica review a request; there is no response if it is killed meanwhile.
    async fn call(
        &self,
        path: &str,
        live: Option<LiveReplica>,
        review: Value,
    ) -> Result<Value, String> {
        let request = &review["request"];
        let about = format!(
            "{path} {} {} {}/{}",
            request["operation"].as_str().unwrap_or_default(),
            request["kind"]["kind"].as_str().unwrap_or_default(),
            request["namespace"].as_str().unwrap_or_default(),
            request["name"].as_str().unwrap_or("?"),
        );
        let Some(live) = live else {
            self.log.record(format_args!("{about}: no replica"));
            return Err("connection refused".to_owned());
        };
        let answering = posting(live.router.clone(), path)(review);
        let answer = tokio::select! {
            biased;
            () = live.cut.cancelled() => Err("connection reset by peer".to_owned()),
            answer = answering => answer,
        };
        let summary = answer.as_ref().map_or_else(Clone::clone, abbreviated);
        self.log
            .record(format_args!("{about} by {}: {summary}", live.writer));
        // Only addresses allocated by nadmit are written here, so a pod denied by these codes got
        // its address from another replica.
        let denied = answer.as_ref().is_ok_and(|answer| {
            let causes = answer["response"]["status"]["details"]["causes"].as_array();
            let codes = causes.into_iter().flatten().map(|cause| &cause["reason"]);
            let of_others = ["address-not-allocated", "binding-changes-networks"];
            codes
                .into_iter()
                .any(|code| of_others.iter().any(|other| code == other))
        });
        if denied {
            self.log.broken(format_args!("S3: {about}: {summary}"));
        }
        answer
    }
}

/// Returns a response in one line.
fn abbreviated(answer: &Value) -> String {
    let response = &answer["response"];
    let patch = response["patch"]
        .as_str()
        .and_then(|text| STANDARD.decode(text).ok());
    let patch = patch.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    match (response["allowed"].as_bool(), patch) {
        (Some(true), Some(patch)) => format!("allowed with {patch}"),
        (Some(true), None) => "allowed".to_owned(),
        _ => format!("denied: {}", response["status"]["message"]),
    }
}
