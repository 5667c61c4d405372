//! Rare disasters: a ledger restored from an old copy, a removed node, a deleted set.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use serde_json::{Value, json};
use tokio::time::sleep;

use super::{
    cluster::{ALLOCATIONS, SimCluster, full_name, meta, node_of, path_of},
    rng::Rng,
    scenario::NAMESPACES,
};

impl SimCluster {
    /// Copies all records on the first call; later calls restore that copy. As when etcd is
    /// restored, no replica runs meanwhile.
    pub(super) async fn copy_or_restore(self: &Arc<Self>, rng: &Rng) {
        let copy = self.lock(&self.copy).take();
        let Some(copy) = copy else {
            let copy = self.allocations();
            self.log
                .record(format_args!("{} records are copied", copy.len()));
            *self.lock(&self.copy) = Some(copy);
            return;
        };
        self.closed.store(true, Ordering::Relaxed);
        for number in 0..self.scenario.replicas {
            self.kill(number);
        }
        sleep(rng.millis(100, 30_000)).await;
        self.log
            .record(format_args!("{} records are restored", copy.len()));
        for object in self.allocations() {
            if !copy
                .iter()
                .any(|old| meta(old, "name") == meta(&object, "name"))
            {
                self.remove_record(&object).await;
            }
        }
        for old in copy {
            self.server.put(Value::clone(&old));
        }
        // Sticky addresses without a pod were lost with the newer records.
        self.lock(&self.sticky).clear();
        self.forget_the_gone();
        let pause = rng.millis(100, 20_000);
        for number in 0..self.scenario.replicas {
            let cluster = Arc::clone(self);
            tokio::spawn(async move {
                sleep(pause).await;
                cluster.closed.store(false, Ordering::Relaxed);
                cluster.start(number);
            });
        }
        // Repeated until what is in use should be recorded again.
        let cluster = Arc::clone(self);
        tokio::spawn(async move {
            for _ in 0..400 {
                cluster.forget_the_gone();
                sleep(Duration::from_millis(200)).await;
            }
        });
    }

    async fn remove_record(&self, object: &Value) {
        let name = meta(object, "name");
        let path = format!("/apis/nadmit.io/v1alpha1/addressallocations/{name}");
        while self.server.stored(ALLOCATIONS, "", name).is_some() {
            self.ask("restore", "DELETE", &path, &json!({})).await;
        }
    }

    /// Removes a node with everything that runs there; its pods are deleted with it.
    pub(super) fn take_away(self: &Arc<Self>, number: usize) {
        let Some(name) = self.clear_node(number) else {
            return;
        };
        let cluster = Arc::clone(self);
        tokio::spawn(async move {
            let path = format!("/api/v1/nodes/{name}");
            while cluster.server.stored("nodes", "", &name).is_some() {
                cluster.ask("operator", "DELETE", &path, &json!({})).await;
            }
            cluster.log.record(format_args!("{name} is taken away"));
            sleep(Duration::from_secs(20)).await;
            let pods = cluster.pods();
            for pod in pods.iter().filter(|pod| node_of(pod) == Some(&name)) {
                if cluster.server.stored("nodes", "", &name).is_none() {
                    let options = json!({
                        "gracePeriodSeconds": 0, "preconditions": {"uid": meta(pod, "uid")},
                    });
                    cluster
                        .ask("collector", "DELETE", &path_of(pod), &options)
                        .await;
                }
            }
        });
    }

    /// Deletes a set and its pods; a set of the same name and size is created at once.
    pub(super) fn delete_set(self: &Arc<Self>, rng: &Rng) {
        let namespace = rng.pick(&NAMESPACES).copied().unwrap_or_default();
        let Some(mut set) = self.server.stored("statefulsets.apps", namespace, "set") else {
            return;
        };
        let (cluster, uid) = (Arc::clone(self), meta(&set, "uid").to_owned());
        let pause = rng.millis(100, 60_000);
        tokio::spawn(async move {
            let path = format!("/apis/apps/v1/namespaces/{namespace}/statefulsets/set");
            while cluster
                .server
                .stored("statefulsets.apps", namespace, "set")
                .is_some()
            {
                cluster.ask("user", "DELETE", &path, &json!({})).await;
            }
            cluster
                .log
                .record(format_args!("{namespace}/set is deleted"));
            for pod in cluster.pods() {
                if pod["metadata"]["ownerReferences"][0]["uid"] == uid {
                    cluster
                        .log
                        .record(format_args!("{} with it", full_name(&pod)));
                    let options = json!({"preconditions": {"uid": meta(&pod, "uid")}});
                    cluster
                        .ask("collector", "DELETE", &path_of(&pod), &options)
                        .await;
                }
            }
            sleep(pause).await;
            cluster
                .lock(&cluster.sticky)
                .retain(|name, _| !name.starts_with(&format!("{namespace}/set-")));
            set["metadata"] = json!({"name": "set", "namespace": namespace});
            cluster.server.put(set);
            cluster
                .log
                .record(format_args!("{namespace}/set is recreated"));
        });
    }
}
