//! State of the Deployment's rollout, and the reasons that its pods do not start.

use kube::{
    Client,
    api::{DynamicObject, ListParams},
};
use serde::Serialize;
use serde_json::Value;

use super::{InstallError, NAMESPACE, object};

/// Label selector of nadmit's pods.
pub(super) const PODS: &str = "app.kubernetes.io/name=nadmit";
/// Waiting reasons of a container that rarely resolve by themselves.
const STUCK_REASONS: [&str; 7] = [
    "ImagePullBackOff",
    "InvalidImageName",
    "ErrImageNeverPull",
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
    "CrashLoopBackOff",
];

/// State of a rollout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Rollout {
    /// Every replica has the new version and is ready.
    Complete,
    /// The rollout progresses.
    UnderWay {
        /// Description of the missing step.
        what: String,
    },
    /// The rollout is stuck.
    Stuck {
        /// Cause.
        trouble: Trouble,
        /// Number of replicas that are ready nevertheless.
        serving: u64,
    },
}

/// Reason that a pod does not start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Trouble {
    /// Kind and name: the pod, or the Deployment.
    pub object: String,
    /// Image of the container.
    pub image: String,
    /// Reason reported by Kubernetes.
    pub reason: String,
    /// Message reported by Kubernetes.
    pub message: String,
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} with image {}: {}",
            self.object, self.image, self.reason
        )?;
        match self.message.is_empty() {
            true => Ok(()),
            false => write!(f, ": {}", self.message),
        }
    }
}

/// Lists nadmit's pods.
pub(super) async fn pods(client: &Client) -> Result<Vec<DynamicObject>, InstallError> {
    let api = object::api_of(client, "v1", "Pod", Some(NAMESPACE));
    let listed = api.list(&ListParams::default().labels(PODS)).await;
    let listed = listed.map_err(|error| InstallError::of("list nadmit's pods", &error))?;
    Ok(listed.items)
}

/// Returns the state of a Deployment's rollout.
pub(super) fn rollout(deployment: &DynamicObject, pods: &[DynamicObject]) -> Rollout {
    let number = |at: &str| deployment.data.pointer(at).and_then(Value::as_u64);
    let wanted = number("/spec/replicas").unwrap_or(1);
    let seen =
        deployment.data["status"]["observedGeneration"].as_i64() >= deployment.metadata.generation;
    let updated = number("/status/updatedReplicas").unwrap_or_default();
    let available = number("/status/availableReplicas").unwrap_or_default();
    let all = number("/status/replicas").unwrap_or(updated);
    if let Some(trouble) = trouble(deployment, pods) {
        let serving = number("/status/readyReplicas").unwrap_or_default();
        return Rollout::Stuck { trouble, serving };
    }
    let what = if !seen {
        "the Deployment's controller has not seen the change yet".to_owned()
    } else if wanted == 0 {
        "the Deployment is scaled to 0 replicas; to start them, run nadmit install --replicas 2"
            .to_owned()
    } else if updated < wanted {
        format!("{updated} of {wanted} replicas are updated")
    } else if all > updated {
        let old = all - updated;
        format!("{old} old replicas have not terminated yet")
    } else if available < wanted {
        format!("{available} of {wanted} replicas are ready")
    } else {
        return Rollout::Complete;
    };
    Rollout::UnderWay {
        what: match scheduling_problem(pods) {
            Some(why) => format!("{what}; {why}"),
            None => what,
        },
    }
}

/// Returns the reason that pods of the Deployment's newest version do not start, if any.
pub(super) fn trouble(deployment: &DynamicObject, pods: &[DynamicObject]) -> Option<Trouble> {
    let image = deployment
        .data
        .pointer("/spec/template/spec/containers/0/image")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let new = pods.iter().filter(|pod| {
        let own = pod.data.pointer("/spec/containers/0/image");
        pod.metadata.deletion_timestamp.is_none() && own.and_then(Value::as_str) == Some(image)
    });
    let of_pod = new.filter_map(|pod| {
        let states = pod.data["status"]["containerStatuses"].as_array()?;
        states.iter().find_map(|state| {
            let waiting = &state["state"]["waiting"];
            let reason = waiting["reason"].as_str()?;
            STUCK_REASONS.contains(&reason).then(|| Trouble {
                object: format!(
                    "Pod {NAMESPACE}/{}",
                    pod.metadata.name.as_deref().unwrap_or("")
                ),
                image: image.to_owned(),
                reason: reason.to_owned(),
                message: message(state),
            })
        })
    });
    of_pod
        .min_by(|one, other| one.object.cmp(&other.object))
        .or_else(|| {
            let conditions = deployment.data["status"]["conditions"].as_array()?;
            let failed = conditions
                .iter()
                .find(|one| one["type"] == "ReplicaFailure" && one["status"] == "True")?;
            Some(Trouble {
                object: format!("Deployment {NAMESPACE}/nadmit"),
                image: image.to_owned(),
                reason: text(&failed["reason"]),
                message: text(&failed["message"]),
            })
        })
}

/// Returns the message of a waiting container, with the cause of its last exit.
fn message(state: &Value) -> String {
    let waits = text(&state["state"]["waiting"]["message"]);
    let last = &state["lastState"]["terminated"];
    match last["exitCode"].as_i64() {
        None => waits,
        Some(code) => {
            let message = text(&last["message"]);
            let message = if message.is_empty() {
                text(&last["reason"])
            } else {
                message
            };
            format!("{waits}; its last exit code is {code} ({message})")
        }
    }
}

/// Returns the reason that a pod is not scheduled, if any.
fn scheduling_problem(pods: &[DynamicObject]) -> Option<String> {
    pods.iter().find_map(|pod| {
        let conditions = pod.data["status"]["conditions"].as_array()?;
        let scheduled = conditions
            .iter()
            .find(|one| one["type"] == "PodScheduled")?;
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        (scheduled["status"] == "False").then(|| {
            format!(
                "Pod {NAMESPACE}/{name} has no node: {}",
                text(&scheduled["message"])
            )
        })
    })
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: Value) -> DynamicObject {
        serde_json::from_value(value).expect("an object")
    }

    fn deployment(status: Value) -> DynamicObject {
        object(json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "nadmit", "namespace": "nadmit", "generation": 2},
            "spec": {"replicas": 2, "template": {"spec": {"containers": [{"image": "new"}]}}},
            "status": status,
        }))
    }

    fn pod(image: &str, state: Value) -> DynamicObject {
        object(json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "nadmit-1", "namespace": "nadmit"},
            "spec": {"containers": [{"image": image}]}, "status": {"containerStatuses": [state]},
        }))
    }

    #[test]
    fn a_rollout_is_complete_as_kubectl_says_it() {
        for (status, expected) in [
            (json!({"observedGeneration": 1}), "has not seen the change"),
            (
                json!({"observedGeneration": 2, "updatedReplicas": 1, "availableReplicas": 2, "replicas": 3}),
                "1 of 2 replicas are updated",
            ),
            (
                json!({"observedGeneration": 2, "updatedReplicas": 2, "availableReplicas": 2, "replicas": 3}),
                "1 old replicas have not terminated",
            ),
            (
                json!({"observedGeneration": 2, "updatedReplicas": 2, "availableReplicas": 1, "replicas": 2}),
                "1 of 2 replicas are ready",
            ),
        ] {
            let Rollout::UnderWay { what } = rollout(&deployment(status.clone()), &[]) else {
                panic!("{status}");
            };
            assert!(what.contains(expected), "{what}");
        }
        let complete = json!({
            "observedGeneration": 2, "updatedReplicas": 2, "availableReplicas": 2, "replicas": 2,
        });
        assert_eq!(rollout(&deployment(complete), &[]), Rollout::Complete);
    }

    #[test]
    fn the_reason_a_new_pod_does_not_start_is_named() {
        let status = json!({"observedGeneration": 2, "updatedReplicas": 1, "readyReplicas": 2});
        let pulling = |reason: &str| json!({"state": {"waiting": {"reason": reason, "message": "Back-off pulling image \"new\""}}});
        let Rollout::Stuck { trouble, serving } = rollout(
            &deployment(status.clone()),
            &[pod("new", pulling("ImagePullBackOff"))],
        ) else {
            panic!("not stuck");
        };
        assert_eq!(serving, 2);
        assert_eq!(
            trouble.to_string(),
            "Pod nadmit/nadmit-1 with image new: ImagePullBackOff: Back-off pulling image \"new\""
        );
        // A pod that is being created, and one of the old version.
        for pod in [
            pod("new", pulling("ContainerCreating")),
            pod("old", pulling("ImagePullBackOff")),
        ] {
            let found = rollout(&deployment(status.clone()), &[pod]);
            assert!(matches!(found, Rollout::UnderWay { .. }), "{found:?}");
        }
    }

    #[test]
    fn a_container_exit_is_described() {
        let state = json!({
            "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}},
            "lastState": {"terminated": {"exitCode": 1, "reason": "Error"}},
        });
        let found = trouble(&deployment(json!({})), &[pod("new", state)]).expect("trouble");
        assert_eq!(
            found.message,
            "back-off 10s; its last exit code is 1 (Error)"
        );
    }

    #[test]
    fn pods_that_cannot_be_created_are_a_problem_of_the_deployment() {
        let status = json!({"conditions": [{
            "type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "exceeded quota",
        }]});
        let found = trouble(&deployment(status), &[]).expect("trouble");
        assert_eq!(
            found.to_string(),
            "Deployment nadmit/nadmit with image new: FailedCreate: exceeded quota"
        );
    }
}
