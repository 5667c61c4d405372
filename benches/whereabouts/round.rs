//! Pods at once: created, bound and attached, or only bound.

use std::{
    collections::BTreeSet,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use futures_util::{StreamExt as _, TryStreamExt as _, future::try_join_all, stream};
use k8s_openapi::api::core::v1::{Binding, Pod};
use kube::{Api, Client, api::PostParams};
use serde_json::{Value, json};

use super::{
    network::{BenchNetwork, NETWORK},
    node::{AttachedPod, Node},
};

const NETWORKS: &str = "k8s.v1.cni.cncf.io/networks";

/// The number of pods that are being created and bound at the same time.
const CONCURRENCY: usize = 64;

/// A created pod.
pub(crate) struct CreatedPod {
    name: String,
    uid: Option<String>,
}

/// The pods of a round, which are running.
pub(crate) struct RunningPods {
    pub(crate) network: BenchNetwork,
    pub(crate) attached: Vec<AttachedPod>,
    /// The time from the first creation until the last ADD succeeded.
    pub(crate) elapsed: Duration,
}

impl RunningPods {
    /// Creates and binds pods, and attaches each as soon as it is bound, in a namespace each.
    pub(crate) async fn start(
        client: &Client,
        node: &Node,
        network: &BenchNetwork,
        namespaces: Vec<PathBuf>,
    ) -> anyhow::Result<Self> {
        let start = Instant::now();
        let attaching: Vec<_> = stream::iter(namespaces.into_iter().enumerate())
            .map(async |(number, namespace)| {
                let pod = create(client, network, &format!("pod-{number}")).await?;
                bind(client, network, &pod).await?;
                let (node, network) = (node.clone(), network.clone());
                let attached = tokio::spawn(async move {
                    let attached = node.attach(&network, &pod.name, namespace).await;
                    attached.with_context(|| format!("cannot attach {}", pod.name))
                });
                anyhow::Ok(attached)
            })
            .buffer_unordered(CONCURRENCY)
            .try_collect()
            .await?;
        let attached = try_join_all(attaching).await?;
        let attached: Vec<AttachedPod> = attached.into_iter().collect::<Result<_, _>>()?;
        let last = attached.iter().map(|pod| pod.since.into_std()).max();
        Ok(Self {
            network: network.clone(),
            attached,
            elapsed: last.unwrap_or(start) - start,
        })
    }

    /// Returns the number of ADDs that failed.
    pub(crate) fn failed(&self) -> usize {
        self.attached.iter().map(|pod| pod.failed).sum()
    }

    /// Returns the number of pods that share the address of another one.
    pub(crate) fn duplicates(&self) -> usize {
        let addresses: BTreeSet<&str> = self.attached.iter().map(|pod| &*pod.address).collect();
        self.attached.len() - addresses.len()
    }

    /// Detaches all pods.
    pub(crate) async fn detach(&self, node: &Node) -> anyhow::Result<()> {
        let each = self.attached.iter();
        let each = each.map(|pod| node.detach(&self.network, &pod.sandbox));
        try_join_all(each).await.map(drop)
    }
}

/// Creates pods without binding them.
pub(crate) async fn create_all(
    client: &Client,
    network: &BenchNetwork,
    names: impl Iterator<Item = String>,
) -> anyhow::Result<Vec<CreatedPod>> {
    stream::iter(names)
        .map(async |name| create(client, network, &name).await)
        .buffer_unordered(CONCURRENCY)
        .try_collect()
        .await
}

/// Binds created pods, and returns the Bindings a second.
pub(crate) async fn bind_all(
    client: &Client,
    network: &BenchNetwork,
    pods: &[CreatedPod],
) -> anyhow::Result<f64> {
    let start = Instant::now();
    stream::iter(pods)
        .map(async |pod| bind(client, network, pod).await)
        .buffer_unordered(CONCURRENCY)
        .try_collect::<()>()
        .await?;
    Ok(pods.len() as f64 / start.elapsed().as_secs_f64())
}

/// Creates a pod of the network.
pub(crate) async fn create(
    client: &Client,
    network: &BenchNetwork,
    name: &str,
) -> anyhow::Result<CreatedPod> {
    let api: Api<Pod> = Api::namespaced(client.clone(), &network.namespace);
    let pod = serde_json::from_value(json!({
        "metadata": {"name": name, "annotations": {NETWORKS: NETWORK}},
        "spec": {
            "automountServiceAccountToken": false,
            "containers": [{"name": "main", "image": "image"}],
        },
    }))?;
    let created = api.create(&PostParams::default(), &pod).await;
    Ok(CreatedPod {
        name: name.to_owned(),
        uid: created.context("cannot create a pod")?.metadata.uid,
    })
}

/// Binds a pod as kube-scheduler does.
pub(crate) async fn bind(
    client: &Client,
    network: &BenchNetwork,
    pod: &CreatedPod,
) -> anyhow::Result<()> {
    let api: Api<Pod> = Api::namespaced(client.clone(), &network.namespace);
    let binding: Binding = serde_json::from_value(json!({
        "metadata": {"name": pod.name, "uid": pod.uid},
        "target": {"apiVersion": "v1", "kind": "Node", "name": "node-1"},
    }))?;
    let bound: Result<Value, kube::Error> = api
        .create_subresource("binding", &pod.name, &PostParams::default(), &binding)
        .await;
    bound.map(drop).context("cannot bind a pod")
}
