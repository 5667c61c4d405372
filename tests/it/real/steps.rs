//! The objects that tests create in a cluster: namespaces, pools, networks and workloads.

use std::collections::BTreeMap;

use libtest_mimic::Failed;
use serde_json::{Value, json};

use super::cluster::RealCluster;
use crate::support::TestResult;

/// The annotation by which a pod selects networks.
pub(super) const NETWORKS: &str = "k8s.v1.cni.cncf.io/networks";
/// The annotation in which Multus reports what it attached.
pub(super) const STATUS: &str = "k8s.v1.cni.cncf.io/network-status";

impl RealCluster {
    /// Applies objects with kubectl.
    pub(super) fn apply(&self, objects: &[Value]) -> TestResult {
        let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
        self.done(&["apply", "-f", "-"], &list.to_string())
            .map(drop)
    }

    /// Returns the network `storage` of a namespace, on the host's interface, with addresses from
    /// the pool.
    pub(super) fn network(&self, namespace: &str, pool: &str) -> Value {
        let config = json!({
            "cniVersion": "0.3.1", "name": "storage",
            "plugins": [{
                "type": "macvlan", "master": self.master(), "mode": "bridge",
                "capabilities": {"ips": true}, "ipam": {"type": "static"},
            }],
        });
        json!({
            "apiVersion": "k8s.cni.cncf.io/v1", "kind": "NetworkAttachmentDefinition",
            "metadata": {
                "name": "storage", "namespace": namespace,
                "annotations": {"nadmit.io/address-pool": pool},
            },
            "spec": {"config": config.to_string()},
        })
    }

    /// Returns a network without addresses on the host's interface.
    pub(super) fn plain_network(&self, namespace: &str, name: &str) -> Value {
        let config = json!({
            "cniVersion": "0.3.1", "name": name,
            "type": "macvlan", "master": self.master(), "mode": "bridge",
        });
        json!({
            "apiVersion": "k8s.cni.cncf.io/v1", "kind": "NetworkAttachmentDefinition",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"config": config.to_string()},
        })
    }

    /// Waits until a pool allocates addresses.
    pub(super) fn until_ready(&self, pool: &str) -> TestResult {
        let pool = format!("addresspool/{pool}");
        self.done(
            &["wait", "--for=condition=Ready", "--timeout=60s", &pool],
            "",
        )
        .map(drop)
    }

    /// Waits until a pool is listed by nadmit.
    pub(super) fn until_listed(&self, pool: &str) -> TestResult {
        self.soon(&format!("nadmit does not list {pool}"), || {
            let pools = self.nadmit(&["pools", "--cluster", "--output=json"])?;
            match pools.is_well() {
                true => Ok(pools.out.contains(pool).then_some(())),
                false => Err(pools.output().into()),
            }
        })
    }

    /// Waits until exactly this number of pods exists in a namespace and all are ready; returns
    /// their UIDs by name.
    pub(super) fn until_pods(
        &self,
        namespace: &str,
        count: usize,
    ) -> Result<BTreeMap<String, String>, Failed> {
        self.soon(&format!("{namespace} has no {count} ready pods"), || {
            let list = self.get(&["pods", "-n", namespace])?;
            let pods: Vec<&Value> = list["items"].as_array().into_iter().flatten().collect();
            let ready = pods.iter().all(|pod| is_ready(pod));
            let named = pods.iter().map(|pod| {
                let metadata = &pod["metadata"];
                (text(&metadata["name"]), text(&metadata["uid"]))
            });
            Ok((ready && pods.len() == count).then(|| named.collect()))
        })
    }

    /// Returns the addresses of a pod's interface that Multus reports.
    pub(super) fn reported(
        &self,
        namespace: &str,
        pod: &str,
        interface: &str,
    ) -> Result<Vec<String>, Failed> {
        let pod = self.get(&["pod", "-n", namespace, pod])?;
        let status: Value = serde_json::from_str(&text(&pod["metadata"]["annotations"][STATUS]))?;
        let all = status.as_array().into_iter().flatten();
        let of_it = all.filter(|one| one["interface"] == interface);
        let ips = of_it.flat_map(|one| one["ips"].as_array().into_iter().flatten());
        let mut ips: Vec<String> = ips.map(text).collect();
        ips.sort();
        Ok(ips)
    }

    /// Returns the recorded addresses of a namespace's pods, by pod.
    pub(super) fn recorded(
        &self,
        namespace: &str,
    ) -> Result<BTreeMap<String, Vec<String>>, Failed> {
        let list = self.get(&["addressallocations"])?;
        let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for record in list["items"].as_array().into_iter().flatten() {
            let spec = &record["spec"];
            let holders = spec["holder"].as_object().into_iter().flatten();
            let mut homes = holders.map(|(_, holder)| &holder["namespace"]);
            if homes.any(|home| home == namespace) {
                let addresses = all.entry(text(&spec["pod"]["name"])).or_default();
                addresses.push(text(&spec["address"]));
                addresses.sort();
            }
        }
        Ok(all)
    }

    /// Waits until nothing is recorded for a namespace.
    pub(super) fn until_free(&self, namespace: &str) -> TestResult {
        self.soon("the addresses are not free", || {
            Ok(self.recorded(namespace)?.is_empty().then_some(()))
        })
    }
}

/// Returns a namespace with these labels.
pub(super) fn namespace(name: &str, labels: &[(&str, &str)]) -> Value {
    let labels: BTreeMap<_, _> = labels.iter().copied().collect();
    json!({
        "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels},
    })
}

/// Returns a pool that serves all namespaces.
pub(super) fn pool(name: &str, ranges: &[&str]) -> Value {
    let ranges: Vec<Value> = ranges.iter().map(|range| json!({"range": range})).collect();
    json!({
        "apiVersion": "nadmit.io/v1alpha1", "kind": "AddressPool", "metadata": {"name": name},
        "spec": {
            "ranges": ranges, "namespaceSelector": {}, "quarantine": "2s", "retention": "Workload",
        },
    })
}

/// Returns a StatefulSet of this network.
pub(super) fn stateful_set(namespace: &str, name: &str, replicas: u32, network: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "StatefulSet",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "serviceName": name, "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}, "annotations": {NETWORKS: network}},
                "spec": {
                    "terminationGracePeriodSeconds": 1,
                    "containers": [{"name": "main", "image": "app"}],
                },
            },
        },
    })
}

/// Returns true if a pod is ready and not being deleted.
pub(super) fn is_ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array();
    let mut conditions = conditions.into_iter().flatten();
    pod["metadata"]["deletionTimestamp"].is_null()
        && conditions.any(|one| one["type"] == "Ready" && one["status"] == "True")
}

/// Returns a string value.
pub(super) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
