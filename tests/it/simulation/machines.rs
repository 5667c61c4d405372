//! Virtual machines: the actions of their users, and pods that pose as their launchers.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{
    cluster::{SimCluster, full_name, meta},
    nodes::NETWORKS,
    rng::Rng,
    scenario::{NAMESPACES, NETWORK},
};

pub(super) const MACHINES: &str = "virtualmachines.kubevirt.io";
pub(super) const INSTANCES: &str = "virtualmachineinstances.kubevirt.io";
pub(super) const MIGRATIONS: &str = "virtualmachineinstancemigrations.kubevirt.io";
pub(super) const MIGRATION_UID: &str = "kubevirt.io/migrationJobUID";
/// The names of the machines in each namespace.
const NAMES: [&str; 2] = ["vm-0", "vm-1"];

impl SimCluster {
    /// Creates the machines of a scenario.
    pub(super) fn make_machines(&self, rng: &Rng) {
        for namespace in NAMESPACES {
            for name in NAMES {
                self.server.put(machine(namespace, name, rng.percent(70)));
            }
        }
    }

    /// Performs one random action on a machine.
    pub(super) fn machine_step(self: &Arc<Self>, rng: &Rng) {
        let machines = self.server.all(MACHINES);
        let Some(machine) = rng.pick(&machines) else {
            return;
        };
        match rng.below(100) {
            0..12 => self.start_or_stop(machine),
            12..35 => self.migrate(machine, rng),
            35..39 => self.delete_machine(machine, rng),
            39..52 => self.create_impostor(machine, rng),
            _ => {}
        }
    }

    fn start_or_stop(&self, machine: &Value) {
        let mut machine = machine.clone();
        let runs = machine["spec"]["running"] == true;
        machine["spec"]["running"] = json!(!runs);
        let (name, so) = (full_name(&machine), !runs);
        self.log
            .record(format_args!("machine {name} is to run: {so}"));
        self.server.put(machine);
    }

    fn migrate(&self, machine: &Value, rng: &Rng) {
        let (namespace, name) = (meta(machine, "namespace"), meta(machine, "name"));
        let of_it = |one: &&Arc<Value>| {
            meta(one, "namespace") == namespace && one["spec"]["vmiName"] == name
        };
        let all = self.server.all(MIGRATIONS);
        if all.iter().filter(of_it).any(|one| !is_final(one)) {
            return;
        }
        let migration = format!("migration-{}", rng.below(1_000_000));
        self.log.record(format_args!(
            "{migration} of {namespace}/{name} is asked for"
        ));
        self.server.put(json!({
            "apiVersion": "kubevirt.io/v1", "kind": "VirtualMachineInstanceMigration",
            "metadata": {"name": migration, "namespace": namespace}, "spec": {"vmiName": name},
            "status": {"phase": "Pending", "looks": 0},
        }));
    }

    /// Deletes a machine; after a random delay a machine of the same name is created.
    fn delete_machine(self: &Arc<Self>, machine: &Value, rng: &Rng) {
        let (cluster, machine) = (Arc::clone(self), machine.clone());
        let pause = rng.millis(100, 300_000);
        tokio::spawn(async move {
            let (namespace, name) = (meta(&machine, "namespace"), meta(&machine, "name"));
            cluster.remove(MACHINES, &machine).await;
            cluster
                .log
                .record(format_args!("machine {namespace}/{name} is deleted"));
            tokio::time::sleep(pause).await;
            cluster.server.put(self::machine(namespace, name, true));
            cluster
                .log
                .record(format_args!("machine {namespace}/{name} is recreated"));
        });
    }

    pub(super) async fn remove(&self, resource: &str, object: &Value) {
        let (namespace, name) = (meta(object, "namespace"), meta(object, "name"));
        let plural = resource.split('.').next().unwrap_or_default();
        let path = format!("/apis/kubevirt.io/v1/namespaces/{namespace}/{plural}/{name}");
        let still = || {
            let stored = self.server.stored(resource, namespace, name);
            stored.is_some_and(|stored| meta(&stored, "uid") == meta(object, "uid"))
        };
        while still() {
            self.ask("virt-operator", "DELETE", &path, &json!({})).await;
        }
    }

    /// Creates a user's pod that names the instance as its owner, and sometimes a migration.
    fn create_impostor(self: &Arc<Self>, machine: &Value, rng: &Rng) {
        let (namespace, name) = (meta(machine, "namespace"), meta(machine, "name"));
        let Some(instance) = self.server.stored(INSTANCES, namespace, name) else {
            return;
        };
        let mut pod = launcher(&instance);
        pod["metadata"]["generateName"] = json!("posing-");
        let migrations = self.server.all(MIGRATIONS);
        if let Some(one) = rng.pick(&migrations).filter(|_| rng.percent(50)) {
            // The name of a migration may be guessed, its UID may not.
            set_target(&mut pod, meta(one, "name"), "guessed");
        }
        if rng.percent(20) {
            pod["spec"]["nodeName"] = json!(format!("node-{}", rng.below(3)));
        }
        let path = format!("/api/v1/namespaces/{namespace}/pods");
        let cluster = Arc::clone(self);
        tokio::spawn(async move {
            let answer = cluster.post("user", &path, &pod).await;
            let summary = answer.summary();
            cluster.log.record(format_args!(
                "user: poses as {}: {summary}",
                full_name(&instance)
            ));
        });
    }
}

/// Returns the machine that a pod names as its own.
pub(super) fn machine_of(pod: &Value) -> Option<String> {
    let owner = &pod["metadata"]["ownerReferences"][0];
    let name = owner["name"].as_str()?;
    let one = owner["kind"] == "VirtualMachineInstance";
    one.then(|| format!("machine {}/{name}", meta(pod, "namespace")))
}

/// Returns true if KubeVirt created the pod as the target of a migration.
pub(super) fn is_target(pod: &Value) -> bool {
    meta(pod, "name").starts_with("virt-launcher-")
        && pod["metadata"]["labels"][MIGRATION_UID].is_string()
}

impl SimCluster {
    /// Returns the UID of the machine of this name; `None` for an instance without a machine.
    pub(super) fn machine_uid(&self, namespace: &str, name: &str) -> Option<String> {
        let stored = self.server.stored(MACHINES, namespace, name)?;
        Some(meta(&stored, "uid").to_owned())
    }

    /// Returns true if a machine or an instance of this name exists.
    pub(super) fn has_machine(&self, namespace: &str, name: &str) -> bool {
        self.machine_uid(namespace, name).is_some()
            || self.server.stored(INSTANCES, namespace, name).is_some()
    }
}

fn is_final(migration: &Value) -> bool {
    let phase = migration["status"]["phase"].as_str();
    matches!(phase, Some("Succeeded" | "Failed"))
}

fn machine(namespace: &str, name: &str, running: bool) -> Value {
    json!({
        "apiVersion": "kubevirt.io/v1", "kind": "VirtualMachine",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"running": running, "template": {}},
    })
}

pub(super) fn launcher(instance: &Value) -> Value {
    let (namespace, name) = (meta(instance, "namespace"), meta(instance, "name"));
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "generateName": format!("virt-launcher-{name}-"), "namespace": namespace,
            "labels": {"kubevirt.io": "virt-launcher"},
            "annotations": {NETWORKS: NETWORK},
            "ownerReferences": [{
                "apiVersion": "kubevirt.io/v1", "kind": "VirtualMachineInstance", "name": name,
                "uid": meta(instance, "uid"), "controller": true, "blockOwnerDeletion": true,
            }],
        },
        "spec": {"containers": [{"name": "compute", "image": "launcher"}]},
    })
}

pub(super) fn set_target(pod: &mut Value, migration: &str, uid: &str) {
    pod["metadata"]["labels"][MIGRATION_UID] = json!(uid);
    pod["metadata"]["annotations"]["kubevirt.io/migrationJobName"] = json!(migration);
}
