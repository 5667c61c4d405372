//! The end of a scenario: all faults are removed, and the invariants are checked.

use std::{
    collections::BTreeSet,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use nadmit::allocation::{Address, Version};
use serde_json::Value;
use tokio::time::sleep;

use super::{
    cluster::{SimCluster, full_name, has_ended, is_going, meta, node_of},
    machines::machine_of,
    nodes::NETWORKS,
    scenario::{Actors, POOL},
};

/// The time without faults before the invariants are checked.
const QUIET_PERIOD: Duration = Duration::from_secs(8 * 60);
/// The number of slices that a sliced pool is cut into.
const SLICES: usize = 4;

impl SimCluster {
    /// Removes all faults, waits, and checks the invariants.
    pub(super) async fn check_invariants(self: &Arc<Self>) {
        self.heal();
        for number in 0..self.scenario.nodes {
            self.bring_back(number);
        }
        // A restore may still hold replicas back.
        self.closed.store(false, Ordering::Relaxed);
        for number in 0..self.scenario.replicas {
            self.start(number);
        }
        self.appoint(&[true, false, false]);
        sleep(QUIET_PERIOD).await;
        if self.scenario.actors == Actors::Machines {
            self.wait_for_machines().await;
        }
        self.check_objects();
        self.check_indexes();
        self.check_owners();
        self.check_pods();
    }

    /// Waits until no pod has been replaced for long enough that earlier addresses are free again.
    async fn wait_for_machines(&self) {
        let uids = || -> BTreeSet<String> {
            let pods = self.pods().into_iter();
            pods.map(|pod| meta(&pod, "uid").to_owned()).collect()
        };
        for _ in 0..20 {
            let before = uids();
            sleep(Duration::from_secs(self.scenario.quarantine + 60)).await;
            if uids() == before {
                return;
            }
        }
    }

    /// L4: each index equals the ledger.
    fn check_indexes(&self) {
        let stored: BTreeSet<(String, String)> = self
            .allocations()
            .iter()
            .map(|object| {
                let address = object["spec"]["address"].as_str().unwrap_or_default();
                (
                    address.to_owned(),
                    meta(object, "resourceVersion").to_owned(),
                )
            })
            .collect();
        for live in self.live() {
            let index = live.index.lock();
            let known = index
                .recorded()
                .map(|(record, Version(version))| (shown(record.address), version.to_string()));
            let known: BTreeSet<(String, String)> = known.collect();
            let differs: Vec<_> = known.symmetric_difference(&stored).collect();
            if !differs.is_empty() {
                self.log.broken(format_args!(
                    "L4: {} and the ledger: {differs:?}",
                    live.writer
                ));
            }
        }
    }

    /// L1: nothing leaked.
    fn check_owners(&self) {
        for object in self.allocations() {
            let spec = &object["spec"];
            let holder = &spec["holder"];
            let pod = self.living(&spec["pod"]["uid"]);
            let owned = if holder["reservation"].is_object() {
                self.is_reserved(&holder["reservation"], &spec["address"])
            } else if holder["replica"].is_object() && self.scenario.sticky {
                let (namespace, name) = (
                    &holder["replica"]["namespace"],
                    &holder["replica"]["statefulSet"],
                );
                let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                let set = self
                    .server
                    .stored("statefulsets.apps", &text(namespace), &text(name));
                // The controller may have created one more pod that the garbage collector has not
                // seen.
                set.is_some() || pod.is_some()
            } else if holder["machine"].is_object() {
                let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                let (namespace, name) = (
                    text(&holder["machine"]["namespace"]),
                    text(&holder["machine"]["name"]),
                );
                let mac = text(&spec["address"]).len() == 17;
                let keeps = match mac {
                    true => self.scenario.machines_keep_macs(),
                    false => self.scenario.vms_retain_ips(),
                };
                pod.is_some() || (keeps && self.has_machine(&namespace, &name))
            } else {
                pod.is_some()
            };
            if !owned {
                self.log.broken(format_args!("L1: leaked: {spec}"));
            }
        }
    }

    /// Returns the pod of a UID, if it is alive.
    fn living(&self, uid: &Value) -> Option<Arc<Value>> {
        let pods = self.pods().into_iter();
        let mut living = pods.filter(|pod| !has_ended(pod) && pod["metadata"]["uid"] == *uid);
        living.next()
    }

    fn is_reserved(&self, reservation: &Value, address: &Value) -> bool {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let found = self.server.stored(
            "addressreservations.nadmit.io",
            &text(&reservation["namespace"]),
            &text(&reservation["name"]),
        );
        // A MAC without an address belongs to an address of the same reservation.
        let address = text(address);
        found.is_some_and(|found| {
            let ips = found["spec"]["ips"].as_array();
            let bare = |ip: &Value| text(ip).split('/').next().map(str::to_owned);
            let mut ips = ips.into_iter().flatten().filter_map(bare);
            address.len() == 17 || ips.any(|ip| ip == address)
        })
    }

    /// L2: pods carry what they hold, and hold what they can have.
    fn check_pods(&self) {
        let mut left = self.has_room();
        for pod in self.pods() {
            if has_ended(&pod) || is_going(&pod) {
                continue;
            }
            let name = full_name(&pod);
            let held = self.held_by(meta(&pod, "uid"));
            match (node_of(&pod), self.carried(&pod)) {
                (Some(_), Some(carried)) => {
                    let carried: BTreeSet<String> = carried.into_iter().collect();
                    // The pods of a machine share the records, which name the last of them.
                    let shares = machine_of(&pod)
                        .is_some_and(|machine| carried.is_subset(&self.held_by_machine(&machine)));
                    if carried != held && !shares {
                        self.log.broken(format_args!(
                            "L2: {name} carries {carried:?} and holds {held:?}"
                        ));
                    }
                }
                // The pod asked for an address that it may not have.
                _ if self.asks_for_address(&pod) => {}
                // A reservation asked for it on the pod's behalf: the pod is refused, because
                // giving it another address would silently ignore the reservation.
                _ if self.is_promised_in_vain(&pod) => {}
                _ if !left.contains(meta(&pod, "namespace")) => {}
                (bound, _) => {
                    let bound = bound.unwrap_or("nothing");
                    self.log.broken(format_args!(
                        "L2: {name}, bound to {bound}, lacks addresses"
                    ));
                    left.clear();
                }
            }
        }
    }

    fn asks_for_address(&self, pod: &Value) -> bool {
        let text = pod["metadata"]["annotations"][NETWORKS].as_str();
        text.is_some_and(|text| text.contains("\"ips\""))
    }

    /// Returns true if a reservation for a pod names an address that another holder has, that is
    /// also reserved for another, or that may be out of reach of the pod's node.
    fn is_promised_in_vain(&self, pod: &Value) -> bool {
        let (namespace, name) = (meta(pod, "namespace"), meta(pod, "name"));
        let of_pod = |holder: &Value| match holder["ordinal"].as_u64() {
            Some(ordinal) => name == format!("set-{ordinal}"),
            None => holder["pod"] == name,
        };
        let holds = |holder: &Value| match &holder["replica"] {
            Value::Null => holder["pod"]["namespace"] == namespace && holder["pod"]["name"] == name,
            replica => replica["namespace"] == namespace && of_pod(replica),
        };
        let all = self.server.all("addressreservations.nadmit.io");
        let own = all
            .iter()
            .filter(|one| meta(one, "namespace") == namespace && of_pod(&one["spec"]["holder"]));
        own.into_iter().any(|own| {
            let ip = &own["spec"]["ips"][0];
            let same = all.iter().filter(|other| other["spec"]["ips"][0] == *ip);
            let bare = ip.as_str().and_then(|ip| ip.split('/').next());
            let is_another_s = self.allocations().iter().any(|object| {
                let holder = &object["spec"]["holder"];
                let waits = holder["reservation"]["name"] == own["metadata"]["name"]
                    && holder["reservation"]["namespace"] == namespace;
                object["spec"]["address"].as_str() == bare && !waits && !holds(holder)
            });
            same.count() > 1 || is_another_s || self.is_strict()
        })
    }

    fn is_strict(&self) -> bool {
        self.scenario.pool["strictSlices"] == true
    }

    /// Returns the addresses recorded for a pod, in the form that containers use.
    fn held_by(&self, uid: &str) -> BTreeSet<String> {
        self.held_where(|spec| spec["pod"]["uid"] == uid)
    }

    /// Returns the addresses recorded for a machine, in the form that containers use.
    fn held_by_machine(&self, machine: &str) -> BTreeSet<String> {
        self.held_where(|spec| {
            let holder = &spec["holder"]["machine"];
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let (namespace, name) = (text(&holder["namespace"]), text(&holder["name"]));
            format!("machine {namespace}/{name}") == machine
        })
    }

    fn held_where(&self, is_held: impl Fn(&Value) -> bool) -> BTreeSet<String> {
        let space = self.scenario.space();
        let mut held = BTreeSet::new();
        for object in self.allocations() {
            let spec = &object["spec"];
            if is_held(spec) {
                let texts = [&spec["address"], &spec["mac"]].into_iter();
                let texts = texts.filter_map(Value::as_str);
                held.extend(texts.map(|text| format!("{space}|{}", text.to_lowercase())));
            }
        }
        held
    }

    /// Returns the namespaces with room for two more attachments.
    fn has_room(&self) -> BTreeSet<String> {
        let Some(live) = self.live().into_iter().next() else {
            return BTreeSet::new();
        };
        let index = live.index.lock();
        let usages = index.range_usages(POOL);
        let all = super::scenario::NAMESPACES
            .iter()
            .map(|name| (*name).to_owned());
        // In a strict pool a node allocates from its own slices, or from one that no node has.
        let slices = index.slice_usages(POOL).into_iter();
        let slices: Vec<_> = slices
            .filter(|usage| usage.slice.window.address.is_ipv4())
            .collect();
        let in_reach = |node: &String| {
            let own = slices.iter().filter(|usage| *usage.slice.node == **node);
            own.map(|usage| usage.free).sum::<u128>() >= 2
        };
        let reached =
            !self.is_strict() || slices.len() < SLICES || self.ready_nodes().iter().all(in_reach);
        let roomy = reached && usages.iter().all(|usage| usage.free >= 2);
        let limit = self.scenario.pool["maxPerNamespace"]
            .as_u64()
            .unwrap_or(u64::MAX);
        let used = |namespace: &str| {
            let recorded = index.recorded();
            let own = recorded.filter(|(record, _)| **record.holder.namespace() == *namespace);
            own.count() as u64
        };
        let each = 4 * self.scenario.families as u64;
        all.filter(|namespace| roomy && used(namespace) + each <= limit)
            .collect()
    }

    /// L3: a replica of a set keeps its addresses.
    pub(super) fn check_sticky(&self, pod: &Value, addresses: &[String]) {
        let owned = pod["metadata"]["ownerReferences"][0]["kind"] == "StatefulSet";
        if !owned || !self.scenario.sticky {
            return;
        }
        let name = full_name(pod);
        let mut sticky = self.lock(&self.sticky);
        let first = sticky
            .entry(name.clone())
            .or_insert_with(|| addresses.to_vec());
        if !first.is_empty() && first != addresses {
            self.log.broken(format_args!(
                "L3: {name} had {first:?} and has {addresses:?}"
            ));
        }
    }

    /// L3: a machine keeps its MAC and, if the pool retains them, its addresses.
    pub(super) fn check_machine(&self, pod: &Value, addresses: &[String]) {
        let Some(machine) = machine_of(pod).filter(|_| self.scenario.machines_keep_macs()) else {
            return;
        };
        let name = machine.rsplit('/').next().unwrap_or_default();
        let Some(uid) = self.machine_uid(meta(pod, "namespace"), name) else {
            return;
        };
        let is_mac = |one: &&String| one.rsplit('|').next().is_some_and(|one| one.len() == 17);
        let kept = addresses.iter();
        let kept: Vec<String> = kept
            .filter(|one| self.scenario.vms_retain_ips() || is_mac(one))
            .cloned()
            .collect();
        let mut sticky = self.lock(&self.sticky);
        let first = sticky
            .entry(format!("{machine} {uid}"))
            .or_insert_with(|| kept.clone());
        if *first != kept {
            self.log
                .broken(format_args!("L3: {machine} had {first:?} and has {kept:?}"));
        }
    }

    /// Forgets the sticky addresses of a replica, which may get others from now on.
    pub(super) fn forget_sticky(&self, name: &str) {
        self.lock(&self.sticky).insert(name.to_owned(), Vec::new());
    }
}

fn shown(address: Address) -> String {
    address.to_string()
}
