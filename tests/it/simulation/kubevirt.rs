//! The actions of KubeVirt's controllers.
//!
//! There is one launcher pod for an instance, and another, with the migration's name and UID, while
//! that is Pending. When the migration has succeeded the source ends; when it has failed, the
//! target is deleted. After a launcher has ended, the instance is created again once no pod of it
//! is left.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{
    cluster::{SimCluster, has_ended, is_going, meta, node_of, path_of},
    machines::{INSTANCES, MACHINES, MIGRATION_UID, MIGRATIONS, launcher, machine_of, set_target},
    nodes::STATUS,
    rng::Rng,
};

/// The number of controller syncs that a migration may take until its target runs.
const MAX_MIGRATION_STEPS: u64 = 40;

impl SimCluster {
    /// Returns true if a pod is the source of a migration.
    pub(super) fn is_source(&self, pod: &Value) -> bool {
        let all = self.server.all(MIGRATIONS);
        let mut sources = all.iter().map(|one| &one["status"]["source"]);
        sources.any(|source| *source == pod["metadata"]["uid"])
    }

    /// Returns the pods that KubeVirt created for an instance.
    fn launchers(&self, instance: &Value) -> Vec<Arc<Value>> {
        let uid = meta(instance, "uid");
        let mut pods = self.pods();
        pods.retain(|pod| {
            pod["metadata"]["ownerReferences"][0]["uid"] == uid
                && meta(pod, "name").starts_with("virt-launcher-")
        });
        pods
    }

    /// Creates the instance of a machine that should run.
    fn make_instance(&self, machine: &Value) {
        let (namespace, name) = (meta(machine, "namespace"), meta(machine, "name"));
        let there = self.server.stored(INSTANCES, namespace, name).is_some();
        if machine["spec"]["running"] == true && !there {
            self.server.put(json!({
                "apiVersion": "kubevirt.io/v1", "kind": "VirtualMachineInstance",
                "metadata": {"name": name, "namespace": namespace},
                "spec": {"machine": meta(machine, "uid")},
            }));
        }
    }

    async fn run_instance(&self, instance: &Value) {
        let (namespace, name) = (meta(instance, "namespace"), meta(instance, "name"));
        let machine = self.server.stored(MACHINES, namespace, name);
        let wanted = machine.is_some_and(|machine| {
            machine["spec"]["running"] == true
                && instance["spec"]["machine"] == machine["metadata"]["uid"]
        });
        let pods = self.launchers(instance);
        let mut live = pods.iter().filter(|pod| !has_ended(pod));
        let phase = &instance["status"]["phase"];
        if !wanted || *phase == "Failed" {
            for pod in pods.iter().filter(|pod| !is_going(pod)) {
                self.delete_pod(pod).await;
            }
            if pods.is_empty() {
                self.remove(INSTANCES, instance).await;
            }
        } else if let Some(first) = live.next() {
            if phase.is_null() {
                self.mark(INSTANCES, instance, "Running");
            }
            // A create whose response was lost may have left a second pod: one of the two is
            // deleted.
            for more in live {
                let second =
                    node_of(more).is_none() && more["metadata"]["labels"][MIGRATION_UID].is_null();
                let one = if second { more } else { first };
                let target = one["metadata"]["labels"][MIGRATION_UID].is_string();
                if node_of(one).is_none() && !is_going(one) && !target {
                    self.delete_pod(one).await;
                }
            }
        } else if phase.is_null() {
            let (path, pod) = (
                format!("/api/v1/namespaces/{namespace}/pods"),
                launcher(instance),
            );
            machine_of(&pod)
                .iter()
                .for_each(|one| self.forget_guests(one));
            let answer = self.post("virt-controller", &path, &pod).await;
            let summary = answer.summary();
            self.log
                .record(format_args!("launcher of {namespace}/{name}: {summary}"));
            if answer.is_done() {
                self.mark(INSTANCES, instance, "Running");
            }
        } else {
            self.mark(INSTANCES, instance, "Failed");
        }
    }

    async fn delete_pod(&self, pod: &Value) {
        let options = json!({"preconditions": {"uid": meta(pod, "uid")}});
        self.ask("virt-controller", "DELETE", &path_of(pod), &options)
            .await;
    }

    /// Writes a phase, if the object has not changed.
    fn mark(&self, resource: &str, object: &Value, phase: &str) {
        let (namespace, name) = (meta(object, "namespace"), meta(object, "name"));
        let stored = self.server.stored(resource, namespace, name);
        let same = stored.filter(|stored| meta(stored, "uid") == meta(object, "uid"));
        if let Some(mut stored) = same {
            stored["status"]["phase"] = json!(phase);
            self.server.put(stored);
            self.log
                .record(format_args!("{resource} {namespace}/{name}: {phase}"));
        }
    }

    /// Advances a migration.
    async fn bring_on(&self, migration: &Value, rng: &Rng) {
        let (namespace, uid) = (meta(migration, "namespace"), meta(migration, "uid"));
        let name = migration["spec"]["vmiName"].as_str().unwrap_or_default();
        let instance = self.server.stored(INSTANCES, namespace, name);
        let pods = instance.as_ref().map(|one| self.launchers(one));
        let mut pods = pods.unwrap_or_default();
        pods.retain(|pod| !has_ended(pod));
        let is_target = |pod: &&Arc<Value>| pod["metadata"]["labels"][MIGRATION_UID] == uid;
        let target = pods.iter().find(is_target);
        let source = migration["status"]["source"].as_str().unwrap_or_default();
        let source_pod = pods.iter().find(|pod| meta(pod, "uid") == source);
        let runs = |pod: &Value| {
            let status = &pod["metadata"]["annotations"][STATUS];
            !is_going(pod) && status.is_string() && self.reaches(node_of(pod).unwrap_or_default())
        };
        let failed = || self.mark(MIGRATIONS, migration, "Failed");
        match migration["status"]["phase"].as_str().unwrap_or_default() {
            "Pending" => {
                let looks = migration["status"]["looks"].as_u64().unwrap_or(0);
                if instance.is_none()
                    || looks > MAX_MIGRATION_STEPS
                    || (source_pod.is_none() && target.is_some())
                {
                    return failed();
                }
                let mut looked = migration.clone();
                looked["status"]["looks"] = json!(looks + 1);
                match (target, &pods[..]) {
                    (Some(target), _) if runs(target) => {
                        looked["status"]["phase"] = json!("Running");
                        self.server.put(looked);
                    }
                    (None, [only]) if runs(only) => {
                        looked["status"]["source"] = only["metadata"]["uid"].clone();
                        self.server.put(looked);
                        let mut pod = launcher(&instance.unwrap_or_default());
                        set_target(&mut pod, meta(migration, "name"), uid);
                        let path = format!("/api/v1/namespaces/{namespace}/pods");
                        let answer = self.post("virt-controller", &path, &pod).await;
                        let summary = answer.summary();
                        self.log
                            .record(format_args!("target of {namespace}/{name}: {summary}"));
                    }
                    _ => drop(self.server.put(looked)),
                }
            }
            "Running" => match (source_pod, target) {
                (Some(source), Some(target)) if runs(source) && runs(target) => {
                    if rng.percent(40) {
                        let moved = rng.percent(80);
                        self.mark(
                            MIGRATIONS,
                            migration,
                            if moved { "Succeeded" } else { "Failed" },
                        );
                    }
                }
                (Some(_), Some(_)) if rng.percent(95) => {}
                _ => failed(),
            },
            phase => {
                let over = if phase == "Failed" {
                    target
                } else {
                    source_pod
                };
                match over {
                    None if rng.percent(20) => self.remove(MIGRATIONS, migration).await,
                    None => {}
                    // Its guest has ended or never started.
                    Some(pod) if phase == "Failed" => {
                        self.end_guest(meta(pod, "uid"));
                        self.delete_pod(pod).await;
                    }
                    Some(pod) => {
                        self.end_guest(meta(pod, "uid"));
                        let patch = json!({
                            "metadata": {"uid": meta(pod, "uid")}, "status": {"phase": "Succeeded"},
                        });
                        let path = format!("{}/status", path_of(pod));
                        self.patch("virt-controller", &path, &patch).await;
                    }
                }
            }
        }
    }
}

/// Runs KubeVirt's controllers until the scenario ends.
pub(super) async fn virt_controller(cluster: Arc<SimCluster>, rng: Rng) {
    loop {
        cluster.pause(rng.millis(300, 2_000)).await;
        for machine in cluster.server.all(MACHINES) {
            cluster.make_instance(&machine);
        }
        for instance in cluster.server.all(INSTANCES) {
            cluster.run_instance(&instance).await;
        }
        for migration in cluster.server.all(MIGRATIONS) {
            cluster.bring_on(&migration, &rng).await;
        }
        for pod in cluster.pods() {
            let poses = meta(&pod, "name").starts_with("posing-");
            if poses && !is_going(&pod) && (rng.percent(10) || cluster.is_healed()) {
                cluster.delete_pod(&pod).await;
            }
        }
    }
}
