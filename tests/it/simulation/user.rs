//! The actions of users and the faults of the cluster, step by step.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use tokio::time::sleep;

use super::{
    cluster::{SimCluster, full_name, has_ended, meta, node_of, path_of},
    rng::Rng,
    scenario::{NAMESPACES, NETWORK},
    workloads::{address, pod, wish},
};

impl SimCluster {
    /// Performs one random step of the scenario.
    pub(super) async fn step(self: &Arc<Self>, rng: &Rng) {
        match rng.below(100) {
            0..30 => self.create(rng),
            30..45 => self.delete(rng, None),
            45..53 => self.delete(rng, Some(0)),
            53..57 => self.evict(rng),
            57..61 => self.end(rng),
            61..66 => self.scale(rng),
            66..71 => self.reserve(rng),
            71..74 => self.unreserve(rng),
            74..79 => self.cut_off(self.a_node(rng)),
            79..84 => self.bring_back(self.a_node(rng)),
            84..89 => self.kill_and_start(rng),
            89..91 => self.lag(rng),
            91..93 => self.drop_watches(rng),
            93..95 => self.copy_or_restore(rng).await,
            95 => self.take_away(self.a_node(rng)),
            96 => self.delete_set(rng),
            97 => self.appoint(&[0; 3].map(|_: u8| rng.percent(50))),
            _ => sleep(rng.millis(0, 60_000)).await,
        }
    }

    fn a_node(&self, rng: &Rng) -> usize {
        usize::try_from(rng.below(self.scenario.nodes as u64)).unwrap_or(0)
    }

    fn a_pod(&self, rng: &Rng) -> Option<Arc<Value>> {
        rng.pick(&self.pods()).cloned()
    }

    fn create(self: &Arc<Self>, rng: &Rng) {
        let namespace = rng.pick(&NAMESPACES).copied().unwrap_or_default();
        let name = format!("pod-{}", rng.below(6));
        let mut pod = pod(namespace, &name, &wish(self, rng));
        match rng.below(10) {
            0..4 => {
                pod["metadata"]["name"] = Value::Null;
                pod["metadata"]["generateName"] = json!("app-");
            }
            4 => pod["spec"]["nodeName"] = json!(format!("node-{}", self.a_node(rng))),
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
        let cluster = Arc::clone(self);
        tokio::spawn(async move {
            let answer = cluster.ask("user", method, &path, &body).await;
            cluster
                .log
                .record(format_args!("user: {what} {name}: {}", answer.summary()));
        });
    }

    /// Deletes a random pod; with a grace period of zero by force.
    fn delete(self: &Arc<Self>, rng: &Rng, grace: Option<u64>) {
        let Some(pod) = self.a_pod(rng) else { return };
        let options = json!({"gracePeriodSeconds": grace});
        let what = if grace.is_some() {
            "force-delete"
        } else {
            "delete"
        };
        self.user(what, full_name(&pod), "DELETE", path_of(&pod), options);
    }

    fn evict(self: &Arc<Self>, rng: &Rng) {
        let Some(pod) = self.a_pod(rng) else { return };
        let eviction = json!({
            "apiVersion": "policy/v1", "kind": "Eviction",
            "metadata": {"name": meta(&pod, "name"), "namespace": meta(&pod, "namespace")},
        });
        let path = format!("{}/eviction", path_of(&pod));
        self.user("evict", full_name(&pod), "POST", path, eviction);
    }

    /// Ends the containers of a random pod.
    fn end(self: &Arc<Self>, rng: &Rng) {
        let Some(pod) = self.a_pod(rng) else { return };
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

    fn scale(self: &Arc<Self>, rng: &Rng) {
        let namespace = rng.pick(&NAMESPACES).copied().unwrap_or_default();
        let path = format!("/apis/apps/v1/namespaces/{namespace}/statefulsets/set");
        let patch = json!({"spec": {"replicas": rng.below(4)}});
        let what = format!("{namespace}/set to {}", patch["spec"]["replicas"]);
        self.user("scale", what, "PATCH", path, patch);
    }

    fn reserve(self: &Arc<Self>, rng: &Rng) {
        if self.scenario.families != 1 {
            return;
        }
        let namespace = rng.pick(&NAMESPACES).copied().unwrap_or_default();
        let name = format!("reservation-{}", rng.below(3));
        let holder = match rng.below(2) {
            0 => json!({"pod": format!("pod-{}", rng.below(6))}),
            _ => json!({"statefulSet": "set", "ordinal": rng.below(3)}),
        };
        let ip = address(self, rng);
        if let Some(ordinal) = holder["ordinal"].as_u64() {
            self.forget_sticky(&format!("{namespace}/set-{ordinal}"));
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

    fn unreserve(self: &Arc<Self>, rng: &Rng) {
        let all = self.server.all("addressreservations.nadmit.io");
        let Some(one) = rng.pick(&all) else { return };
        let (namespace, name) = (meta(one, "namespace"), meta(one, "name"));
        let path =
            format!("/apis/nadmit.io/v1alpha1/namespaces/{namespace}/addressreservations/{name}");
        self.user("unreserve", full_name(one), "DELETE", path, json!({}));
    }

    /// Kills a replica; its slot is started again after a random delay.
    fn kill_and_start(self: &Arc<Self>, rng: &Rng) {
        let number = usize::try_from(rng.below(self.scenario.replicas as u64)).unwrap_or(0);
        self.kill(number);
        let (cluster, pause) = (Arc::clone(self), rng.millis(500, 30_000));
        tokio::spawn(async move {
            sleep(pause).await;
            cluster.start(number);
        });
    }

    /// Delays the watches of a replica.
    fn lag(&self, rng: &Rng) {
        let replica = format!("replica-{}", rng.below(self.scenario.replicas as u64));
        let lag = match rng.below(3) {
            0 => Duration::ZERO,
            1 => rng.millis(50, 2_000),
            _ => rng.millis(2_000, 20_000),
        };
        self.log
            .record(format_args!("{replica} lags by {} ms", lag.as_millis()));
        self.server.lag(&replica, lag);
    }

    fn drop_watches(&self, rng: &Rng) {
        let kinds = [
            "pods",
            "nodes",
            "addressallocations.nadmit.io",
            "addressreservations.nadmit.io",
            "statefulsets.apps",
        ];
        let kind = rng.pick(&kinds).copied().unwrap_or_default();
        let compacts = rng.percent(50);
        self.log.record(format_args!(
            "watches of {kind} break; history forgotten: {compacts}"
        ));
        if compacts {
            self.server.compact();
        }
        self.server.drop_watches(kind);
    }
}
