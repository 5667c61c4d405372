//! The scheduler: binds pending pods, sometimes twice, and to another node after a refusal.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::{Value, json};
use tokio::time::Instant;

use super::{
    cluster::{World, full_name, has_ended, is_going, meta, node_of, path_of},
    rng::Dice,
};

/// Pending pods by UID: the number of attempts and the time of the next one; `None` during an
/// attempt.
type Waiting = Arc<Mutex<BTreeMap<String, (u32, Option<Instant>)>>>;

/// Binds pods until the scenario ends.
pub(super) async fn scheduler(world: Arc<World>, dice: Dice) {
    let waiting = Waiting::default();
    loop {
        world.pause(dice.millis(200, 1_000)).await;
        let nodes = world.ready_nodes();
        for pod in world.pods() {
            if node_of(&pod).is_some() || is_going(&pod) || has_ended(&pod) {
                continue;
            }
            let Some(node) = dice.pick(&nodes).cloned() else {
                break;
            };
            let uid = meta(&pod, "uid").to_owned();
            let tries = {
                let mut waiting = world.lock(&waiting);
                let (tries, next) = waiting.entry(uid).or_insert((0, Some(Instant::now())));
                if next.is_none_or(|next| next > Instant::now()) {
                    continue;
                }
                *next = None;
                *tries
            };
            // A second scheduler, or a user who binds by hand.
            if dice.percent(8) {
                let other = dice.pick(&nodes).cloned().unwrap_or_default();
                let binding = binding(&pod, &other, &dice);
                tokio::spawn(bind(Arc::clone(&world), Arc::clone(&pod), binding, None));
            }
            let backoff = Duration::from_secs(1 << tries.min(6));
            let remember = Some((Arc::clone(&waiting), backoff));
            let binding = binding(&pod, &node, &dice);
            tokio::spawn(bind(Arc::clone(&world), pod, binding, remember));
        }
    }
}

fn binding(pod: &Value, node: &str, dice: &Dice) -> Value {
    let mut binding = json!({
        "apiVersion": "v1", "kind": "Binding",
        "metadata": {
            "name": meta(pod, "name"), "namespace": meta(pod, "namespace"), "uid": meta(pod, "uid"),
        },
        "target": {"apiVersion": "v1", "kind": "Node", "name": node},
    });
    if dice.percent(5) {
        binding["metadata"]["uid"] = Value::Null;
    }
    binding
}

async fn bind(
    world: Arc<World>,
    pod: Arc<Value>,
    binding: Value,
    remember: Option<(Waiting, Duration)>,
) {
    let path = format!("{}/binding", path_of(&pod));
    let answer = world.post("scheduler", &path, &binding).await;
    let (name, node) = (full_name(&pod), &binding["target"]["name"]);
    world
        .log
        .say(format_args!("bind {name} to {node}: {}", answer.told()));
    if let Some((waiting, backoff)) = remember {
        let entry = (
            backoff.as_secs().ilog2() + 1,
            Some(Instant::now() + backoff),
        );
        world
            .lock(&waiting)
            .insert(meta(&pod, "uid").to_owned(), entry);
    }
}
