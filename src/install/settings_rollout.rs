//! Whether the replicas go by the settings in the ConfigMap.
//!
//! The kubelet brings a changed ConfigMap into a pod when it next looks at the pod, which may be a minute
//! later. A change of the pod's annotations has it look at once. What counts is what the replicas say: each
//! shows the digest of the settings that it goes by.

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

/// How often the replicas are asked.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// The annotation on nadmit's own pods by which the kubelet looks at them.
const SETTINGS_ANNOTATION: &str = "nadmit.io/settings";

/// How far the settings are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum SettingsRollout {
    /// Every replica goes by them: so many.
    Complete(usize),
    /// A replica cannot be asked, or does not say it.
    NotKnown(String),
}

/// What the answers of all replicas come to.
#[derive(Debug, PartialEq, Eq)]
enum RolloutReport {
    /// All go by the settings.
    All(usize),
    /// This pod goes by others yet.
    Behind(String),
    /// This is why it is not known.
    NotKnown(String),
}

/// Has the replicas take the settings up, and waits until they say so.
///
/// # Errors
/// When one of them says until the end that it goes by others.
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
            // A replica may be ending just now.
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
                what: format!("Pod {NAMESPACE}/{pod} does not go by the settings"),
                seconds: timeout.as_secs(),
                last: "it says that it goes by those from before".to_owned(),
                help: "see its log, which names mistakes in them: kubectl logs -n nadmit deploy/nadmit",
            });
        }
        sleep(POLL_INTERVAL).await;
    }
}

fn summarize(said: &[ReplicaReport], wanted: &str) -> RolloutReport {
    let mut behind = None;
    for one in said {
        match &one.counters {
            Err(error) => return RolloutReport::NotKnown(error.to_string()),
            Ok(counters) => match &counters.settings {
                None => {
                    let why = format!("Pod {NAMESPACE}/{} is of an older release", one.pod);
                    return RolloutReport::NotKnown(why);
                }
                Some(settings) if settings == wanted => {}
                Some(_) => behind = behind.or(Some(one.pod.clone())),
            },
        }
    }
    match behind {
        Some(pod) => RolloutReport::Behind(pod),
        None if said.is_empty() => RolloutReport::NotKnown("no pod of nadmit runs".to_owned()),
        None => RolloutReport::All(said.len()),
    }
}

/// Has the kubelet look at the pods. Without that it looks at them later.
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

    fn said(pod: &str, settings: Option<&str>) -> ReplicaReport {
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
                seconds: 5,
            }),
        }
    }

    #[test]
    fn only_what_all_replicas_say_is_known() {
        for (all, expected) in [
            (
                vec![said("a", Some("x")), said("b", Some("x"))],
                RolloutReport::All(2),
            ),
            (
                vec![said("a", Some("x")), said("b", Some("y"))],
                RolloutReport::Behind("b".to_owned()),
            ),
            (
                vec![],
                RolloutReport::NotKnown("no pod of nadmit runs".to_owned()),
            ),
            (
                vec![said("a", None)],
                RolloutReport::NotKnown("Pod nadmit/a is of an older release".to_owned()),
            ),
            (
                vec![said("a", Some("y")), silent("b")],
                RolloutReport::NotKnown("cannot read it: no answer within 5 s".to_owned()),
            ),
        ] {
            assert_eq!(summarize(&all, "x"), expected);
        }
    }
}
