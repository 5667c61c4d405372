//! A cluster in process, a source that follows it, and paused time.

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwapOption;
use libtest_mimic::Failed;
use nadmit::{
    catalog::{Catalog, LiveRead},
    sources::{ClusterError, ClusterSource, ClusterSourceOptions, KindStatus},
};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::api_server::ApiServer;
pub(super) use crate::support::same;
pub(super) use crate::support::{TestResult, paused};

/// The source's client name in the fake API server.
pub(super) const CLIENT: &str = "nadmit";

pub(super) fn holds(what: &str, holds: bool) -> TestResult {
    if holds { Ok(()) } else { Err(what.into()) }
}

/// A cluster and a source that follows it until this is dropped.
pub(super) struct FollowedCluster {
    pub(super) server: ApiServer,
    pub(super) source: ClusterSource,
    pub(super) catalog: Arc<ArcSwapOption<Catalog>>,
    pub(super) cancel: CancellationToken,
    _end: DropGuard,
}

impl FollowedCluster {
    /// Starts to follow a server.
    pub(super) fn start(server: ApiServer) -> Self {
        let catalog = Arc::new(ArcSwapOption::empty());
        let client = server.named(CLIENT).client();
        let options = ClusterSourceOptions::default();
        let source = ClusterSource::new(client, options, Arc::clone(&catalog));
        let cancel = CancellationToken::new();
        tokio::spawn(source.clone().run(cancel.clone()));
        Self {
            server,
            source,
            catalog,
            _end: cancel.clone().drop_guard(),
            cancel,
        }
    }

    /// Starts to follow a server, and waits for the first catalog.
    pub(super) async fn synced(server: ApiServer) -> Result<Self, Failed> {
        let followed = Self::start(server);
        timeout(Duration::from_secs(10), followed.source.wait_synced()).await?;
        Ok(followed)
    }

    /// Returns the published catalog.
    pub(super) fn catalog(&self) -> Arc<Catalog> {
        self.catalog.load_full().unwrap_or_default()
    }

    /// Stores objects without the source's knowledge.
    pub(super) fn put(&self, objects: impl IntoIterator<Item = Value>) -> TestResult {
        put(&self.server, objects)
    }

    /// Deletes an object at once by its path: `pods`, `db`, `a`.
    pub(super) async fn delete(&self, path: &str) -> TestResult {
        let request = http::Request::delete(format!("{path}?gracePeriodSeconds=0"));
        let client = self.server.client();
        client.request_text(request.body(Vec::new())?).await?;
        Ok(())
    }

    /// Makes a live read.
    pub(super) async fn read(&self, read: LiveRead) -> Result<(), ClusterError> {
        self.source.refresh(&read, "kube-system").await
    }

    /// Returns the status of a kind.
    pub(super) fn kind(&self, resource: &str) -> Result<KindStatus, Failed> {
        let kinds = self.source.status().kinds.into_iter();
        let mut found = kinds.filter(|kind| kind.resource == resource);
        found.next().ok_or_else(|| resource.into())
    }

    /// Returns the networks annotation of a pod in the catalog.
    pub(super) fn networks_of(&self, namespace: &str, name: &str) -> Option<String> {
        let catalog = self.catalog();
        let pod = catalog.pod(namespace, name)?;
        pod.networks.as_deref().map(str::to_owned)
    }
}

pub(super) fn put(server: &ApiServer, objects: impl IntoIterator<Item = Value>) -> TestResult {
    for object in objects {
        holds("a kind that is not served", server.put(object))?;
    }
    Ok(())
}

/// Waits long enough for every write to be published.
pub(super) async fn settled() {
    sleep(Duration::from_millis(100)).await;
}

pub(super) const NETWORKS: &str = "k8s.v1.cni.cncf.io/networks";

pub(super) fn pod(namespace: &str, name: &str, networks: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "annotations": {NETWORKS: networks}},
        "spec": {"nodeName": "n1", "containers": [{"name": "c", "image": "i"}]},
        "status": {"phase": "Running"},
    })
}

pub(super) fn network(namespace: &str, name: &str, pool: &str) -> Value {
    json!({
        "apiVersion": "k8s.cni.cncf.io/v1", "kind": "NetworkAttachmentDefinition",
        "metadata": {"name": name, "namespace": namespace,
            "annotations": {"nadmit.io/address-pool": pool}},
        "spec": {"config": "{\"cniVersion\":\"1.0.0\",\"type\":\"macvlan\",\"ipam\":{\"type\":\"static\"}}"},
    })
}

pub(super) fn pool(name: &str, range: &str) -> Value {
    json!({
        "apiVersion": "nadmit.io/v1alpha1", "kind": "AddressPool", "metadata": {"name": name},
        "spec": {"ranges": [{"range": range}], "namespaceSelector": {}},
    })
}

pub(super) fn node(name: &str, ready: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": name},
        "status": {"conditions": [{"type": "Ready", "status": ready,
            "lastTransitionTime": "2026-01-01T00:00:00Z"}]},
    })
}
