//! Virtual machines: what their users do, what KubeVirt's controllers make of it, and who poses as
//! theirs.
//!
//! KubeVirt makes one launcher pod for an instance, and a further one, with the migration's name and
//! UID, while that is Pending. When the machine has moved the source ends; when it could not, the
//! target is deleted. After a launcher has ended the instance is made anew, once no pod of it is left.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{
    dice::Dice,
    nodes::{NETWORKS, STATUS},
    plan::{NAMESPACES, NETWORK},
    world::{World, full_name, has_ended, is_going, meta, node_of, path_of},
};

const MACHINES: &str = "virtualmachines.kubevirt.io";
const INSTANCES: &str = "virtualmachineinstances.kubevirt.io";
const MIGRATIONS: &str = "virtualmachineinstancemigrations.kubevirt.io";
const MIGRATION_UID: &str = "kubevirt.io/migrationJobUID";
/// The machines of each namespace.
const NAMES: [&str; 2] = ["vm-0", "vm-1"];
/// How many looks a migration may take until its target runs.
const PATIENCE: u64 = 40;

impl World {
    /// The machines of a history.
    pub(super) fn make_machines(&self, dice: &Dice) {
        for namespace in NAMESPACES {
            for name in NAMES {
                self.server.put(machine(namespace, name, dice.percent(70)));
            }
        }
    }

    /// What befalls a machine in one step of the history.
    pub(super) fn machine_step(self: &Arc<Self>, dice: &Dice) {
        let machines = self.server.all(MACHINES);
        let Some(machine) = dice.pick(&machines) else {
            return;
        };
        match dice.below(100) {
            0..12 => self.start_or_stop(machine),
            12..35 => self.migrate(machine, dice),
            35..39 => self.delete_machine(machine, dice),
            39..52 => self.pose(machine, dice),
            _ => {}
        }
    }

    fn start_or_stop(&self, machine: &Value) {
        let mut machine = machine.clone();
        let runs = machine["spec"]["running"] == true;
        machine["spec"]["running"] = json!(!runs);
        let (name, so) = (full_name(&machine), !runs);
        self.log.say(format_args!("machine {name} is to run: {so}"));
        self.server.put(machine);
    }

    fn migrate(&self, machine: &Value, dice: &Dice) {
        let (namespace, name) = (meta(machine, "namespace"), meta(machine, "name"));
        let of_it = |one: &&Arc<Value>| {
            meta(one, "namespace") == namespace && one["spec"]["vmiName"] == name
        };
        let all = self.server.all(MIGRATIONS);
        if all.iter().filter(of_it).any(|one| !is_final(one)) {
            return;
        }
        let migration = format!("migration-{}", dice.below(1_000_000));
        self.log.say(format_args!(
            "{migration} of {namespace}/{name} is asked for"
        ));
        self.server.put(json!({
            "apiVersion": "kubevirt.io/v1", "kind": "VirtualMachineInstanceMigration",
            "metadata": {"name": migration, "namespace": namespace}, "spec": {"vmiName": name},
            "status": {"phase": "Pending", "looks": 0},
        }));
    }

    /// Deletes a machine; another one of the name comes after a while.
    fn delete_machine(self: &Arc<Self>, machine: &Value, dice: &Dice) {
        let (world, machine) = (Arc::clone(self), machine.clone());
        let pause = dice.millis(100, 300_000);
        tokio::spawn(async move {
            let (namespace, name) = (meta(&machine, "namespace"), meta(&machine, "name"));
            world.remove(MACHINES, &machine).await;
            world
                .log
                .say(format_args!("machine {namespace}/{name} is deleted"));
            tokio::time::sleep(pause).await;
            world.server.put(self::machine(namespace, name, true));
            world
                .log
                .say(format_args!("machine {namespace}/{name} is made anew"));
        });
    }

    async fn remove(&self, resource: &str, object: &Value) {
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

    /// A user makes a pod that names the instance as its owner, and sometimes a migration.
    fn pose(self: &Arc<Self>, machine: &Value, dice: &Dice) {
        let (namespace, name) = (meta(machine, "namespace"), meta(machine, "name"));
        let Some(instance) = self.server.stored(INSTANCES, namespace, name) else {
            return;
        };
        let mut pod = launcher(&instance);
        pod["metadata"]["generateName"] = json!("posing-");
        let migrations = self.server.all(MIGRATIONS);
        if let Some(one) = dice.pick(&migrations).filter(|_| dice.percent(50)) {
            // The name may be guessed, the UID not.
            set_target(&mut pod, meta(one, "name"), "guessed");
        }
        if dice.percent(20) {
            pod["spec"]["nodeName"] = json!(format!("node-{}", dice.below(3)));
        }
        let path = format!("/api/v1/namespaces/{namespace}/pods");
        let world = Arc::clone(self);
        tokio::spawn(async move {
            let answer = world.post("user", &path, &pod).await;
            let told = answer.told();
            world.log.say(format_args!(
                "user: poses as {}: {told}",
                full_name(&instance)
            ));
        });
    }

    /// The pods that KubeVirt made for an instance.
    fn launchers(&self, instance: &Value) -> Vec<Arc<Value>> {
        let uid = meta(instance, "uid");
        let mut pods = self.pods();
        pods.retain(|pod| {
            pod["metadata"]["ownerReferences"][0]["uid"] == uid
                && meta(pod, "name").starts_with("virt-launcher-")
        });
        pods
    }

    /// Makes the instance of a machine that is to run.
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
            // Of two that an answer in vain left, one goes.
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
            let path = format!("/api/v1/namespaces/{namespace}/pods");
            let answer = self
                .post("virt-controller", &path, &launcher(instance))
                .await;
            let told = answer.told();
            self.log
                .say(format_args!("launcher of {namespace}/{name}: {told}"));
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

    /// Writes a phase, if the object is the same still.
    fn mark(&self, resource: &str, object: &Value, phase: &str) {
        let (namespace, name) = (meta(object, "namespace"), meta(object, "name"));
        let stored = self.server.stored(resource, namespace, name);
        let same = stored.filter(|stored| meta(stored, "uid") == meta(object, "uid"));
        if let Some(mut stored) = same {
            stored["status"]["phase"] = json!(phase);
            self.server.put(stored);
            self.log
                .say(format_args!("{resource} {namespace}/{name}: {phase}"));
        }
    }

    /// Brings a migration on.
    async fn bring_on(&self, migration: &Value, dice: &Dice) {
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
                    || looks > PATIENCE
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
                        let told = answer.told();
                        self.log
                            .say(format_args!("target of {namespace}/{name}: {told}"));
                    }
                    _ => drop(self.server.put(looked)),
                }
            }
            "Running" => match (source_pod, target) {
                (Some(source), Some(target)) if runs(source) && runs(target) => {
                    if dice.percent(40) {
                        let moved = dice.percent(80);
                        self.mark(
                            MIGRATIONS,
                            migration,
                            if moved { "Succeeded" } else { "Failed" },
                        );
                    }
                }
                (Some(_), Some(_)) if dice.percent(95) => {}
                _ => failed(),
            },
            phase => {
                let over = if phase == "Failed" {
                    target
                } else {
                    source_pod
                };
                match over {
                    None if dice.percent(20) => self.remove(MIGRATIONS, migration).await,
                    None => {}
                    // Its guest is gone, or never was there.
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

/// Does what KubeVirt's controllers do, for as long as the history lasts.
pub(super) async fn virt_controller(world: Arc<World>, dice: Dice) {
    loop {
        world.pause(dice.millis(300, 2_000)).await;
        for machine in world.server.all(MACHINES) {
            world.make_instance(&machine);
        }
        for instance in world.server.all(INSTANCES) {
            world.run_instance(&instance).await;
        }
        for migration in world.server.all(MIGRATIONS) {
            world.bring_on(&migration, &dice).await;
        }
        for pod in world.pods() {
            let poses = meta(&pod, "name").starts_with("posing-");
            if poses && !is_going(&pod) && dice.percent(10) {
                world.delete_pod(&pod).await;
            }
        }
    }
}

/// The machine that a pod says that it belongs to.
pub(super) fn machine_of(pod: &Value) -> Option<String> {
    let owner = &pod["metadata"]["ownerReferences"][0];
    let name = owner["name"].as_str()?;
    let one = owner["kind"] == "VirtualMachineInstance";
    one.then(|| format!("machine {}/{name}", meta(pod, "namespace")))
}

/// Whether KubeVirt made a pod as the target of a migration.
pub(super) fn is_target(pod: &Value) -> bool {
    meta(pod, "name").starts_with("virt-launcher-")
        && pod["metadata"]["labels"][MIGRATION_UID].is_string()
}

impl World {
    /// The UID of the machine of this name; of an instance without one, nothing.
    pub(super) fn machine_uid(&self, namespace: &str, name: &str) -> Option<String> {
        let stored = self.server.stored(MACHINES, namespace, name)?;
        Some(meta(&stored, "uid").to_owned())
    }

    /// Whether a machine or an instance of this name is there.
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

fn launcher(instance: &Value) -> Value {
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

fn set_target(pod: &mut Value, migration: &str, uid: &str) {
    pod["metadata"]["labels"][MIGRATION_UID] = json!(uid);
    pod["metadata"]["annotations"]["kubevirt.io/migrationJobName"] = json!(migration);
}
