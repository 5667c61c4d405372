//! A rolling restart: each StatefulSet replaces its pods one after the other.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::core::v1::{Binding, Pod};
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::{
    api::ClusterApi,
    cluster_size::{BenchPod, BenchSet, ClusterSize, PLAIN, ordinals},
    fill::SetUids,
    objects::{self, NETWORK_STATUS, NETWORKS},
};

/// The number of attempts to bind a pod, and the pause after each.
const MAX_ATTEMPTS: u32 = 300;
const RETRY_DELAY: Duration = Duration::from_millis(100);

/// The pace of a restart.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RestartPace {
    /// Pods replaced per second.
    pub(crate) rate: f64,
    /// The median time from a pod's deletion until its successor has reported its networks.
    pub(crate) latency: Duration,
    /// Bindings that were refused, and repeated.
    pub(crate) refusals: u32,
}

/// A pod that was replaced.
struct RestartedPod {
    took: Duration,
    refusals: u32,
}

/// Replaces all pods of these StatefulSets. Each pod has to keep its addresses.
pub(crate) async fn run(
    api: &ClusterApi,
    size: ClusterSize,
    sets: &[BenchSet],
    uids: &SetUids,
) -> anyhow::Result<RestartPace> {
    let start = Instant::now();
    let restarted: Vec<Vec<RestartedPod>> = stream::iter(sets)
        .map(async |set| {
            let mut pods = Vec::new();
            for ordinal in ordinals().rev() {
                let owner = uids.get(&set.name).context("no such StatefulSet")?;
                pods.push(replace(api, set, &size.pod(set, ordinal), owner).await?);
            }
            anyhow::Ok(pods)
        })
        .buffer_unordered(sets.len())
        .try_collect()
        .await?;
    let took = start.elapsed();
    let restarted: Vec<RestartedPod> = restarted.into_iter().flatten().collect();
    let mut latencies: Vec<Duration> = restarted.iter().map(|pod| pod.took).collect();
    latencies.sort_unstable();
    Ok(RestartPace {
        rate: restarted.len() as f64 / took.as_secs_f64(),
        latency: latencies
            .get(latencies.len() / 2)
            .copied()
            .unwrap_or_default(),
        refusals: restarted.iter().map(|pod| pod.refusals).sum(),
    })
}

async fn replace(
    api: &ClusterApi,
    set: &BenchSet,
    pod: &BenchPod,
    owner: &str,
) -> anyhow::Result<RestartedPod> {
    let start = Instant::now();
    let pods: Api<Pod> = Api::namespaced(api.client.clone(), &set.namespace);
    // As the kubelet does it once the containers have ended.
    let ended = DeleteParams::default().grace_period(0);
    pods.delete(&pod.name, &ended).await?;
    let object = serde_json::from_value(objects::new_pod(set, pod, owner))?;
    let created = pods.create(&PostParams::default(), &object).await?;
    let refusals = bind(&pods, &created, pod.node).await?;
    let given = report(&pods, set, pod).await?;
    let kept: Vec<String> = pod.addresses.iter().map(ToString::to_string).collect();
    ensure!(
        set.namespace == PLAIN || given == kept,
        "{} got {given:?} instead of {kept:?}",
        pod.name
    );
    Ok(RestartedPod {
        took: start.elapsed(),
        refusals,
    })
}

/// Binds a pod to a node, as kube-scheduler does it. Returns the number of refusals.
pub(crate) async fn bind(pods: &Api<Pod>, pod: &Pod, node: usize) -> anyhow::Result<u32> {
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    let binding: Binding = serde_json::from_value(json!({
        "metadata": {"name": name, "uid": pod.metadata.uid},
        "target": {"apiVersion": "v1", "kind": "Node", "name": objects::node_name(node)},
    }))?;
    for refusals in 0..MAX_ATTEMPTS {
        let bound: Result<Value, kube::Error> = pods
            .create_subresource("binding", name, &PostParams::default(), &binding)
            .await;
        match bound {
            Ok(_) => return Ok(refusals),
            Err(kube::Error::Api(status)) if status.message.contains("webhook") => {
                sleep(RETRY_DELAY).await;
            }
            Err(error) => return Err(error).context("cannot bind a pod"),
        }
    }
    bail!("{name} is not bound after {MAX_ATTEMPTS} attempts")
}

/// Reads a pod and reports its interfaces, as Multus does it. Returns the addresses that its annotation
/// names.
pub(crate) async fn report(
    pods: &Api<Pod>,
    set: &BenchSet,
    pod: &BenchPod,
) -> anyhow::Result<Vec<String>> {
    let bound = pods.get(&pod.name).await?;
    let annotations = bound.metadata.annotations.unwrap_or_default();
    let networks = annotations.get(NETWORKS).context("no networks")?;
    let selections: Vec<Value> = serde_json::from_str(networks).unwrap_or_default();
    let given = selections.iter().filter_map(|one| {
        let (ip, _) = one.pointer("/ips/0")?.as_str()?.split_once('/')?;
        Some(ip.to_owned())
    });
    let given: Vec<String> = given.collect();
    let own: Vec<String> = pod.addresses.iter().map(ToString::to_string).collect();
    let ips = if given.is_empty() { &own } else { &given };
    let status = objects::network_status(&set.namespace, &set.networks, ips);
    let patch = Patch::Merge(json!({"metadata": {"annotations": {NETWORK_STATUS: status}}}));
    pods.patch_status(&pod.name, &PatchParams::default(), &patch)
        .await?;
    Ok(given)
}
