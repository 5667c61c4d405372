//! Waits until the replicas use the settings in the ConfigMap.
//!
//! The kubelet updates a mounted ConfigMap when it next syncs the pod, which may be a minute later. A
//! change of the pod's annotations triggers a sync at once. The proof is what the replicas report: each
//! exposes the digest of the settings that it uses.

use std::time::Duration;

use kube::{
    Client, ResourceExt as _,
    api::{DynamicObject, Patch, PatchParams},
};
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::{
    InstallError, NAMESPACE, object,
    replicas::{ReplicaReport, scrape_all, with_timeout},
    rollout::pods,
};
use crate::config::digest;

/// Interval at which the replicas are queried.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// Annotation on nadmit's pods whose change triggers a sync by the kubelet.
const SETTINGS_ANNOTATION: &str = "nadmit.io/settings";

/// Outcome of waiting for the settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum SettingsRollout {
    /// All replicas use the settings; has their number.
    Complete(usize),
    /// A replica cannot be queried, or does not report its settings; has the reason.
    NotKnown(String),
}

/// Summary of the reports of all replicas.
#[derive(Debug, PartialEq, Eq)]
enum RolloutReport {
    /// All replicas use the settings.
    All(usize),
    /// This pod still uses other settings.
    Behind(String),
    /// The state is unknown, for this reason.
    NotKnown(String),
}

/// Triggers a reload in the replicas, and waits until they report the settings.
///
/// # Errors
/// When a replica still reports other settings after the timeout.
pub(super) async fn await_settings(
    client: &Client,
    settings: &str,
    timeout: Duration,
) -> Result<SettingsRollout, InstallError> {
    let wanted = digest(settings);
    let end = Instant::now() + timeout;
    let mut is_touched = false;
    loop {
        let pods = pods(client).await?;
        let behind = match summarize(&scrape_all(client, &pods).await, &wanted) {
            RolloutReport::All(count) => return Ok(SettingsRollout::Complete(count)),
            // A replica may be terminating.
            RolloutReport::NotKnown(why) if is_touched || Instant::now() >= end => {
                return Ok(SettingsRollout::NotKnown(why));
            }
            RolloutReport::NotKnown(_) => None,
            RolloutReport::Behind(pod) => Some(pod),
        };
        if !is_touched {
            touch(client, &pods, &wanted).await;
            is_touched = true;
        }
        if let Some(pod) = behind
            && Instant::now() >= end
        {
            return Err(InstallError::Timeout {
                what: format!("Pod {NAMESPACE}/{pod} does not use the settings"),
                waited: timeout,
                last: "it reports the previous settings".to_owned(),
                help: "its log names errors in the settings: kubectl logs -n nadmit deploy/nadmit",
            });
        }
        sleep(POLL_INTERVAL).await;
    }
}

fn summarize(reports: &[ReplicaReport], wanted: &str) -> RolloutReport {
    let mut behind = None;
    for one in reports {
        match &one.counters {
            Err(error) => return RolloutReport::NotKnown(error.to_string()),
            Ok(counters) => match &counters.settings {
                None => {
                    let why = format!("Pod {NAMESPACE}/{} runs an older release", one.pod);
                    return RolloutReport::NotKnown(why);
                }
                Some(settings) if settings == wanted => {}
                Some(_) => behind = behind.or(Some(one.pod.clone())),
            },
        }
    }
    match behind {
        Some(pod) => RolloutReport::Behind(pod),
        None if reports.is_empty() => {
            RolloutReport::NotKnown("no pod of nadmit is running".to_owned())
        }
        None => RolloutReport::All(reports.len()),
    }
}

/// Triggers a sync of the pods by the kubelet, which otherwise comes later.
async fn touch(client: &Client, pods: &[DynamicObject], wanted: &str) {
    let api = object::api_of(client, "v1", "Pod", Some(NAMESPACE));
    let patch = Patch::Merge(json!({"metadata": {"annotations": {SETTINGS_ANNOTATION: wanted}}}));
    for pod in pods {
        let (name, parameters) = (pod.name_any(), PatchParams::default());
        let patched = api.patch(&name, &parameters, &patch);
        let _ = with_timeout("touch a pod", patched).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::install::replicas::ReplicaCounters;

    fn report(pod: &str, settings: Option<&str>) -> ReplicaReport {
        ReplicaReport {
            pod: pod.to_owned(),
            counters: Ok(ReplicaCounters {
                settings: settings.map(str::to_owned),
                ..ReplicaCounters::default()
            }),
        }
    }

    fn silent(pod: &str) -> ReplicaReport {
        ReplicaReport {
            pod: pod.to_owned(),
            counters: Err(InstallError::NoAnswer {
                what: "read it".to_owned(),
                waited: Duration::from_secs(5),
            }),
        }
    }

    #[test]
    fn only_what_all_replicas_say_is_known() {
        for (all, expected) in [
            (
                vec![report("a", Some("x")), report("b", Some("x"))],
                RolloutReport::All(2),
            ),
            (
                vec![report("a", Some("x")), report("b", Some("y"))],
                RolloutReport::Behind("b".to_owned()),
            ),
            (
                vec![],
                RolloutReport::NotKnown("no pod of nadmit is running".to_owned()),
            ),
            (
                vec![report("a", None)],
                RolloutReport::NotKnown("Pod nadmit/a runs an older release".to_owned()),
            ),
            (
                vec![report("a", Some("y")), silent("b")],
                RolloutReport::NotKnown("cannot read it: no response within 5 s".to_owned()),
            ),
        ] {
            assert_eq!(summarize(&all, "x"), expected);
        }
    }
}
