//! A turn: pods created and bound as fast as they go, then looked at and taken away.

use std::{collections::BTreeSet, time::Instant};

use anyhow::{Context as _, ensure};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::core::v1::{Binding, Pod};
use kube::{
    Api,
    api::{DeleteParams, ListParams, PostParams},
};
use serde_json::{Value, json};

use super::objects::{Objects, namespace};

const NETWORKS: &str = "k8s.v1.cni.cncf.io/networks";

/// Pods created and bound a second; `with` nadmit each must have an address of its own afterwards.
pub(crate) async fn run(
    objects: &Objects,
    pods: usize,
    at_once: usize,
    with: bool,
) -> anyhow::Result<f64> {
    let api: Api<Pod> = Api::namespaced(objects.client.clone(), namespace(with));
    let start = Instant::now();
    stream::iter(0..pods)
        .map(|number| made(&api, number))
        .buffer_unordered(at_once)
        .try_collect::<Vec<()>>()
        .await?;
    let seconds = start.elapsed().as_secs_f64();
    let given = addresses(&api).await?;
    let right = if with { pods } else { 0 };
    ensure!(
        given == right,
        "{given} of {pods} pods have an address of their own"
    );
    let now = DeleteParams::default().grace_period(0);
    api.delete_collection(&now, &ListParams::default()).await?;
    Ok(pods as f64 / seconds)
}

async fn made(api: &Api<Pod>, number: usize) -> anyhow::Result<()> {
    let name = format!("pod-{number}");
    let pod = serde_json::from_value(json!({
        "metadata": {"name": name, "annotations": {NETWORKS: "bench"}},
        "spec": {
            "automountServiceAccountToken": false,
            "containers": [{"name": "main", "image": "image"}],
        },
    }))?;
    let created = api.create(&PostParams::default(), &pod).await;
    let created = created.context("cannot create a pod")?;
    let binding: Binding = serde_json::from_value(json!({
        // As kube-scheduler does it.
        "metadata": {"name": name, "uid": created.metadata.uid},
        "target": {"apiVersion": "v1", "kind": "Node", "name": "node-1"},
    }))?;
    let bound: Result<Value, kube::Error> = api
        .create_subresource("binding", &name, &PostParams::default(), &binding)
        .await;
    bound.map(drop).context("cannot bind a pod")
}

/// How many different addresses the pods have.
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
