//! Networks of two address spaces that have their entries in one `IPPool` of Whereabouts, with two replicas of
//! nadmit on the fake API server.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use futures_util::future::try_join_all;
use libtest_mimic::{Failed, Trial};
use nadmit::{
    catalog::WhereaboutsMode,
    cli::ReplicaOptions,
    clock::RandomSource,
    rules::{Injection, Policy},
    whereabouts::MARK,
};
use serde_json::{Value, json};
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};

use crate::{
    api_server::{ApiServer, posting},
    running_replica::{RunningReplica, clock_since},
    support::{TestResult, same},
};

/// The namespace of Whereabouts's records.
const HOME: &str = "kube-system";
/// The `IPPool` of both networks.
const POOL: &str = "192.0.2.0-27";
/// The number of pods of each network.
const PODS: usize = 6;

pub(crate) fn tests() -> Vec<Trial> {
    tests!["shared_ip_pools";
        bindings_at_once_at_one_replica_get_different_addresses,
        bindings_at_once_at_two_replicas_get_different_addresses,
    ]
}

/// Returns a server with two networks, of which one has no reservations, and the pods of each.
fn cluster() -> ApiServer {
    let server = ApiServer::new();
    for name in ["nadmit", HOME] {
        server.namespace(name, &[]);
    }
    server.namespace("db", &[("nadmit.io/injection", "enabled")]);
    server.put(json!({
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": "node-1"}, "spec": {},
        "status": {"conditions": [{"type": "Ready", "status": "True"}]},
    }));
    for (network, overlapping) in [("with", true), ("without", false)] {
        server.put(json!({
            "apiVersion": "k8s.cni.cncf.io/v1", "kind": "NetworkAttachmentDefinition",
            "metadata": {"name": network, "namespace": "db"},
            "spec": {"config": json!({
                "cniVersion": "0.3.1", "type": "macvlan", "ipam": {
                    "type": "whereabouts", "range": "192.0.2.0/27",
                    "enable_overlapping_ranges": overlapping,
                },
            }).to_string()},
        }));
        for number in 0..PODS {
            server.put(json!({
                "apiVersion": "v1", "kind": "Pod",
                "metadata": {
                    "name": format!("{network}-{number}"), "namespace": "db",
                    "annotations": {"k8s.v1.cni.cncf.io/networks": network},
                },
                "spec": {"containers": [{"name": "app", "image": "app"}]},
            }));
        }
    }
    server
}

/// Starts a replica that serves networks of Whereabouts.
fn replica(server: &ApiServer, name: &str, leads: bool) -> RunningReplica {
    let mut policy = Policy::default();
    policy.injection = Some(Injection::Bind);
    policy.pool_derivation.whereabouts = WhereaboutsMode::Serve;
    let chance = AtomicU64::new(0);
    let options = ReplicaOptions {
        server: "the fake API server".to_owned(),
        namespace: "nadmit".to_owned(),
        writer: name.to_owned(),
        policy: Arc::new(ArcSwap::from_pointee(policy)),
        schedule: watch::Sender::new(None).subscribe(),
        is_leader: Some(watch::Sender::new(leads).subscribe()),
        clock: clock_since(Instant::now()),
        random: RandomSource::new(move || chance.fetch_add(1, Ordering::Relaxed).into()),
    };
    RunningReplica::start(server.named(name).client(), options)
}

/// Reviews the Binding of a pod at a replica as the API server does, until it is allowed.
async fn bind(replica: &RunningReplica, name: &str) -> TestResult {
    let mutate = posting(replica.router.clone(), "/mutate");
    let review = json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": format!("review-of-{name}"),
            "kind": {"group": "", "version": "v1", "kind": "Binding"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "subResource": "binding", "name": name, "namespace": "db", "operation": "CREATE",
            "userInfo": {"username": "system:kube-scheduler"},
            "object": {
                "apiVersion": "v1", "kind": "Binding",
                "metadata": {"name": name, "namespace": "db"},
                "target": {"kind": "Node", "name": "node-1"},
            },
        },
    });
    let mut response = Value::Null;
    // The scheduler tries a refused Binding again.
    for _ in 0..5 {
        response = mutate(review.clone()).await?;
        if response["response"]["allowed"] == true {
            return Ok(());
        }
        sleep(Duration::from_secs(1)).await;
    }
    Err(format!("{name}: {response}").into())
}

fn bindings_at_once_at_one_replica_get_different_addresses() -> TestResult {
    all_are_bound_at_once(&[("a", true)])
}

fn bindings_at_once_at_two_replicas_get_different_addresses() -> TestResult {
    all_are_bound_at_once(&[("a", true), ("b", false)])
}

/// Binds all pods at once, those of one network at the first of these replicas, and those of the other at the
/// last. Each has a name, and leads or does not.
fn all_are_bound_at_once(replicas: &[(&str, bool)]) -> TestResult {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()?;
    runtime.block_on(async {
        let server = cluster();
        let replicas = replicas.iter();
        let replicas = replicas.map(|(name, leads)| replica(&server, name, *leads));
        let replicas: Vec<RunningReplica> = replicas.collect();
        sleep(Duration::from_secs(10)).await;
        let (with, without) = (names("with"), names("without"));
        let (first, last) = (replicas.first(), replicas.last());
        let (first, last) = first.zip(last).ok_or("no replica")?;
        let bound = try_join_all(with.iter().map(|name| bind(first, name)));
        let others = try_join_all(without.iter().map(|name| bind(last, name)));
        let (bound, others) = tokio::join!(bound, others);
        bound?;
        others?;
        same(&addresses(&server)?.len(), &(2 * PODS))?;
        for name in with.iter().chain(&without) {
            let mut pod = server.stored("pods", "db", name).ok_or("no pod")?;
            pod["spec"]["nodeName"] = "node-1".into();
            server.put(pod);
        }
        sleep(Duration::from_secs(180)).await;
        let found = addresses(&server)?;
        same(&found.len(), &(2 * PODS))?;
        let mut records = BTreeMap::new();
        for object in server.all("addressallocations.nadmit.io") {
            let spec = &object["spec"];
            let pod = text(&spec["holder"]["pod"]["name"]);
            records.insert(text(&spec["address"]), format!("db/{pod}"));
        }
        same(&records, &found)?;
        for replica in replicas {
            replica.stop.cancel();
            replica.tasks.await?;
        }
        Ok(())
    })
}

/// Returns the names of a network's pods.
fn names(network: &str) -> Vec<String> {
    let numbers = 0..PODS;
    numbers
        .map(|number| format!("{network}-{number}"))
        .collect()
}

/// Returns the pod of each address, from the entries. Each pod has one, and each entry says whose record it is
/// for.
fn addresses(server: &ApiServer) -> Result<BTreeMap<String, String>, Failed> {
    let pool = server
        .stored("ippools.whereabouts.cni.cncf.io", HOME, POOL)
        .ok_or("no IPPool")?;
    let entries = pool["spec"]["allocations"].as_object();
    let mut found = BTreeMap::new();
    for (offset, entry) in entries.into_iter().flatten() {
        let pod = text(&entry["podref"]);
        let space = match pod.starts_with("db/without-") {
            true => format!("{MARK}/{POOL}"),
            false => MARK.to_owned(),
        };
        same(&text(&entry["id"]), &space)?;
        found.insert(format!("192.0.2.{offset}"), pod);
    }
    let pods: BTreeSet<&String> = found.values().collect();
    same(&pods.len(), &found.len())?;
    Ok(found)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
