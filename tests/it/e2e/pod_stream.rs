//! Pods that are created and bound one after another while something else happens.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use k8s_openapi::api::core::v1::{Binding, Pod};
use kube::{Api, api::PostParams};
use libtest_mimic::Failed;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::cluster::{E2eCluster, NETWORKS, binding, injected, soon};
use crate::support::TestResult;

/// The number of pods in progress at the same time.
const CONCURRENCY: usize = 3;

/// Runs until it is ended.
pub(super) struct PodStream<'c> {
    cluster: &'c E2eCluster,
    stop: Arc<AtomicBool>,
    made: Arc<AtomicUsize>,
    tasks: Vec<JoinHandle<Vec<String>>>,
}

impl<'c> PodStream<'c> {
    /// Starts to create pods in this namespace, with its network `storage`.
    pub(super) fn start(cluster: &'c E2eCluster, namespace: &str) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let made = Arc::new(AtomicUsize::new(0));
        let tasks = (0..CONCURRENCY).map(|number| {
            let api = Api::namespaced(cluster.client.clone(), namespace);
            let (stop, made) = (stop.clone(), made.clone());
            cluster.spawn(async move {
                let mut errors = Vec::new();
                for turn in 0..100_000 {
                    if stop.load(Ordering::SeqCst) {
                        break;
                    }
                    match pod(&api, &format!("load-{number}-{turn}")).await {
                        Ok(()) => drop(made.fetch_add(1, Ordering::SeqCst)),
                        Err(error) => errors.push(error),
                    }
                }
                errors
            })
        });
        let tasks = tasks.collect();
        Self {
            cluster,
            stop,
            made,
            tasks,
        }
    }

    /// Waits until this many more pods have been created.
    pub(super) fn more(&self, pods: usize) -> TestResult {
        let goal = self.made.load(Ordering::SeqCst) + pods;
        soon("no pods are made", || {
            Ok((self.made.load(Ordering::SeqCst) >= goal).then_some(()))
        })
    }

    /// Stops, and returns the errors.
    pub(super) fn end(self) -> Result<Vec<String>, Failed> {
        self.stop.store(true, Ordering::SeqCst);
        let mut errors = Vec::new();
        for task in self.tasks {
            errors.extend(self.cluster.wait(task)?);
        }
        Ok(errors)
    }
}

/// Creates a pod and binds it; a pod without an address afterwards was not reviewed.
async fn pod(api: &Api<Pod>, name: &str) -> Result<(), String> {
    let failed = |error: &dyn std::fmt::Display| format!("{name}: {error}");
    let pod = json!({
        "metadata": {"name": name, "annotations": {NETWORKS: "storage"}},
        "spec": {"containers": [{"name": "main", "image": "image"}], "terminationGracePeriodSeconds": 0},
    });
    let pod = serde_json::from_value(pod).map_err(|e| failed(&e))?;
    let post = PostParams::default();
    let created = api.create(&post, &pod).await.map_err(|e| failed(&e))?;
    let uid = created.metadata.uid.unwrap_or_default();
    let bound: Binding = serde_json::from_value(binding(name, &uid)).map_err(|e| failed(&e))?;
    let done: Result<Value, kube::Error> =
        api.create_subresource("binding", name, &post, &bound).await;
    done.map_err(|e| failed(&e))?;
    let pod = api.get(name).await.map_err(|e| failed(&e))?;
    let annotations = pod.metadata.annotations.unwrap_or_default();
    let networks = annotations.get(NETWORKS).map_or("", String::as_str);
    match injected(networks).len() {
        1 => Ok(()),
        _ => Err(format!("{UNREVIEWED} {name}: {networks}")),
    }
}

/// The beginning of the error for a pod that was admitted without an address.
pub(super) const UNREVIEWED: &str = "not reviewed:";

/// Checks that each bound pod gets an address (`address pod`, in order), and each address once.
pub(super) fn settled(cluster: &E2eCluster, namespace: &str) -> TestResult {
    let mut reported = String::new();
    let settled = soon("", || {
        let text = cluster.done(&["get", "pods", "-n", namespace, "-o=json"], "")?;
        let list: Value = serde_json::from_str(&text)?;
        let mut given = Vec::new();
        let mut without = 0;
        for pod in list["items"].as_array().into_iter().flatten() {
            if pod["spec"]["nodeName"].is_null() {
                continue;
            }
            let name = pod["metadata"]["name"].as_str().unwrap_or_default();
            let networks = pod["metadata"]["annotations"][NETWORKS].as_str();
            let ips = injected(networks.unwrap_or_default());
            without += usize::from(ips.is_empty());
            given.extend(ips.iter().map(|ip| format!("{ip} {name}")));
        }
        given.sort();
        let mut distinct: Vec<&str> = given
            .iter()
            .filter_map(|line| line.split(' ').next())
            .collect();
        distinct.dedup();
        if distinct.len() != given.len() {
            return Err(format!("given twice: {given:?}").into());
        }
        let recorded = cluster.recorded(namespace)?;
        reported = format!(
            "{without} bound pods lack theirs; {} given, {} recorded",
            given.len(),
            recorded.len()
        );
        Ok((without == 0 && recorded == given).then_some(()))
    });
    settled.map_err(|_| format!("addresses do not settle: {reported}").into())
}
