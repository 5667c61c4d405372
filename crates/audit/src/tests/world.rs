//! Objects of small worlds, as the API server returns them.

use nadmit_allocation::Timestamp;
use serde_json::{Value, json};

use crate::{AuditFinding, Coverage, Snapshot, SnapshotReader, audit};

/// The time of reading, in seconds.
pub(super) const NOW: i64 = 1_000_000;

/// The objects of a world.
#[derive(Clone, Default)]
pub(super) struct World(pub Vec<Value>);

impl World {
    /// Returns a world of these objects.
    pub(super) fn of(objects: impl IntoIterator<Item = Value>) -> Self {
        Self(objects.into_iter().collect())
    }

    /// Adds an object.
    pub(super) fn with(mut self, object: Value) -> Self {
        self.0.push(object);
        self
    }

    /// Adds objects.
    pub(super) fn with_all(mut self, objects: impl IntoIterator<Item = Value>) -> Self {
        self.0.extend(objects);
        self
    }

    /// Returns the snapshot of a cluster, or of files.
    pub(super) fn snapshot(&self, coverage: Coverage) -> Snapshot {
        let parse_time = |text: &str| text.parse().ok().map(Timestamp);
        let mut reader = SnapshotReader::new(Timestamp(NOW), coverage, parse_time);
        for object in &self.0 {
            reader.object(object);
        }
        reader.finish()
    }

    /// Returns the findings about it as a cluster.
    pub(super) fn findings(&self) -> Vec<AuditFinding> {
        audit(&self.snapshot(cluster()))
    }

    /// Returns level, code and message of each finding.
    pub(super) fn lines(&self) -> Vec<String> {
        lines(&self.findings())
    }

    /// Returns the codes of the findings.
    pub(super) fn codes(&self) -> Vec<&'static str> {
        self.findings().iter().map(|one| one.code.name()).collect()
    }

    /// Returns the commands of the findings.
    pub(super) fn commands(&self) -> Vec<String> {
        let findings = self.findings().into_iter();
        findings.flat_map(|finding| finding.commands).collect()
    }
}

/// Checks a table of worlds: what it is, the world, and the lines of its findings.
pub(super) fn check(table: &[(&str, World, &[&str])]) {
    for (what, world, expected) in table {
        assert_eq!(world.lines(), *expected, "{what}");
    }
}

/// Returns the coverage of a cluster of which everything could be listed.
pub(super) fn cluster() -> Coverage {
    Coverage::Cluster {
        unread: std::iter::empty().collect(),
    }
}

pub(super) fn lines(findings: &[AuditFinding]) -> Vec<String> {
    let line =
        |one: &AuditFinding| format!("{} {}: {}", one.level.name(), one.code.name(), one.message);
    findings.iter().map(line).collect()
}

/// Returns a network of macvlan on `master`.
pub(super) fn network_on(master: &str, name: &str, ipam: Value) -> Value {
    network_of(
        name,
        json!({"type": "macvlan", "master": master, "ipam": ipam}),
    )
}

/// Returns a network with this configuration.
pub(super) fn network_of(name: &str, config: Value) -> Value {
    json!({
        "apiVersion": "k8s.cni.cncf.io/v1", "kind": "NetworkAttachmentDefinition",
        "metadata": {"name": name, "namespace": "db"},
        "spec": {"config": config.to_string()},
    })
}

/// Returns the network `net` on eth1, with Whereabouts and the range 10.0.0.0/24.
pub(super) fn whereabouts() -> Value {
    network_on("eth1", "net", ipam(json!({"range": "10.0.0.0/24"})))
}

/// Returns the IPAM of Whereabouts with these options.
pub(super) fn ipam(mut options: Value) -> Value {
    options["type"] = "whereabouts".into();
    options
}

/// Returns a running pod with `net1` on the network `net`, and these addresses there.
pub(super) fn pod(name: &str, ips: &[&str]) -> Value {
    pod_on("net", name, json!({"ips": ips}))
}

/// Returns a running pod with `net1` on a network; `status` is merged into its network-status.
pub(super) fn pod_on(network: &str, name: &str, status: Value) -> Value {
    let mut attached = json!({"name": format!("db/{network}"), "interface": "net1"});
    for (key, value) in status.as_object().into_iter().flatten() {
        attached[key] = value.clone();
    }
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": name, "namespace": "db", "uid": format!("uid-{name}"),
            "creationTimestamp": "1000",
            "annotations": {
                "k8s.v1.cni.cncf.io/networks": json!([{"name": network}]).to_string(),
                "k8s.v1.cni.cncf.io/network-status": json!([attached]).to_string(),
            },
        },
        "spec": {"nodeName": "node-a"}, "status": {"phase": "Running"},
    })
}

/// Returns a virtual machine with a MAC on a network.
pub(super) fn machine_with(name: &str, network: &str, strategy: &str, mac: &str) -> Value {
    json!({
        "apiVersion": "kubevirt.io/v1", "kind": "VirtualMachine",
        "metadata": {"name": name, "namespace": "db"},
        "spec": {"runStrategy": strategy, "template": {"spec": {
            "networks": [{"name": "data", "multus": {"networkName": network}}],
            "domain": {"devices": {"interfaces": [
                {"name": "default", "masquerade": {}},
                {"name": "data", "bridge": {}, "macAddress": mac},
            ]}},
        }}},
    })
}

/// Returns a pod as KubeVirt's launcher of a virtual machine.
pub(super) fn launcher_of(machine: &str, pod: Value) -> Value {
    let labels = json!({"kubevirt.io": "virt-launcher"});
    owned_by(machine, set(pod, "/metadata/labels", labels))
}

/// Returns a pod that names a virtual machine as its owner.
pub(super) fn owned_by(machine: &str, pod: Value) -> Value {
    let owner = json!([{
        "apiVersion": "kubevirt.io/v1", "kind": "VirtualMachineInstance", "name": machine,
        "controller": true,
    }]);
    set(pod, "/metadata/ownerReferences", owner)
}

/// Returns an object with the value at this JSON pointer, whose parent exists.
pub(super) fn set(mut object: Value, pointer: &str, value: Value) -> Value {
    let (parent, key) = pointer.rsplit_once('/').unwrap_or_default();
    match object.pointer_mut(parent) {
        Some(parent) => parent[key.replace("~1", "/")] = value,
        None => panic!("{pointer}: {object}"),
    }
    object
}

/// Returns a pod whose annotation requests this of its network.
pub(super) fn requesting(pod: Value, selection: Value) -> Value {
    let text = json!([selection]).to_string().into();
    set(
        pod,
        "/metadata/annotations/k8s.v1.cni.cncf.io~1networks",
        text,
    )
}

/// Returns an IPPool of a /24 or what the range says; entries are offset and pod.
pub(super) fn pool(name: &str, range: &str, entries: &[(&str, &str)]) -> Value {
    let entry = |(offset, pod): &(&str, &str)| {
        let interface = if pod.is_empty() { "" } else { "net1" };
        let value = json!({"id": "sandbox", "podref": pod, "ifname": interface});
        ((*offset).to_owned(), value)
    };
    let entries: serde_json::Map<String, Value> = entries.iter().map(entry).collect();
    json!({
        "apiVersion": "whereabouts.cni.cncf.io/v1alpha1", "kind": "IPPool",
        "metadata": {"name": name, "namespace": "kube-system", "resourceVersion": "7"},
        "spec": {"range": range, "allocations": entries},
    })
}

/// Returns the IPPool of the network `net`.
pub(super) fn own_pool(entries: &[(&str, &str)]) -> Value {
    pool("10.0.0.0-24", "10.0.0.0/24", entries)
}

/// Returns a reservation for a pod.
pub(super) fn reservation(name: &str, pod: &str) -> Value {
    json!({
        "apiVersion": "whereabouts.cni.cncf.io/v1alpha1", "kind": "OverlappingRangeIPReservation",
        "metadata": {"name": name, "namespace": "kube-system"},
        "spec": {"podref": pod, "ifname": "net1", "containerid": "sandbox"},
    })
}

/// Returns the world of a pod whose records are complete.
pub(super) fn consistent() -> World {
    World::of([
        whereabouts(),
        pod("a", &["10.0.0.5"]),
        own_pool(&[("5", "db/a")]),
        reservation("10.0.0.5", "db/a"),
    ])
}
