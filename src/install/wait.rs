//! Waits for objects to become ready or to be deleted.

use std::time::Duration;

use kube::{Client, api::DynamicObject};
use serde_json::Value;
use thiserror::Error;
use tokio::time::{Instant, sleep};

use super::{
    InstallError, NAME, NAMESPACE, object,
    replicas::with_timeout,
    rollout::{Rollout, pods, rollout},
};

/// Polling interval.
const POLL_INTERVAL: Duration = Duration::from_millis(500);
/// Time for which a pod may fail to start before that counts: an image may become available late.
const STUCK_GRACE: Duration = Duration::from_secs(10);

/// The reason why an object is not in the expected state yet.
#[derive(Debug, Error)]
enum Unmet {
    #[error("it does not exist")]
    Absent,
    #[error("its condition Established is not True")]
    NotEstablished,
    #[error("{0} of its webhooks have no caBundle")]
    NoCaBundle(usize),
}

/// Waits until a definition's kind is served.
pub(super) async fn established(
    client: &Client,
    definition: &Value,
    timeout: Duration,
) -> Result<(), InstallError> {
    let what = format!("{} is not served", object::display_name(definition));
    let is_served = |found: &DynamicObject| match has_condition(found, "Established") {
        true => Ok(()),
        false => Err(Unmet::NotEstablished),
    };
    let help = "see kubectl describe crds";
    until(client, definition, timeout, what, help, is_served).await
}

/// Waits until all replicas of the new version are ready, or the rollout is stuck.
pub(super) async fn available(
    client: &Client,
    timeout: Duration,
    is_registered: bool,
) -> Result<(), InstallError> {
    let (begun, mut stuck) = (Instant::now(), None::<Instant>);
    loop {
        let api = object::api_of(client, "apps/v1", "Deployment", Some(NAMESPACE));
        let found = with_timeout("read Deployment nadmit/nadmit", api.get(NAME)).await;
        let pods = pods(client).await;
        let last = match found.and_then(|found| Ok(rollout(&found, &pods?))) {
            Ok(Rollout::Complete) => return Ok(()),
            Ok(Rollout::UnderWay { what }) => {
                stuck = None;
                what
            }
            Ok(Rollout::Stuck { trouble, serving }) => {
                let since = *stuck.get_or_insert_with(Instant::now);
                if since.elapsed() >= STUCK_GRACE || begun.elapsed() >= timeout {
                    return Err(InstallError::Rollout {
                        trouble: Box::new(trouble),
                        serving: serving_state(serving, is_registered),
                    });
                }
                trouble.to_string()
            }
            Err(error) => error.to_string(),
        };
        if begun.elapsed() >= timeout {
            return Err(InstallError::Timeout {
                what: "the replicas are not ready".to_owned(),
                waited: timeout,
                last,
                help: if is_registered {
                    "see kubectl get pods -n nadmit, and the log of one: kubectl logs -n nadmit deploy/nadmit"
                } else {
                    "see kubectl get pods -n nadmit, and the log of one: kubectl logs -n nadmit deploy/nadmit; no \
                     webhook is registered before they are ready, so no request waits for nadmit"
                },
            });
        }
        sleep(POLL_INTERVAL).await;
    }
}

/// Describes which replicas serve while the new version does not.
fn serving_state(serving: u64, is_registered: bool) -> String {
    match (serving, is_registered) {
        (0, false) => "no webhook is registered, so no request waits for nadmit".to_owned(),
        (0, true) => "no replica is ready, see nadmit status".to_owned(),
        (serving, _) => format!("{serving} replicas of the previous version keep serving"),
    }
}

/// Waits until every webhook of a registration has a caBundle.
pub(super) async fn trusted(
    client: &Client,
    hooks: &Value,
    timeout: Duration,
) -> Result<(), InstallError> {
    let knows = |found: &DynamicObject| {
        let all = found.data["webhooks"].as_array().into_iter().flatten();
        let bare = all.filter(|hook| {
            hook["clientConfig"]["caBundle"]
                .as_str()
                .unwrap_or_default()
                .is_empty()
        });
        match bare.count() {
            0 => Ok(()),
            count => Err(Unmet::NoCaBundle(count)),
        }
    };
    let what = format!(
        "{} does not trust nadmit's certificate",
        object::display_name(hooks)
    );
    let help = "see the log of nadmit, or of the issuer of the certificate (cert-manager, OpenShift's service CA)";
    until(client, hooks, timeout, what, help, knows).await
}

/// Waits until an object is deleted.
pub(super) async fn gone(
    client: &Client,
    object: &Value,
    timeout: Duration,
) -> Result<(), InstallError> {
    let (api, end) = (object::api(client, object), Instant::now() + timeout);
    loop {
        let last = match object::get(&api, object::name(object)).await {
            Ok(None) => return Ok(()),
            Ok(Some(found)) => deletion_blockers(&found),
            Err(error) => InstallError::of("read it", &error).to_string(),
        };
        if Instant::now() >= end {
            return Err(InstallError::Timeout {
                what: format!("{} is not deleted", object::display_name(object)),
                waited: timeout,
                last,
                help: "remove what blocks the deletion, then run the command again",
            });
        }
        sleep(POLL_INTERVAL).await;
    }
}

/// Describes what blocks the deletion of an object, from its conditions and finalizers.
fn deletion_blockers(found: &DynamicObject) -> String {
    let conditions = found.data["status"]["conditions"].as_array();
    let conditions = conditions.into_iter().flatten();
    let messages: Vec<&str> = conditions
        .filter(|one| one["status"] == "True")
        .filter(|one| {
            let kind = one["type"].as_str().unwrap_or_default();
            kind.starts_with("Namespace") || kind == "Terminating"
        })
        .filter_map(|one| one["message"].as_str())
        .collect();
    match (messages.is_empty(), &found.metadata.finalizers) {
        (false, _) => messages.join("; "),
        (true, Some(finalizers)) => format!("its finalizers are {}", finalizers.join(", ")),
        (true, None) => "it is being deleted".to_owned(),
    }
}

async fn until(
    client: &Client,
    wanted: &Value,
    timeout: Duration,
    what: String,
    help: &'static str,
    holds: impl Fn(&DynamicObject) -> Result<(), Unmet>,
) -> Result<(), InstallError> {
    let (api, end) = (object::api(client, wanted), Instant::now() + timeout);
    loop {
        let found = api.get_opt(object::name(wanted)).await;
        let last = match found {
            Ok(Some(found)) => match holds(&found) {
                Ok(()) => return Ok(()),
                Err(unmet) => unmet.to_string(),
            },
            Ok(None) => Unmet::Absent.to_string(),
            Err(error) => InstallError::of("read it", &error).to_string(),
        };
        if Instant::now() >= end {
            return Err(InstallError::Timeout {
                what,
                waited: timeout,
                last,
                help,
            });
        }
        sleep(POLL_INTERVAL).await;
    }
}

fn has_condition(found: &DynamicObject, kind: &str) -> bool {
    let conditions = found.data["status"]["conditions"].as_array();
    let mut conditions = conditions.into_iter().flatten();
    conditions.any(|one| one["type"] == kind && one["status"] == "True")
}
