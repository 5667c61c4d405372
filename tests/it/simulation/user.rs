//! The actions of users and the faults of the cluster, step by step.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use tokio::time::sleep;

use super::{
    cluster::{World, full_name, has_ended, meta, node_of, path_of},
    rng::Dice,
    scenario::{NAMESPACES, NETWORK},
    workloads::{address, pod, wish},
};

impl World {
    /// Performs one random step of the scenario.
    pub(super) async fn step(self: &Arc<Self>, dice: &Dice) {
        match dice.below(100) {
            0..30 => self.create(dice),
            30..45 => self.delete(dice, None),
            45..53 => self.delete(dice, Some(0)),
            53..57 => self.evict(dice),
            57..61 => self.end(dice),
            61..66 => self.scale(dice),
            66..71 => self.reserve(dice),
            71..74 => self.unreserve(dice),
            74..79 => self.cut_off(self.a_node(dice)),
            79..84 => self.bring_back(self.a_node(dice)),
            84..89 => self.kill_and_start(dice),
            89..91 => self.lag(dice),
            91..93 => self.drop_watches(dice),
            93..95 => self.copy_or_restore(dice).await,
            95 => self.take_away(self.a_node(dice)),
            96 => self.delete_set(dice),
            97 => self.appoint(&[0; 3].map(|_: u8| dice.percent(50))),
            _ => sleep(dice.millis(0, 60_000)).await,
        }
    }

    fn a_node(&self, dice: &Dice) -> usize {
        usize::try_from(dice.below(self.plan.nodes as u64)).unwrap_or(0)
    }

    fn a_pod(&self, dice: &Dice) -> Option<Arc<Value>> {
        dice.pick(&self.pods()).cloned()
    }

    fn create(self: &Arc<Self>, dice: &Dice) {
        let namespace = dice.pick(&NAMESPACES).copied().unwrap_or_default();
        let name = format!("pod-{}", dice.below(6));
        let mut pod = pod(namespace, &name, &wish(self, dice));
        match dice.below(10) {
            0..4 => {
                pod["metadata"]["name"] = Value::Null;
                pod["metadata"]["generateName"] = json!("app-");
            }
            4 => pod["spec"]["nodeName"] = json!(format!("node-{}", self.a_node(dice))),
            _ => {}
        }
        let path = format!("/api/v1/namespaces/{namespace}/pods");
        self.user("create", full_name(&pod), "POST", path, pod);
    }

    /// Sends a request as a user, without waiting for the response.
    fn user(
        self: &Arc<Self>,
        what: &'static str,
        name: String,
        method: &'static str,
        path: String,
        body: Value,
    ) {
        let world = Arc::clone(self);
        tokio::spawn(async move {
            let answer = world.ask("user", method, &path, &body).await;
            world
                .log
                .say(format_args!("user: {what} {name}: {}", answer.told()));
        });
    }

    /// Deletes a random pod; with a grace period of zero by force.
    fn delete(self: &Arc<Self>, dice: &Dice, grace: Option<u64>) {
        let Some(pod) = self.a_pod(dice) else { return };
        let options = json!({"gracePeriodSeconds": grace});
        let what = if grace.is_some() {
            "force-delete"
        } else {
            "delete"
        };
        self.user(what, full_name(&pod), "DELETE", path_of(&pod), options);
    }

    fn evict(self: &Arc<Self>, dice: &Dice) {
        let Some(pod) = self.a_pod(dice) else { return };
        let eviction = json!({
            "apiVersion": "policy/v1", "kind": "Eviction",
            "metadata": {"name": meta(&pod, "name"), "namespace": meta(&pod, "namespace")},
        });
        let path = format!("{}/eviction", path_of(&pod));
        self.user("evict", full_name(&pod), "POST", path, eviction);
    }

    /// Ends the containers of a random pod.
    fn end(self: &Arc<Self>, dice: &Dice) {
        let Some(pod) = self.a_pod(dice) else { return };
        let node = node_of(&pod).unwrap_or_default();
        let reachable = self
            .lock(&self.nodes)
            .iter()
            .any(|one| one.name == node && one.reachable);
        if reachable && !has_ended(&pod) {
            let patch = json!({
                "metadata": {"uid": meta(&pod, "uid")}, "status": {"phase": "Succeeded"},
            });
            let path = format!("{}/status", path_of(&pod));
            self.user("end", full_name(&pod), "PATCH", path, patch);
        }
    }

    fn scale(self: &Arc<Self>, dice: &Dice) {
        let namespace = dice.pick(&NAMESPACES).copied().unwrap_or_default();
        let path = format!("/apis/apps/v1/namespaces/{namespace}/statefulsets/set");
        let patch = json!({"spec": {"replicas": dice.below(4)}});
        let what = format!("{namespace}/set to {}", patch["spec"]["replicas"]);
        self.user("scale", what, "PATCH", path, patch);
    }

    fn reserve(self: &Arc<Self>, dice: &Dice) {
        if self.plan.families != 1 {
            return;
        }
        let namespace = dice.pick(&NAMESPACES).copied().unwrap_or_default();
        let name = format!("reservation-{}", dice.below(3));
        let holder = match dice.below(2) {
            0 => json!({"pod": format!("pod-{}", dice.below(6))}),
            _ => json!({"statefulSet": "set", "ordinal": dice.below(3)}),
        };
        let ip = address(self, dice);
        if let Some(ordinal) = holder["ordinal"].as_u64() {
            self.excuse(&format!("{namespace}/set-{ordinal}"));
        }
        let reservation = json!({
            "apiVersion": "nadmit.io/v1alpha1", "kind": "AddressReservation",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"network": NETWORK, "holder": holder, "ips": [ip]},
        });
        let path = format!("/apis/nadmit.io/v1alpha1/namespaces/{namespace}/addressreservations");
        let what = format!("{namespace}/{name}: {ip} for {holder}");
        self.user("reserve", what, "POST", path, reservation);
    }

    fn unreserve(self: &Arc<Self>, dice: &Dice) {
        let all = self.server.all("addressreservations.nadmit.io");
        let Some(one) = dice.pick(&all) else { return };
        let (namespace, name) = (meta(one, "namespace"), meta(one, "name"));
        let path =
            format!("/apis/nadmit.io/v1alpha1/namespaces/{namespace}/addressreservations/{name}");
        self.user("unreserve", full_name(one), "DELETE", path, json!({}));
    }

    /// Kills a replica; its slot is started again after a random delay.
    fn kill_and_start(self: &Arc<Self>, dice: &Dice) {
        let number = usize::try_from(dice.below(self.plan.replicas as u64)).unwrap_or(0);
        self.kill(number);
        let (world, pause) = (Arc::clone(self), dice.millis(500, 30_000));
        tokio::spawn(async move {
            sleep(pause).await;
            world.start(number);
        });
    }

    /// Delays the watches of a replica.
    fn lag(&self, dice: &Dice) {
        let replica = format!("replica-{}", dice.below(self.plan.replicas as u64));
        let lag = match dice.below(3) {
            0 => Duration::ZERO,
            1 => dice.millis(50, 2_000),
            _ => dice.millis(2_000, 20_000),
        };
        self.log
            .say(format_args!("{replica} lags by {} ms", lag.as_millis()));
        self.server.lag(&replica, lag);
    }

    fn drop_watches(&self, dice: &Dice) {
        let kinds = [
            "pods",
            "nodes",
            "addressallocations.nadmit.io",
            "addressreservations.nadmit.io",
            "statefulsets.apps",
        ];
        let kind = dice.pick(&kinds).copied().unwrap_or_default();
        let compacts = dice.percent(50);
        self.log.say(format_args!(
            "watches of {kind} break; history forgotten: {compacts}"
        ));
        if compacts {
            self.server.compact();
        }
        self.server.drop_watches(kind);
    }
}
