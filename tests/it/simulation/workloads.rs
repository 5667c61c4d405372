//! Pods, and the controller of the StatefulSets that create some of them.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{
    cluster::{SimCluster, has_ended, is_going, meta, path_of},
    nodes::NETWORKS,
    rng::Rng,
    scenario::{NAMESPACES, NETWORK},
};

/// Returns an annotation with which a user asks for an interface on the network.
pub(super) fn wish(cluster: &SimCluster, rng: &Rng) -> String {
    let explicit = cluster.scenario.families == 1 && rng.percent(10);
    match rng.below(10) {
        _ if explicit => {
            let ip = address(cluster, rng);
            json!([{"name": NETWORK, "ips": [ip]}]).to_string()
        }
        0 => format!("{NETWORK},{NETWORK}"),
        1..4 => json!([{"name": NETWORK, "interface": "net1"}]).to_string(),
        _ => NETWORK.to_owned(),
    }
}

/// Returns a random address of the first range, with its prefix.
pub(super) fn address(cluster: &SimCluster, rng: &Rng) -> String {
    let range = cluster.scenario.pool["ranges"][0]["range"]
        .as_str()
        .unwrap_or_default();
    let (base, prefix) = range.split_once('/').unwrap_or((range, "29"));
    let (start, last) = base.rsplit_once('.').unwrap_or((base, "0"));
    let last: u64 = last.parse().unwrap_or(0);
    format!("{start}.{}/{prefix}", last + rng.between(1, 6))
}

pub(super) fn pod(namespace: &str, name: &str, wish: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "annotations": {NETWORKS: wish}},
        "spec": {"containers": [{"name": "app", "image": "app"}]},
    })
}

/// Returns the sets of a scenario.
pub(super) fn sets(rng: &Rng) -> Vec<Value> {
    let set = |namespace: &str| {
        json!({
            "apiVersion": "apps/v1", "kind": "StatefulSet",
            "metadata": {"name": "set", "namespace": namespace},
            "spec": {"replicas": rng.below(3), "selector": {}, "template": {}, "serviceName": "set"},
        })
    };
    NAMESPACES.iter().map(|namespace| set(namespace)).collect()
}

/// Creates the pods of all sets until the scenario ends.
pub(super) async fn set_controller(cluster: Arc<SimCluster>, rng: Rng) {
    loop {
        cluster.pause(rng.millis(500, 2_500)).await;
        for set in cluster.server.all("statefulsets.apps") {
            let wanted = set["spec"]["replicas"].as_u64().unwrap_or(0);
            for ordinal in 0..4 {
                step(&cluster, &set, ordinal, ordinal < wanted).await;
            }
        }
    }
}

async fn step(cluster: &SimCluster, set: &Value, ordinal: u64, wanted: bool) {
    let (namespace, name) = (meta(set, "namespace"), meta(set, "name"));
    let name = format!("{name}-{ordinal}");
    let there = cluster.server.stored("pods", namespace, &name);
    match there {
        None if wanted => {
            let mut pod = pod(namespace, &name, NETWORK);
            pod["metadata"]["generateName"] = json!(format!("{}-", meta(set, "name")));
            pod["metadata"]["ownerReferences"] = json!([{
                "apiVersion": "apps/v1", "kind": "StatefulSet", "name": meta(set, "name"),
                "uid": meta(set, "uid"), "controller": true, "blockOwnerDeletion": true,
            }]);
            let path = format!("/api/v1/namespaces/{namespace}/pods");
            let answer = cluster.post("set-controller", &path, &pod).await;
            cluster.log.record(format_args!(
                "set creates {namespace}/{name}: {}",
                answer.summary()
            ));
        }
        Some(pod) if (!wanted || has_ended(&pod)) && !is_going(&pod) => {
            let owned = pod["metadata"]["ownerReferences"][0]["uid"] == set["metadata"]["uid"];
            if owned {
                let options = json!({"preconditions": {"uid": meta(&pod, "uid")}});
                cluster
                    .ask("set-controller", "DELETE", &path_of(&pod), &options)
                    .await;
            }
        }
        _ => {}
    }
}
