//! A round: pods are created and bound, then checked and deleted.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::core::v1::{Binding, Pod};
use kube::{
    Api,
    api::{DeleteParams, DynamicObject, ListParams, PostParams},
};
use serde_json::{Value, json};
use tokio::time::{Instant as Moment, sleep_until};

use super::{objects::ClusterObjects, round_kind::RoundKind};

const NETWORKS: &str = "k8s.v1.cni.cncf.io/networks";

/// The number of pods in progress at the same time, as with a busy scheduler and its controllers.
pub(crate) const CONCURRENCY: usize = 16;

/// The pace of a round.
pub(crate) struct RoundPace {
    /// Pods created and bound per second.
    pub(crate) rate: f64,
    /// The median time from a pod's creation to the response to its binding.
    pub(crate) latency: Duration,
}

/// Creates and binds this number of pods, at most one per `interval`. They are kept.
pub(crate) async fn run(
    objects: &ClusterObjects,
    pods: usize,
    round_kind: RoundKind,
    interval: Duration,
) -> anyhow::Result<RoundPace> {
    let (start, first) = (Instant::now(), Moment::now());
    let mut latencies: Vec<Duration> = stream::iter(0..pods)
        .map(async |number| {
            sleep_until(first + interval * u32::try_from(number)?).await;
            made(objects, round_kind, number).await
        })
        .buffer_unordered(CONCURRENCY)
        .try_collect()
        .await?;
    let rate = pods as f64 / start.elapsed().as_secs_f64();
    latencies.sort_unstable();
    let latency = latencies.get(pods / 2).copied().unwrap_or_default();
    Ok(RoundPace { rate, latency })
}

/// Deletes a round's objects; with nadmit each pod must have an address of its own.
pub(crate) async fn finish(
    objects: &ClusterObjects,
    pods: usize,
    round_kind: RoundKind,
) -> anyhow::Result<()> {
    let api: Api<Pod> = Api::namespaced(objects.api.client.clone(), round_kind.namespace());
    let given = addresses(&api).await?;
    let right = if round_kind == RoundKind::With {
        pods
    } else {
        0
    };
    ensure!(
        given == right,
        "{given} of {pods} pods have an address of their own"
    );
    let now = DeleteParams::default().grace_period(0);
    api.delete_collection(&now, &ListParams::default()).await?;
    if let Some(group) = round_kind.record_group() {
        let recorded = ListParams::default().labels("bench=recorded");
        let api = objects.allocations(group)?;
        api.delete_collection(&now, &recorded).await?;
    }
    Ok(())
}

async fn made(
    objects: &ClusterObjects,
    round_kind: RoundKind,
    number: usize,
) -> anyhow::Result<Duration> {
    let start = Instant::now();
    let api: Api<Pod> = Api::namespaced(objects.api.client.clone(), round_kind.namespace());
    let name = format!("pod-{number}");
    let pod = serde_json::from_value(json!({
        "metadata": {"name": name, "annotations": {NETWORKS: "bench"}},
        "spec": {
            "automountServiceAccountToken": false,
            "containers": [{"name": "main", "image": "image"}],
        },
    }))?;
    let created = api.create(&PostParams::default(), &pod).await;
    let uid = created.context("cannot create a pod")?.metadata.uid;
    if let Some(group) = round_kind.record_group() {
        record(objects, group, number, uid.as_deref()).await?;
    }
    let binding: Binding = serde_json::from_value(json!({
        // As kube-scheduler does.
        "metadata": {"name": name, "uid": uid},
        "target": {"apiVersion": "v1", "kind": "Node", "name": "node-1"},
    }))?;
    let bound: Result<Value, kube::Error> = api
        .create_subresource("binding", &name, &PostParams::default(), &binding)
        .await;
    bound.context("cannot bind a pod")?;
    Ok(start.elapsed())
}

/// Writes an allocation as nadmit does, for a pool that does not exist.
async fn record(
    objects: &ClusterObjects,
    group: &str,
    number: usize,
    uid: Option<&str>,
) -> anyhow::Result<()> {
    let [high, low] = [number >> 8, number & 255];
    let address = format!("192.168.{high}.{low}");
    let (namespace, pod) = (RoundKind::Recorded.namespace(), format!("pod-{number}"));
    let allocation: DynamicObject = serde_json::from_value(json!({
        "apiVersion": format!("{group}/v1alpha1"), "kind": "AddressAllocation",
        "metadata": {
            "name": format!("recorded.{address}"),
            "annotations": {"nadmit.io/written-by": "bench/0"},
            "labels": {"bench": "recorded", "nadmit.io/pod-uid": uid, "nadmit.io/pool": "none"},
        },
        "spec": {
            "address": address, "networkName": "recorded", "pool": "none", "interface": "net1",
            "network": {"name": "bench", "namespace": namespace},
            "holder": {"pod": {"name": pod, "namespace": namespace}},
            "pod": {"name": pod, "node": "node-1", "uid": uid},
            "since": "2026-01-01T00:00:00Z",
        },
    }))?;
    let api = objects.allocations(group)?;
    let made = api.create(&PostParams::default(), &allocation).await;
    made.map(drop).context("cannot create an allocation")
}

/// Returns the number of distinct addresses of the pods.
async fn addresses(api: &Api<Pod>) -> anyhow::Result<usize> {
    let mut seen = BTreeSet::new();
    for pod in api.list(&ListParams::default()).await? {
        let annotations = pod.metadata.annotations.unwrap_or_default();
        let networks = annotations
            .get(NETWORKS)
            .context("a pod without networks")?;
        if let Ok(selections) = serde_json::from_str::<Value>(networks)
            && let Some(ip) = selections.pointer("/0/ips/0").and_then(Value::as_str)
        {
            seen.insert(ip.to_owned());
        }
    }
    Ok(seen.len())
}
