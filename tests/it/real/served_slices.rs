//! A network of Whereabouts with node slices that nadmit serves: each pod has an address of the slice that the
//! NodeSlicePool gives to its node, and the unmodified plugin finds it there.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{
    NamedTest,
    cluster::RealCluster,
    served::{HOME, entries, network, serving_cluster, until_entries},
    served_leaving::reservations,
    statefulset::agreed,
    steps::{NETWORKS, namespace},
};
use crate::support::{TestResult, same};

/// Tests that need Whereabouts's plugin.
pub(super) const TESTS: &[NamedTest] = named![a_served_pod_has_an_address_of_the_slice_of_its_node];

const NAMESPACE: &str = "db";
const NODES: [(&str, &str); 2] = [
    ("node-1", "198.51.100.16/29"),
    ("node-2", "198.51.100.24/29"),
];

/// Returns the `IPPool` of a node's slice.
fn pool_of((node, slice): (&str, &str)) -> String {
    format!("{node}-{}", slice.replace('/', "-"))
}

/// Returns a NodeSlicePool as the node-slice-controller writes it.
fn slice_pool() -> Value {
    let slices = NODES.map(|(node, slice)| json!({"nodeName": node, "sliceRange": slice}));
    json!({
        "apiVersion": "whereabouts.cni.cncf.io/v1alpha1", "kind": "NodeSlicePool",
        "metadata": {"name": "storage", "namespace": HOME},
        "spec": {"range": "198.51.100.0/24", "sliceSize": "/29"},
        "status": {"allocations": slices},
    })
}

/// Returns a pod on a node.
fn pod(home: &str, name: &str, node: &str, networks: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": home, "annotations": {NETWORKS: networks}},
        "spec": {
            "nodeSelector": {"kubernetes.io/hostname": node},
            "terminationGracePeriodSeconds": 1,
            "containers": [{"name": "main", "image": "app"}],
        },
    })
}

/// Waits until the binding of a pod is refused with these words.
fn until_refused(cluster: &RealCluster, pod: &str, words: &str) -> TestResult {
    cluster.soon(&format!("{pod} is not refused: {words}"), || {
        let events = cluster.done(&["get", "events", "-n", NAMESPACE, "-o=wide"], "")?;
        let of_pod = format!("pod/{pod}");
        let mut of_pod = events.lines().filter(|line| line.contains(&of_pod));
        let refused = of_pod.any(|line| line.contains(words));
        Ok(refused.then_some(()))
    })
}

fn a_served_pod_has_an_address_of_the_slice_of_its_node() -> TestResult {
    let cluster = serving_cluster()?;
    let ipam = json!({
        "range": "198.51.100.0/24", "node_slice_size": "/29", "exclude": ["198.51.100.17/32"],
    });
    cluster.apply(&[network(&cluster, NAMESPACE, "storage", &ipam)?])?;
    cluster.until_listed("whereabouts/198.51.100.0-24")?;

    // Without the NodeSlicePool a pod waits, and its events say what to look at.
    cluster.apply(&[pod(NAMESPACE, "a-1", "node-1", "storage")])?;
    until_refused(
        &cluster,
        "a-1",
        "node \"node-1\" has no slice of network db/storage: NodeSlicePool \"storage\" does not exist",
    )?;
    until_refused(&cluster, "a-1", "node-slice-controller")?;

    cluster.apply(&[slice_pool()])?;
    cluster.until_pods(NAMESPACE, 1)?;
    let mut pods = BTreeMap::new();
    for (ready, name, node) in [
        (2, "a-2", "node-1"),
        (3, "b-1", "node-2"),
        (4, "b-2", "node-2"),
    ] {
        cluster.apply(&[pod(NAMESPACE, name, node, "storage")])?;
        pods = cluster.until_pods(NAMESPACE, ready)?;
    }
    let given = agreed(&cluster, NAMESPACE, pods.keys())?;
    for (name, offset, address) in [
        // The network excludes the first address of the slice.
        ("a-1", "2", "198.51.100.18"),
        ("a-2", "3", "198.51.100.19"),
        ("b-1", "1", "198.51.100.25"),
        ("b-2", "2", "198.51.100.26"),
    ] {
        same(&given[name], &vec![address.to_owned()])?;
        // The prefix length is that of the whole range.
        same(
            &cluster.addresses(NAMESPACE, name, "net1")?,
            &vec![format!("{address}/24")],
        )?;
        let node = NODES[usize::from(name.starts_with('b'))];
        let found = entries(&cluster, &pool_of(node))?;
        let entry = found.get(offset).map(|(pod, _)| pod.clone());
        same(&entry, &Some(format!("{NAMESPACE}/{name}")))?;
    }
    for node in NODES {
        until_entries(&cluster, &pool_of(node), "taken over", |entries| {
            entries.len() == 2 && entries.values().all(|(_, id)| id.starts_with("nadmit:"))
        })?;
    }
    let expected = [
        "198.51.100.18",
        "198.51.100.19",
        "198.51.100.25",
        "198.51.100.26",
    ];
    same(
        &reservations(&cluster)?,
        &expected.map(str::to_owned).to_vec(),
    )?;

    // A pod without nadmit gets another address of the slice from the plugin.
    cluster.apply(&[
        namespace("web", &[]),
        network(&cluster, "web", "storage", &ipam)?,
        pod("web", "web", "node-2", "storage"),
    ])?;
    cluster.until_pods("web", 1)?;
    let by_plugin = cluster.reported("web", "web", "net1")?;
    same(&by_plugin, &vec!["198.51.100.27".to_owned()])?;

    // A pod can name an address, and gets it on the node of its slice.
    let named = |name: &str, node: &str, ip: &str| {
        let networks = json!([{"name": "storage", "ips": [ip]}]).to_string();
        pod(NAMESPACE, name, node, &networks)
    };
    cluster.apply(&[
        named("chosen", "node-1", "198.51.100.22/24"),
        named("elsewhere", "node-1", "198.51.100.29/24"),
    ])?;
    until_refused(
        &cluster,
        "elsewhere",
        "is in the slice of node \"node-2\", not of \"node-1\"",
    )?;
    cluster.done(&["delete", "pod", "-n", NAMESPACE, "elsewhere"], "")?;
    cluster.until_pods(NAMESPACE, 5)?;
    same(
        &cluster.addresses(NAMESPACE, "chosen", "net1")?,
        &vec!["198.51.100.22/24".to_owned()],
    )?;

    // The entries of pods that are gone are released after the quarantine.
    cluster.done(&["delete", "pod", "-n", NAMESPACE, "--all"], "")?;
    cluster.until_pods(NAMESPACE, 0)?;
    until_entries(&cluster, &pool_of(NODES[0]), "empty", BTreeMap::is_empty)?;
    until_entries(
        &cluster,
        &pool_of(NODES[1]),
        "left to the plugin",
        |entries| entries.values().map(|(pod, _)| &**pod).collect::<Vec<_>>() == ["web/web"],
    )?;
    cluster.soon("reservations are left", || {
        Ok((reservations(&cluster)? == by_plugin).then_some(()))
    })?;
    cluster.is_content()
}
