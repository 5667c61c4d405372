//! The lifecycle of one pod on its node: its sandbox, retried until it is ready; its containers;
//! its end.

use std::{
    sync::{Arc, PoisonError},
    time::Duration,
};

use k8s_openapi::api::core::v1::{Event, Pod};
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions},
};
use serde_json::{Value, json};
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};

use super::{
    NodeContext,
    container_runner::ContainerRunner,
    now,
    sandbox::Sandbox,
    status::{self, ContainerState, TransitionTimes},
};

/// The delay before the first retry of a sandbox; it doubles with each attempt.
const BACK_OFF: Duration = Duration::from_millis(500);
const MAX_BACK_OFF: Duration = Duration::from_secs(4);
/// The interval between checks of processes and probes.
const POLL_INTERVAL: Duration = Duration::from_millis(200);
/// The interval between updates of volumes without a change of the pod, as in the kubelet.
const VOLUME_SYNC_INTERVAL: Duration = Duration::from_secs(60);

/// The last observed state of a pod.
#[derive(Debug, Clone)]
pub(super) enum ObservedPod {
    There(Arc<Pod>),
    /// Deleted from the API.
    Gone,
}

struct PodLifecycle {
    node: Arc<NodeContext>,
    pod: Arc<Pod>,
    seen: watch::Receiver<ObservedPod>,
    is_gone: bool,
}

/// Runs the lifecycle of a pod from its binding to its end.
pub(super) async fn run_pod(
    node: Arc<NodeContext>,
    pod: Arc<Pod>,
    seen: watch::Receiver<ObservedPod>,
) {
    let mut life = PodLifecycle {
        node,
        pod,
        seen,
        is_gone: false,
    };
    if let Some(sandbox) = life.until_sandboxed().await {
        let place = life.key();
        if let Some(namespace) = sandbox.namespace() {
            let places = life.node.places.lock();
            let mut places = places.unwrap_or_else(PoisonError::into_inner);
            places.insert(place.clone(), namespace.to_owned());
        }
        life.run(&sandbox).await;
        {
            let places = life.node.places.lock();
            let mut places = places.unwrap_or_else(PoisonError::into_inner);
            // A new pod of the same name may have replaced the entry.
            if places.get(&place).map(String::as_str) == sandbox.namespace() {
                places.remove(&place);
            }
        }
        sandbox.remove(&life.node).await;
    }
    life.delete().await;
}

impl PodLifecycle {
    fn key(&self) -> (String, String) {
        (
            self.pod.namespace().unwrap_or_default(),
            self.pod.name_any(),
        )
    }

    fn api(&self) -> Api<Pod> {
        Api::namespaced(self.node.client.clone(), &self.key().0)
    }

    /// Takes over the observed state, and returns true if the pod has to end.
    fn is_to_go(&mut self) -> bool {
        match &*self.seen.borrow_and_update() {
            ObservedPod::There(pod) => self.pod = Arc::clone(pod),
            ObservedPod::Gone => self.is_gone = true,
        }
        self.is_gone || self.pod.metadata.deletion_timestamp.is_some()
    }

    /// Waits for this time, or until something changes.
    async fn wait(&mut self, at_most: Duration) {
        if let Ok(Err(_)) = timeout(at_most, self.seen.changed()).await {
            self.is_gone = true;
            sleep(at_most).await;
        }
    }

    async fn until_sandboxed(&mut self) -> Option<Sandbox> {
        let mut back_off = BACK_OFF;
        loop {
            if self.is_to_go() {
                return None;
            }
            match Sandbox::make(&self.node, &self.pod).await {
                Ok(sandbox) => return Some(sandbox),
                Err(why) => self.event("FailedCreatePodSandBox", &why).await,
            }
            let end = Instant::now() + back_off;
            while Instant::now() < end && !self.is_to_go() {
                self.wait(end - Instant::now()).await;
            }
            back_off = (back_off * 2).min(MAX_BACK_OFF);
        }
    }

    /// Runs the containers until the pod has to end.
    async fn run(&mut self, sandbox: &Sandbox) {
        let mut since = TransitionTimes {
            made: now(),
            ready: now(),
        };
        let Some(mut containers) = self.until_started(sandbox).await else {
            return;
        };
        let mut written: Option<Vec<ContainerState>> = None;
        let mut volumes = Instant::now() + VOLUME_SYNC_INTERVAL;
        while !self.is_to_go() {
            let states: Vec<ContainerState> =
                containers.iter().map(|one| one.state.clone()).collect();
            if written.as_ref() != Some(&states) {
                since.ready = now();
                let new_status = status::running(&self.pod, sandbox.place(), &states, &since);
                if self.write(new_status).await {
                    written = Some(states);
                }
            }
            let is_run = containers.iter().any(ContainerRunner::is_run);
            let pause = match is_run || written.is_none() {
                true => POLL_INTERVAL,
                false => VOLUME_SYNC_INTERVAL,
            };
            let before = Arc::clone(&self.pod);
            self.wait(pause).await;
            if !is_run || self.is_to_go() {
                continue;
            }
            // A change of the pod's annotations is handled at once.
            if before.annotations() != self.pod.annotations() || Instant::now() > volumes {
                for one in &containers {
                    if let Err(why) = one.update(&self.node, &self.pod).await {
                        self.event("FailedMount", &why).await;
                    }
                }
                volumes = Instant::now() + VOLUME_SYNC_INTERVAL;
            }
            for one in &mut containers {
                one.poll(&self.node, &self.pod, sandbox).await;
            }
        }
        let grace = self.pod.metadata.deletion_grace_period_seconds;
        for one in &mut containers {
            one.end(grace.unwrap_or(0)).await;
        }
        if !self.is_gone {
            let states: Vec<ContainerState> =
                containers.iter().map(|one| one.state.clone()).collect();
            self.write(status::ended(&states)).await;
        }
        for one in &containers {
            one.remove();
        }
    }

    async fn until_started(&mut self, sandbox: &Sandbox) -> Option<Vec<ContainerRunner>> {
        let pod = Arc::clone(&self.pod);
        let specs = pod.spec.as_ref().map(|spec| spec.containers.clone());
        let mut containers = Vec::new();
        for spec in specs.unwrap_or_default() {
            loop {
                if self.is_to_go() {
                    return None;
                }
                match ContainerRunner::start(&self.node, &self.pod, sandbox, &spec).await {
                    Ok(contained) => {
                        containers.push(contained);
                        break;
                    }
                    Err(why) => self.event("FailedMount", &why).await,
                }
                self.wait(BACK_OFF).await;
            }
        }
        Some(containers)
    }

    /// Writes a status, and returns true if that succeeded.
    async fn write(&self, status: Value) -> bool {
        let patch = Patch::Merge(json!({
            "metadata": {"uid": self.pod.uid()}, "status": status,
        }));
        let written = self
            .api()
            .patch_status(&self.pod.name_any(), &PatchParams::default(), &patch)
            .await;
        if let Err(error) = &written {
            self.node
                .complain(format!("{} status of {:?}: {error}", now(), self.key()));
        }
        written.is_ok()
    }

    async fn event(&self, reason: &str, message: &str) {
        let (namespace, name) = self.key();
        let event = json!({
            "apiVersion": "v1", "kind": "Event",
            "metadata": {"generateName": format!("{name}."), "namespace": namespace},
            "involvedObject": {
                "apiVersion": "v1", "kind": "Pod", "namespace": namespace, "name": name,
                "uid": self.pod.uid(), "resourceVersion": self.pod.resource_version(),
            },
            "reason": reason, "message": message, "type": "Warning", "count": 1,
            "firstTimestamp": now(), "lastTimestamp": now(),
            "source": {
                "component": "kubelet",
                "host": self.pod.spec.as_ref().and_then(|spec| spec.node_name.clone()),
            },
        });
        let event: Result<Event, _> = serde_json::from_value(event);
        let Ok(event) = event else {
            return;
        };
        let events: Api<Event> = Api::namespaced(self.node.client.clone(), &namespace);
        // A terminating namespace accepts no Events.
        let _ = events.create(&PostParams::default(), &event).await;
    }

    /// Deletes the pod after it has ended.
    async fn delete(&mut self) {
        let mut tries = 0;
        while !self.is_gone && tries < 20 {
            let mut parameters = DeleteParams::default().grace_period(0);
            parameters.preconditions = Some(Preconditions {
                uid: self.pod.uid(),
                resource_version: None,
            });
            match self.api().delete(&self.pod.name_any(), &parameters).await {
                Ok(_) => return,
                Err(kube::Error::Api(status)) if [404, 409].contains(&status.code) => return,
                Err(error) => {
                    tries += 1;
                    self.node
                        .complain(format!("{} delete {:?}: {error}", now(), self.key()));
                    sleep(BACK_OFF).await;
                }
            }
        }
    }
}
