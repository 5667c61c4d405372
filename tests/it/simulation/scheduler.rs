//! The scheduler: binds pending pods, sometimes twice, and to another node after a refusal.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::{Value, json};
use tokio::time::Instant;

use super::{
    cluster::{SimCluster, full_name, has_ended, is_going, meta, node_of, path_of},
    rng::Rng,
};

/// Pending pods by UID: the number of attempts and the time of the next one; `None` during an
/// attempt.
type PendingPods = Arc<Mutex<BTreeMap<String, (u32, Option<Instant>)>>>;

/// Binds pods until the scenario ends.
pub(super) async fn scheduler(cluster: Arc<SimCluster>, rng: Rng) {
    let waiting = PendingPods::default();
    loop {
        cluster.pause(rng.millis(200, 1_000)).await;
        let nodes = cluster.ready_nodes();
        for pod in cluster.pods() {
            if node_of(&pod).is_some() || is_going(&pod) || has_ended(&pod) {
                continue;
            }
            let Some(node) = rng.pick(&nodes).cloned() else {
                break;
            };
            let uid = meta(&pod, "uid").to_owned();
            let tries = {
                let mut waiting = cluster.lock(&waiting);
                let (tries, next) = waiting.entry(uid).or_insert((0, Some(Instant::now())));
                if next.is_none_or(|next| next > Instant::now()) {
                    continue;
                }
                *next = None;
                *tries
            };
            // A second scheduler, or a user who binds by hand.
            if rng.percent(8) {
                let other = rng.pick(&nodes).cloned().unwrap_or_default();
                let binding = binding(&pod, &other, &rng);
                tokio::spawn(bind(Arc::clone(&cluster), Arc::clone(&pod), binding, None));
            }
            let backoff = Duration::from_secs(1 << tries.min(6));
            let remember = Some((Arc::clone(&waiting), backoff));
            let binding = binding(&pod, &node, &rng);
            tokio::spawn(bind(Arc::clone(&cluster), pod, binding, remember));
        }
    }
}

fn binding(pod: &Value, node: &str, rng: &Rng) -> Value {
    let mut binding = json!({
        "apiVersion": "v1", "kind": "Binding",
        "metadata": {
            "name": meta(pod, "name"), "namespace": meta(pod, "namespace"), "uid": meta(pod, "uid"),
        },
        "target": {"apiVersion": "v1", "kind": "Node", "name": node},
    });
    if rng.percent(5) {
        binding["metadata"]["uid"] = Value::Null;
    }
    binding
}

async fn bind(
    cluster: Arc<SimCluster>,
    pod: Arc<Value>,
    binding: Value,
    remember: Option<(PendingPods, Duration)>,
) {
    let path = format!("{}/binding", path_of(&pod));
    let answer = cluster.post("scheduler", &path, &binding).await;
    let (name, node) = (full_name(&pod), &binding["target"]["name"]);
    cluster
        .log
        .record(format_args!("bind {name} to {node}: {}", answer.summary()));
    if let Some((waiting, backoff)) = remember {
        let entry = (
            backoff.as_secs().ilog2() + 1,
            Some(Instant::now() + backoff),
        );
        cluster
            .lock(&waiting)
            .insert(meta(&pod, "uid").to_owned(), entry);
    }
}
