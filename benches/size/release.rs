//! The time until the addresses of deleted pods are free.

use std::{
    pin::pin,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api,
    api::{DeleteParams, ListParams, PostParams, WatchEvent, WatchParams},
};
use serde_json::Value;
use tokio::time::timeout;

use super::{
    api::ClusterApi,
    cluster_size::{BenchPod, BenchSet, ClusterSize},
    fill::QUARANTINE_SECONDS,
    objects, restart,
};

/// The number of pods without a StatefulSet, which keep nothing.
const PODS: usize = 100;
const CONCURRENCY: usize = 16;
/// The time limit for the release of all addresses.
const TIMEOUT: Duration = Duration::from_secs(300);
/// The time limit of the watch, in seconds; the API server accepts less than five minutes.
const WATCH_SECONDS: u32 = 290;

/// The times from the deletion of pods to the release of their addresses, without the quarantine.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReleaseTime {
    pub(crate) median: Duration,
    pub(crate) last: Duration,
}

/// A pod that holds addresses.
struct HoldingPod {
    name: String,
    addresses: usize,
}

/// Creates, binds and reports pods that retain nothing, deletes them all, and waits until their
/// addresses are released.
pub(crate) async fn measure(api: &ClusterApi, size: ClusterSize) -> anyhow::Result<ReleaseTime> {
    let set = size.set(0);
    let pods: Api<Pod> = Api::namespaced(api.client.clone(), &set.namespace);
    let held: Vec<HoldingPod> = stream::iter(0..PODS)
        .map(|number| run_pod(&pods, size, &set, number))
        .buffer_unordered(CONCURRENCY)
        .try_collect()
        .await?;
    let records: usize = held.iter().map(|pod| pod.addresses).sum();
    let allocations = api.objects("nadmit.io/v1alpha1", "AddressAllocation", None)?;
    let page = ListParams::default().limit(1);
    let revision = allocations.list_metadata(&page).await?.metadata;
    let revision = revision.resource_version.context("no revision")?;
    let watch = WatchParams::default().timeout(WATCH_SECONDS);
    let mut events = pin!(allocations.watch(&watch, &revision).await?);
    let start = Instant::now();
    stream::iter(&held)
        .map(|pod| async {
            let ended = DeleteParams::default().grace_period(0);
            pods.delete(&pod.name, &ended).await.map(drop)
        })
        .buffer_unordered(CONCURRENCY)
        .try_collect::<()>()
        .await?;
    let mut times = Vec::new();
    let until_released = async {
        while times.len() < records {
            let event = events.try_next().await?.context("the watch ended")?;
            match event {
                WatchEvent::Deleted(record) if is_of_single_pod(&record.data) => {
                    times.push(start.elapsed());
                }
                WatchEvent::Error(error) => bail!("the watch failed: {error:?}"),
                _ => {}
            }
        }
        anyhow::Ok(())
    };
    let ended = timeout(TIMEOUT, until_released).await;
    ended.with_context(|| format!("not all of {records} addresses were released"))??;
    let quarantine = Duration::from_secs(QUARANTINE_SECONDS);
    let of = |at: usize| {
        let time = times.get(at).copied().unwrap_or_default();
        time.saturating_sub(quarantine)
    };
    Ok(ReleaseTime {
        median: of(times.len() / 2),
        last: of(times.len().saturating_sub(1)),
    })
}

async fn run_pod(
    pods: &Api<Pod>,
    size: ClusterSize,
    set: &BenchSet,
    number: usize,
) -> anyhow::Result<HoldingPod> {
    let pod = BenchPod {
        name: format!("single-{number}"),
        ..size.pod(set, 0)
    };
    let mut object: Pod = serde_json::from_value(objects::new_pod(set, &pod, ""))?;
    object.metadata.owner_references = None;
    object.metadata.labels = None;
    let created = pods.create(&PostParams::default(), &object).await?;
    restart::bind(pods, &created, pod.node).await?;
    let given = restart::report(pods, set, &pod).await?;
    Ok(HoldingPod {
        name: pod.name,
        addresses: given.len(),
    })
}

/// Returns true if the holder of a record is a pod and no replica.
fn is_of_single_pod(record: &Value) -> bool {
    record.pointer("/spec/holder/pod").is_some()
}
