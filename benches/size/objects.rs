//! The objects of the cluster, about as large as real ones.

use std::net::Ipv4Addr;

use serde_json::{Value, json};

use super::cluster_size::{BenchPod, BenchSet, REPLICAS};

/// The annotation with the networks of a pod.
pub(crate) const NETWORKS: &str = "k8s.v1.cni.cncf.io/networks";
/// The annotation with the interfaces that a pod got.
pub(crate) const NETWORK_STATUS: &str = "k8s.v1.cni.cncf.io/network-status";
/// The pool that all namespaces share.
pub(crate) const SHARED_POOL: &str = "shared";
/// The range of that pool.
pub(crate) const SHARED_RANGE: &str = "10.0.0.0/12";
/// The prefix lengths of both pools of a pod.
const PREFIXES: [u8; 2] = [12, 20];
/// The images that each node reports.
const IMAGES: usize = 20;

/// Returns a node that is ready.
pub(crate) fn node(number: usize) -> Value {
    let images: Vec<Value> = (0..IMAGES)
        .map(|image| {
            let name = format!("registry.example/team-{image}/service-{image}");
            let digest = format!("{name}@sha256:{:064x}", image * 7919);
            json!({"names": [digest, format!("{name}:1.{image}")], "sizeBytes": 100_000_000 + image})
        })
        .collect();
    let name = node_name(number);
    json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {"name": name, "labels": {
            "kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64",
            "topology.kubernetes.io/zone": format!("zone-{}", number % 3),
        }},
        "status": {
            "capacity": {"cpu": "64", "memory": "256Gi", "pods": "110"},
            "allocatable": {"cpu": "63", "memory": "250Gi", "pods": "110"},
            "conditions": node_conditions("2026-01-01T00:00:00Z"),
            "images": images,
            "nodeInfo": {
                "machineID": format!("{number:032x}"), "systemUUID": format!("{number:032x}"),
                "bootID": format!("{number:032x}"), "kernelVersion": "6.12.0", "osImage": "Linux",
                "containerRuntimeVersion": "cri-o://1.34.0", "kubeletVersion": "v1.34.0",
                "kubeProxyVersion": "", "operatingSystem": "linux", "architecture": "amd64",
            },
        },
    })
}

/// Returns the conditions that a kubelet reports with this time.
pub(crate) fn node_conditions(heartbeat: &str) -> Value {
    let condition = |kind: &str, status: &str, reason: &str| {
        json!({
            "type": kind, "status": status, "reason": reason, "message": reason,
            "lastHeartbeatTime": heartbeat, "lastTransitionTime": "2026-01-01T00:00:00Z",
        })
    };
    json!([
        condition("MemoryPressure", "False", "KubeletHasSufficientMemory"),
        condition("DiskPressure", "False", "KubeletHasNoDiskPressure"),
        condition("PIDPressure", "False", "KubeletHasSufficientPID"),
        condition("Ready", "True", "KubeletReady"),
    ])
}

/// Returns the name of a node.
pub(crate) fn node_name(number: usize) -> String {
    format!("node-{number}")
}

/// Returns a namespace. `injection` is the value of the label on which its Bindings depend.
pub(crate) fn namespace(name: &str, injection: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": name, "labels": {"nadmit.io/injection": injection, "team": name}},
    })
}

/// Returns a pool. Its quarantine is `quarantine_seconds`.
pub(crate) fn pool(name: &str, range: &str, quarantine_seconds: u64) -> Value {
    json!({
        "apiVersion": "nadmit.io/v1alpha1", "kind": "AddressPool",
        "metadata": {"name": name},
        "spec": {
            "ranges": [{"range": range}], "namespaceSelector": {},
            "quarantine": format!("{quarantine_seconds}s"),
        },
    })
}

/// Returns a network, of a pool or with addresses that each pod brings.
pub(crate) fn network(namespace: &str, name: &str, pool: Option<&str>) -> Value {
    let config = json!({
        "cniVersion": "1.0.0", "name": format!("{namespace}-{name}"),
        "plugins": [
            {
                "type": "macvlan", "master": "eth1", "mode": "bridge",
                "capabilities": {"ips": true}, "ipam": {"type": "static"},
            },
            {"type": "tuning", "sysctl": {"net.core.somaxconn": "500"}},
        ],
    });
    let annotations = match pool {
        Some(pool) => json!({"nadmit.io/address-pool": pool}),
        None => json!({}),
    };
    json!({
        "apiVersion": "k8s.cni.cncf.io/v1", "kind": "NetworkAttachmentDefinition",
        "metadata": {"name": name, "namespace": namespace, "annotations": annotations},
        "spec": {"config": config.to_string()},
    })
}

/// Returns a StatefulSet.
pub(crate) fn stateful_set(set: &BenchSet) -> Value {
    let labels = json!({"app": set.name});
    json!({
        "apiVersion": "apps/v1", "kind": "StatefulSet",
        "metadata": {"name": set.name, "namespace": set.namespace, "labels": labels},
        "spec": {
            "replicas": REPLICAS, "serviceName": set.name, "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels, "annotations": {NETWORKS: requested(set)}},
                "spec": pod_spec(),
            },
        },
    })
}

/// Returns the networks of a pod as its template names them.
pub(crate) fn requested(set: &BenchSet) -> String {
    set.networks.join(",")
}

/// Returns a pod as its controller creates it. `owner` is the UID of its StatefulSet.
pub(crate) fn new_pod(set: &BenchSet, pod: &BenchPod, owner: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": pod.name, "namespace": set.namespace,
            "labels": {
                "app": set.name, "statefulset.kubernetes.io/pod-name": pod.name,
                "controller-revision-hash": format!("{}-5d4f8c7b9d", set.name),
            },
            "annotations": {NETWORKS: requested(set)},
            "ownerReferences": [{
                "apiVersion": "apps/v1", "kind": "StatefulSet", "name": set.name, "uid": owner,
                "controller": true, "blockOwnerDeletion": true,
            }],
        },
        "spec": pod_spec(),
    })
}

/// Returns a pod that runs: bound, with addresses, and with what Multus reported.
pub(crate) fn running_pod(set: &BenchSet, pod: &BenchPod, owner: &str) -> Value {
    let mut object = new_pod(set, pod, owner);
    object["spec"]["nodeName"] = node_name(pod.node).into();
    let selections: Vec<Value> = (0..PREFIXES.len())
        .map(|at| {
            let address = format!("{}/{}", pod.addresses[at], PREFIXES[at]);
            json!({"name": set.networks[at], "ips": [address]})
        })
        .collect();
    let ips: Vec<String> = pod.addresses.iter().map(ToString::to_string).collect();
    object["metadata"]["annotations"] = json!({
        NETWORKS: Value::from(selections).to_string(),
        "nadmit.io/requested-networks": requested(set),
        NETWORK_STATUS: network_status(&set.namespace, &set.networks, &ips),
    });
    object
}

/// Returns the network-status of a pod, as Multus writes it.
pub(crate) fn network_status(namespace: &str, networks: &[String], ips: &[String]) -> String {
    let default = json!({
        "name": "ovn-kubernetes", "interface": "eth0", "ips": ["100.64.0.5"],
        "mac": "0a:58:64:40:00:05", "default": true, "dns": {},
    });
    let others = networks
        .iter()
        .zip(ips)
        .enumerate()
        .map(|(at, (name, ip))| {
            json!({
                "name": format!("{namespace}/{name}"), "interface": format!("net{}", at + 1),
                "ips": [ip], "mac": mac_of(ip), "dns": {},
            })
        });
    let all: Vec<Value> = [default].into_iter().chain(others).collect();
    Value::from(all).to_string()
}

/// Returns the MAC of an interface, which no other interface has.
fn mac_of(ip: &str) -> String {
    let [a, b, c, d] = ip.parse().unwrap_or(Ipv4Addr::UNSPECIFIED).octets();
    format!("02:5e:{a:02x}:{b:02x}:{c:02x}:{d:02x}")
}

fn pod_spec() -> Value {
    let env: Vec<Value> = (0..20)
        .map(|number| {
            json!({"name": format!("SETTING_{number}"), "value": format!("value-of-setting-{number:030}")})
        })
        .collect();
    json!({
        "automountServiceAccountToken": false,
        "terminationGracePeriodSeconds": 30,
        "containers": [{
            "name": "main", "image": "registry.example/team/db:1.2.3", "env": env,
            "ports": [{"containerPort": 5432, "name": "db"}],
            "resources": {"requests": {"cpu": "100m", "memory": "256Mi"}},
            "readinessProbe": {"tcpSocket": {"port": 5432}, "periodSeconds": 5},
            "volumeMounts": [{"name": "data", "mountPath": "/data"}],
        }],
        "volumes": [{"name": "data", "emptyDir": {}}],
    })
}
