//! Nodes, their kubelets, and the effect of an annotation by Multus.
//!
//! A container uses exactly the addresses of the annotation that was read when it started, until
//! its kubelet has seen that its pod is gone. A node that is cut off keeps running its containers.
//!
//! S1 does not count a pod that was force-deleted and recreated under its name: nadmit gives it its
//! holder's addresses, and the quarantine applies to other holders.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::{
    cluster::{SimCluster, full_name, has_ended, is_going, meta, node_of, path_of},
    machines::{is_target, machine_of},
    rng::Rng,
    scenario::{NETWORK, POOL},
};

pub(super) const NETWORKS: &str = "k8s.v1.cni.cncf.io/networks";
pub(super) const STATUS: &str = "k8s.v1.cni.cncf.io/network-status";

/// Seconds without a heartbeat after which a node is not ready.
const NODE_MONITOR_GRACE: u64 = 40;
/// Twice the maximum clock skew: a replica may see a time limit expire this much early.
const CLOCK_SKEW_MARGIN: Duration = Duration::from_secs(11);

/// The actual state of a node, which the API may not show.
pub(super) struct SimNode {
    pub(super) name: String,
    /// Set if its kubelet reaches the API server.
    pub(super) reachable: bool,
    /// The time since when the API shows it as not ready.
    lost: Option<Instant>,
    containers: Vec<SimContainer>,
    /// Pods for which a request of the kubelet is in progress.
    busy: BTreeSet<String>,
}

/// The container of a pod.
struct SimContainer {
    uid: String,
    pod: String,
    addresses: Vec<String>,
    /// The machine whose launcher it is.
    machine: Option<String>,
    reported: bool,
    /// Set if neither a pod nor a record refers to it any more.
    forgotten: bool,
}

impl SimCluster {
    pub(super) fn start_nodes(self: &Arc<Self>) {
        for number in 0..self.scenario.nodes {
            let name = format!("node-{number}");
            self.lock(&self.nodes).push(SimNode {
                name: name.clone(),
                reachable: true,
                lost: None,
                containers: Vec::new(),
                busy: BTreeSet::new(),
            });
            self.show_node(&name, true);
            tokio::spawn(kubelet(Arc::clone(self), number, self.rng.fork()));
        }
    }

    /// Writes the readiness of a node into the API.
    fn show_node(&self, name: &str, ready: bool) {
        let stored = self.server.stored("nodes", "", name);
        if stored.is_none() && !ready {
            return;
        }
        let mut node = stored.unwrap_or_else(
            || json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}, "spec": {}}),
        );
        let status = if ready { "True" } else { "Unknown" };
        let condition = &node["status"]["conditions"][0];
        if condition["status"] != status {
            let now = self.now();
            let since = jiff::Timestamp::from_second(now.as_second()).unwrap_or(now);
            node["status"]["conditions"] = json!([
                {"type": "Ready", "status": status, "lastTransitionTime": since.to_string()},
            ]);
            self.log.record(format_args!("{name} ready: {status}"));
            self.server.put(node);
        }
    }

    /// Cuts a node off; the API shows it after [`NODE_MONITOR_GRACE`].
    pub(super) fn cut_off(self: &Arc<Self>, number: usize) {
        let name = {
            let mut nodes = self.lock(&self.nodes);
            let Some(node) = nodes.get_mut(number).filter(|node| node.reachable) else {
                return;
            };
            node.reachable = false;
            node.name.clone()
        };
        self.log.record(format_args!("{name} is cut off"));
        let cluster = Arc::clone(self);
        tokio::spawn(async move {
            sleep(Duration::from_secs(NODE_MONITOR_GRACE)).await;
            let lost = {
                let mut nodes = cluster.lock(&cluster.nodes);
                let node = nodes.get_mut(number).filter(|node| !node.reachable);
                node.map(|node| node.lost = Some(Instant::now()))
            };
            if lost.is_some() {
                cluster.show_node(&name, false);
            }
        });
    }

    /// Reconnects a node: its kubelet first reports ready, and then looks at its pods.
    pub(super) fn bring_back(&self, number: usize) {
        let pods = self.pods();
        let lost_for = self.lost_for();
        let name = {
            let mut nodes = self.lock(&self.nodes);
            let Some(node) = nodes.get_mut(number).filter(|node| !node.reachable) else {
                return;
            };
            if node.lost.is_some_and(|since| since.elapsed() >= lost_for) {
                forget_the_gone(node, &pods);
            }
            (node.reachable, node.lost) = (true, None);
            node.name.clone()
        };
        self.log.record(format_args!("{name} is back"));
        self.show_node(&name, true);
    }

    /// Ends everything that runs on a removed node, and returns the name of the node if it existed.
    pub(super) fn clear_node(&self, number: usize) -> Option<String> {
        let mut nodes = self.lock(&self.nodes);
        let node = nodes.get_mut(number)?;
        (node.reachable, node.lost) = (false, None);
        node.containers.clear();
        Some(node.name.clone())
    }

    /// Marks containers without a pod as forgotten: the restored records are older than they are.
    pub(super) fn forget_the_gone(&self) {
        let pods = self.pods();
        for node in self.lock(&self.nodes).iter_mut() {
            forget_the_gone(node, &pods);
        }
    }

    /// Returns the time that a node is silent before the addresses of its pods are given to others.
    fn lost_for(&self) -> Duration {
        Duration::from_secs(self.scenario.lost_node).saturating_sub(CLOCK_SKEW_MARGIN)
    }

    /// Returns the addresses of a pod's attachments to the pool, once all of them have one.
    pub(super) fn carried(&self, pod: &Value) -> Option<Vec<String>> {
        let text = pod["metadata"]["annotations"][NETWORKS].as_str()?;
        let all: Vec<Value> = serde_json::from_str(text).ok()?;
        let space = self.scenario.space();
        let mut addresses = Vec::new();
        for element in all.iter().filter(|element| element["name"] == NETWORK) {
            let ips = element["ips"].as_array()?;
            if ips.len() != self.scenario.families {
                return None;
            }
            let ips = ips.iter().filter_map(Value::as_str);
            let bare = ips.map(|ip| ip.split_once('/').map_or(ip, |(bare, _)| bare).to_owned());
            addresses.extend(bare.map(|ip| format!("{space}|{ip}")));
            match element["mac"].as_str() {
                Some(mac) => addresses.push(format!("{space}|{}", mac.to_lowercase())),
                None if self.scenario.pool["macs"].is_object() => return None,
                None => {}
            }
        }
        Some(addresses)
    }

    /// Runs one sync of a node's kubelet.
    fn look(self: &Arc<Self>, number: usize, rng: &Rng) {
        let pods = self.pods();
        let mut nodes = self.lock(&self.nodes);
        let Some(node) = nodes.get_mut(number).filter(|node| node.reachable) else {
            return;
        };
        node.containers.retain(|container| {
            let mut pods = pods.iter();
            let pod = pods.find(|pod| meta(pod, "uid") == container.uid);
            let runs = pod.is_some_and(|pod| !has_ended(pod)) || rng.percent(30);
            if !runs {
                let gone = if pod.is_some() { "ended" } else { "is gone" };
                self.log
                    .record(format_args!("stopped: {} {gone}", container.pod));
            }
            runs
        });
        let name = node.name.clone();
        let own = pods.iter().filter(|pod| node_of(pod) == Some(&name));
        let mut starting = Vec::new();
        for pod in own.filter(|pod| !has_ended(pod)) {
            let uid = meta(pod, "uid");
            let runs = node
                .containers
                .iter()
                .find(|container| container.uid == uid);
            let reported = runs.map(|container| container.reported);
            match (is_going(pod), reported) {
                (true, _) if rng.percent(40) => {
                    node.containers.retain(|container| container.uid != uid);
                    if node.busy.insert(uid.to_owned()) {
                        tokio::spawn(Arc::clone(self).finish(number, Arc::clone(pod)));
                    }
                }
                (false, None) if rng.percent(60) => starting.push(Arc::clone(pod)),
                (false, Some(false)) if node.busy.insert(uid.to_owned()) => {
                    tokio::spawn(Arc::clone(self).report(number, Arc::clone(pod)));
                }
                _ => {}
            }
        }
        for pod in starting {
            if let Some(addresses) = self.carried(&pod) {
                self.check_unique(&nodes, &pod, &addresses);
                self.check_sticky(&pod, &addresses);
                self.check_machine(&pod, &addresses);
                self.log.record(format_args!(
                    "started: {} on {name} with {addresses:?}",
                    full_name(&pod)
                ));
                let container = SimContainer {
                    uid: meta(&pod, "uid").to_owned(),
                    pod: full_name(&pod),
                    addresses,
                    machine: machine_of(&pod),
                    reported: false,
                    forgotten: false,
                };
                if let Some(node) = nodes.get_mut(number) {
                    node.containers.push(container);
                }
            }
        }
    }

    /// S1: no address is used by two containers.
    fn check_unique(&self, nodes: &[SimNode], pod: &Value, addresses: &[String]) {
        let lost_for = self.lost_for();
        for node in nodes {
            let given_up = node.lost.is_some_and(|since| since.elapsed() >= lost_for);
            for container in &node.containers {
                let twice = addresses
                    .iter()
                    .find(|one| container.addresses.contains(one));
                let Some(twice) = twice.filter(|_| !given_up && !container.forgotten) else {
                    continue;
                };
                if self.may_share(pod, container) {
                    continue;
                }
                // The same holder: deleting a pod by force asserts that its containers have ended.
                if container.pod == full_name(pod) {
                    self.log
                        .record(format_args!("{twice} is used twice by {}", container.pod));
                    continue;
                }
                self.log.broken(format_args!(
                    "S1: {} starts with {twice}, which {} still uses on {}",
                    full_name(pod),
                    container.pod,
                    node.name
                ));
            }
        }
    }

    /// Returns true if both are of one machine and may both run: one is the target of a migration
    /// (after which a node that was cut off may start the source once more), or the pod of the
    /// other is gone.
    fn may_share(&self, pod: &Value, container: &SimContainer) -> bool {
        let one = container.machine.is_some() && container.machine == machine_of(pod);
        let gone = || {
            let mut pods = self.pods().into_iter();
            let before = pods.find(|pod| meta(pod, "uid") == container.uid);
            before.is_none_or(|pod| has_ended(&pod))
        };
        one && (is_target(pod) || self.is_source(pod) || gone())
    }

    /// Ends the guest of a launcher, which no longer uses its addresses.
    pub(super) fn end_guest(&self, uid: &str) {
        for node in self.lock(&self.nodes).iter_mut() {
            for container in &mut node.containers {
                container.forgotten |= container.uid == uid;
            }
        }
    }

    /// Marks earlier launchers of a machine that were force-deleted as forgotten, once a new
    /// launcher has their record.
    pub(super) fn forget_guests(&self, machine: &str) {
        let pods = self.pods();
        for node in self.lock(&self.nodes).iter_mut() {
            for container in &mut node.containers {
                let mut pods = pods.iter();
                let gone = !pods.any(|pod| meta(pod, "uid") == container.uid);
                container.forgotten |= gone && container.machine.as_deref() == Some(machine);
            }
        }
    }

    /// Returns true if the kubelet of a node reaches the API server.
    pub(super) fn reaches(&self, node: &str) -> bool {
        let nodes = self.lock(&self.nodes);
        nodes.iter().any(|one| one.name == node && one.reachable)
    }

    /// Writes the network-status that Multus reports.
    async fn report(self: Arc<Self>, number: usize, pod: Arc<Value>) {
        let carried = self.carried(&pod).unwrap_or_default();
        let bare = carried.iter().filter_map(|one| one.split_once('|'));
        let ips = bare.map(|(_, ip)| ip).filter(|ip| ip.len() != 17);
        let status = json!([{
            "name": format!("{}/{NETWORK}", meta(&pod, "namespace")), "interface": "net1",
            "ips": ips.collect::<Vec<_>>(),
        }]);
        let uid = meta(&pod, "uid");
        let patch = json!({
            "metadata": {"uid": uid, "annotations": {STATUS: status.to_string()}},
            "status": {"phase": "Running"},
        });
        let path = format!("{}/status", path_of(&pod));
        let answer = self.patch(&self.kubelet_of(number), &path, &patch).await;
        let mut nodes = self.lock(&self.nodes);
        let Some(node) = nodes.get_mut(number) else {
            return;
        };
        node.busy.remove(uid);
        let mut containers = node.containers.iter_mut();
        if let Some(container) = containers.find(|container| container.uid == uid) {
            container.reported |= answer.is_done();
        }
    }

    /// Removes a pod whose containers have ended.
    async fn finish(self: Arc<Self>, number: usize, pod: Arc<Value>) {
        let uid = meta(&pod, "uid");
        let options = json!({"gracePeriodSeconds": 0, "preconditions": {"uid": uid}});
        let kubelet = self.kubelet_of(number);
        self.ask(&kubelet, "DELETE", &path_of(&pod), &options).await;
        if let Some(node) = self.lock(&self.nodes).get_mut(number) {
            node.busy.remove(uid);
        }
    }

    fn kubelet_of(&self, number: usize) -> String {
        format!("kubelet-{number}")
    }

    /// Returns the nodes that the API shows as ready.
    pub(super) fn ready_nodes(&self) -> Vec<String> {
        let nodes = self.server.all("nodes");
        let ready = nodes
            .iter()
            .filter(|node| node["status"]["conditions"][0]["status"] == "True");
        ready.map(|node| meta(node, "name").to_owned()).collect()
    }

    /// Checks that no two records have the same address and space.
    pub(super) fn check_objects(&self) {
        let mut seen = BTreeSet::new();
        for object in self.allocations() {
            let spec = &object["spec"];
            let key = format!("{} {}", spec["networkName"], spec["address"]);
            if !seen.insert(key.clone()) {
                self.log
                    .broken(format_args!("S2: two objects for {key} of {POOL}"));
            }
        }
    }
}

/// Marks containers on a node that have no pod any more as forgotten.
fn forget_the_gone(node: &mut SimNode, pods: &[Arc<Value>]) {
    for container in &mut node.containers {
        let mut pods = pods.iter();
        container.forgotten |= !pods.any(|pod| meta(pod, "uid") == container.uid);
    }
}

/// Syncs a node's pods again and again.
async fn kubelet(cluster: Arc<SimCluster>, number: usize, rng: Rng) {
    loop {
        cluster.pause(rng.millis(300, 1_500)).await;
        cluster.look(number, &rng);
    }
}
