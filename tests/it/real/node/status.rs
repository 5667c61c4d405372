//! A pod's status, as the kubelet writes it.

use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use super::now;

/// The state of one container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ContainerState {
    pub(super) name: String,
    pub(super) image: String,
    pub(super) ready: bool,
    pub(super) restarts: u32,
    /// The time of the last start; `None` while it waits to be restarted.
    pub(super) started: Option<String>,
}

/// A pod's addresses in the cluster's network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SandboxAddresses {
    pub(super) host: String,
    /// Addresses without prefixes.
    pub(super) addresses: Vec<String>,
}

/// The times of a pod's transitions.
#[derive(Debug, Clone)]
pub(super) struct TransitionTimes {
    pub(super) made: String,
    /// The time of the last change between ready and not ready.
    pub(super) ready: String,
}

/// Returns the status of a pod that has its sandbox.
pub(super) fn running(
    pod: &Pod,
    place: &SandboxAddresses,
    containers: &[ContainerState],
    since: &TransitionTimes,
) -> Value {
    let ready = containers.iter().all(|container| container.ready);
    let mut conditions = kept(pod);
    let mut put = |kind: &str, is_true: bool, since: &str| {
        let mut condition = json!({
            "type": kind, "lastTransitionTime": since,
            "status": match is_true { true => "True", false => "False" },
        });
        if !is_true {
            condition["reason"] = json!("ContainersNotReady");
        }
        conditions.push(condition);
    };
    put("PodReadyToStartContainers", true, &since.made);
    put("Initialized", true, &since.made);
    put("ContainersReady", ready, &since.ready);
    put("Ready", ready, &since.ready);
    let addresses = place.addresses.iter().map(|ip| json!({"ip": ip}));
    json!({
        "phase": "Running", "startTime": since.made,
        "hostIP": place.host, "hostIPs": [{"ip": place.host}],
        "podIP": place.addresses.first(), "podIPs": addresses.collect::<Vec<_>>(),
        "conditions": conditions,
        "containerStatuses": containers.iter().map(container).collect::<Vec<_>>(),
    })
}

/// Returns the changed fields of the status of a pod whose containers have ended.
pub(super) fn ended(containers: &[ContainerState]) -> Value {
    let each = containers.iter().map(|state| {
        let mut container_status = container(state);
        container_status["ready"] = json!(false);
        container_status["started"] = json!(false);
        container_status["state"] = json!({"terminated": {
            "exitCode": 0, "reason": "Completed", "startedAt": state.started, "finishedAt": now(),
        }});
        container_status
    });
    json!({"phase": "Succeeded", "containerStatuses": each.collect::<Vec<_>>()})
}

fn container(state: &ContainerState) -> Value {
    let container_status = match &state.started {
        Some(started) => {
            json!({"running": {"startedAt": started}, "waiting": null, "terminated": null})
        }
        None => {
            json!({"waiting": {"reason": "CrashLoopBackOff", "message": "it has ended"}, "running": null})
        }
    };
    json!({
        "name": state.name, "image": state.image, "imageID": state.image,
        "ready": state.ready, "started": state.started.is_some(), "restartCount": state.restarts,
        "state": container_status,
    })
}

/// Returns the conditions that other components write.
fn kept(pod: &Pod) -> Vec<Value> {
    let status = pod.status.as_ref();
    let conditions = status.into_iter().flat_map(|status| &status.conditions);
    let of_others = conditions.flatten().filter(|condition| {
        ![
            "PodReadyToStartContainers",
            "Initialized",
            "ContainersReady",
            "Ready",
        ]
        .contains(&&*condition.type_)
    });
    of_others.map(|condition| json!(condition)).collect()
}
