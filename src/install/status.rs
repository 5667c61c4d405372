//! Status of an installation.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use jiff::Timestamp;
use kube::{
    Client, ResourceExt as _,
    api::{DynamicObject, ListParams},
};
use serde::{Serialize, Serializer};
use serde_json::Value;
use thiserror::Error;
use tokio::time::timeout;

use super::{
    CONFIG_MAP, InstallError, Isolation, IsolationUnknown, NAME, NAMESPACE, SETTINGS_KEY, Trouble,
    config_text::ConfigText,
    object,
    replicas::{CALL_TIMEOUT, ReplicaReport, scrape_all, with_timeout},
    rollout::{PODS, trouble},
    whereabouts::{IpPoolCrd, WhereaboutsStatus},
};
use crate::{
    config::{Config, digest},
    rules::Injection,
};

/// Annotation of the Lease with the last full resync.
const RESYNC_ANNOTATION: &str = "nadmit.io/full-comparison";

/// Status of an installation. Parts that could not be read are absent and listed in `unknown`.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InstallStatus {
    /// The Deployment; absent if nadmit is not installed.
    pub replicas: Option<ReplicaStatus>,
    /// Mode in the settings.
    pub mode: Option<String>,
    /// Pods that do not use the settings of the ConfigMap yet.
    pub behind: Vec<String>,
    /// Namespace isolation.
    pub isolation: Option<IsolationStatus>,
    /// Certificate that the replicas serve with.
    pub certificate: Option<CertificateStatus>,
    /// Webhook configurations, by kind.
    pub webhooks: Vec<WebhookStatus>,
    /// True if the settings inject at creation, and the webhook leaves out new pods that name no address.
    pub misses_new_pods: bool,
    /// Other mutating webhooks that are called for pods after nadmit.
    pub after: Vec<LaterWebhook>,
    /// The full resync.
    pub schedule: Option<ResyncStatus>,
    /// Address pools.
    pub pools: Vec<PoolStatus>,
    /// Whereabouts; absent if the cluster does not have it.
    pub whereabouts: Option<WhereaboutsStatus>,
    /// Would-be denials in warn mode since the replicas started, by rule.
    pub would_deny: BTreeMap<String, u64>,
    /// Errors of reading.
    pub unknown: Vec<String>,
}

/// The match condition by which `/mutate` sees only those new pods that name an address.
const NAMES_ADDRESSES: &str = "names-addresses";

/// Status of the Deployment's replicas.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReplicaStatus {
    /// Desired number of replicas.
    pub wanted: u64,
    /// Number of ready replicas.
    pub ready: u64,
    /// Image of the replicas.
    pub image: String,
    /// Reason that replicas of the newest version do not start.
    pub trouble: Option<Trouble>,
}

/// `namespaceIsolation`, in nadmit's settings and in Multus's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct IsolationStatus {
    /// Value in the ConfigMap. If absent, networks of other namespaces are only warned about.
    pub set: Option<bool>,
    /// True if the value was read from Multus and is updated by the next installation.
    pub follows_multus: bool,
    /// Multus's own value, or the reason that it is unknown.
    pub multus: Result<bool, IsolationUnknown>,
    /// Name of the object with Multus's own value.
    pub source: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CertificateStatus {
    /// Earliest expiry among the replicas.
    pub expires: Timestamp,
}

/// A webhook configuration of nadmit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WebhookStatus {
    /// Kind of the configuration.
    pub kind: String,
    /// Names of its webhooks, each with its failurePolicy.
    pub hooks: Vec<(String, String)>,
    /// Names of webhooks without a caBundle, which the API server cannot call.
    pub without_ca: Vec<String>,
    /// True if new pods are sent only if they name an address.
    #[serde(skip)]
    leaves_out_pods: bool,
}

/// A mutating webhook that does not belong to nadmit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LaterWebhook {
    /// Name of its configuration.
    pub configuration: String,
    pub name: String,
}

/// The full resync.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ResyncStatus {
    /// Cron expression of its schedule.
    pub expression: Option<String>,
    /// Recorded result of the last run.
    pub last: Option<Value>,
}

/// Status of an address pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PoolStatus {
    pub name: String,
    /// Readiness: `Ok` if the pool allocates addresses, or the reason that it does not.
    pub ready: Result<(), PoolNotReady>,
    /// Ranges, joined by commas, as are the numbers.
    pub ranges: Option<Value>,
    /// Number of free addresses at the last count.
    pub free: Option<Value>,
    /// Number of allocated addresses.
    pub allocated: Option<Value>,
}

/// The reason why a pool allocates no addresses.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PoolNotReady {
    /// The condition `Ready` is not true.
    #[error("{reason}: {message}")]
    Condition {
        /// Reason of the condition.
        reason: String,
        /// Message of the condition.
        message: String,
    },
    /// There is no condition `Ready`.
    #[error("no replica has checked it yet")]
    New,
}

/// The reason as text.
impl Serialize for PoolNotReady {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Reads the status of an installation, concurrently and with a time limit per call.
///
/// # Errors
/// When the API server does not respond.
pub async fn status(client: &Client) -> Result<InstallStatus, InstallError> {
    with_timeout(
        "read the version of the API server",
        client.apiserver_version(),
    )
    .await?;
    let (deployment, pods, config, lease, hooks, pools, multus, crd) = tokio::join!(
        read(client, "apps/v1", "Deployment"),
        pods_and_reports(client),
        read(client, "v1", "ConfigMap"),
        read(client, "coordination.k8s.io/v1", "Lease"),
        registrations(client),
        pools(client),
        multus(client),
        IpPoolCrd::read(client),
    );
    let mut status = InstallStatus::default();
    let (deployment, config) = (status.or_unknown(deployment), status.or_unknown(config));
    let (pods, reports) = status.or_unknown(pods).unwrap_or_default();
    status.replicas = deployment.flatten().map(|found| replicas(&found, &pods));
    let config = config.flatten();
    let config = config.as_ref().map(|found| &found.data["data"]);
    let text = config.map(|data| text(&data[SETTINGS_KEY]));
    status.mode = text.as_deref().and_then(mode);
    status.isolation = text.as_ref().map(|text| isolation(text, multus));
    let lease = status.or_unknown(lease).flatten();
    let expression = config.and_then(|data| data["reconciler_cron_expression"].as_str());
    let expression = expression.map(str::to_owned);
    let last = lease
        .and_then(|lease| serde_json::from_str(lease.annotations().get(RESYNC_ANNOTATION)?).ok());
    status.schedule =
        (expression.is_some() || last.is_some()).then_some(ResyncStatus { expression, last });
    let Registrations { own, after } = hooks;
    status.webhooks = own
        .into_iter()
        .filter_map(|own| status.or_unknown(own)?)
        .collect();
    let injection = text.clone().and_then(|text| ConfigText(text).injection());
    status.misses_new_pods = injection == Some(Injection::Create)
        && status.webhooks.iter().any(|own| own.leaves_out_pods);
    status.after = status.or_unknown(after).unwrap_or_default();
    status.pools = status.or_unknown(pools).unwrap_or_default();
    let counters = reports
        .iter()
        .filter_map(|report| report.counters.as_ref().ok());
    let whereabouts = text.clone().and_then(|text| ConfigText(text).whereabouts());
    status.whereabouts = WhereaboutsStatus::of(counters, crd, whereabouts);
    status.add_reports(reports, text.as_deref());
    Ok(status)
}

/// nadmit's webhook configurations, and other webhooks that are called after them.
struct Registrations {
    own: Vec<Result<Option<WebhookStatus>, InstallError>>,
    after: Result<Vec<LaterWebhook>, InstallError>,
}

impl InstallStatus {
    /// Returns the value; records an error in `unknown`.
    fn or_unknown<T>(&mut self, read: Result<T, InstallError>) -> Option<T> {
        read.map_err(|error| self.unknown.push(error.to_string()))
            .ok()
    }

    /// Aggregates the reports of the replicas.
    fn add_reports(&mut self, reports: Vec<ReplicaReport>, settings: Option<&str>) {
        let wanted = settings.map(digest);
        for ReplicaReport { pod, counters } in reports {
            let Some(counters) = self.or_unknown(counters) else {
                continue;
            };
            for (code, count) in counters.would_deny {
                *self.would_deny.entry(code).or_default() += count;
            }
            if let Some(expires) = counters.expires {
                let first = self.certificate.as_ref();
                let first = first.map_or(expires, |one| one.expires.min(expires));
                self.certificate = Some(CertificateStatus { expires: first });
            }
            if counters.settings.is_some() && wanted.is_some() && counters.settings != wanted {
                self.behind.push(pod);
            }
        }
    }
}

/// Reads nadmit's object of a kind, if it exists.
async fn read(
    client: &Client,
    version: &str,
    kind: &str,
) -> Result<Option<DynamicObject>, InstallError> {
    let namespace = (!kind.ends_with("WebhookConfiguration")).then_some(NAMESPACE);
    let name = if kind == "ConfigMap" {
        CONFIG_MAP
    } else {
        NAME
    };
    let api = object::api_of(client, version, kind, namespace);
    with_timeout(format!("read {kind} {name}"), object::get(&api, name)).await
}

/// Lists nadmit's pods, and reads the metrics of the running ones.
async fn pods_and_reports(
    client: &Client,
) -> Result<(Vec<DynamicObject>, Vec<ReplicaReport>), InstallError> {
    let api = object::api_of(client, "v1", "Pod", Some(NAMESPACE));
    let ours = ListParams::default().labels(PODS);
    let pods = with_timeout("list nadmit's pods", api.list(&ours))
        .await?
        .items;
    let reports = scrape_all(client, &pods).await;
    Ok((pods, reports))
}

fn replicas(found: &DynamicObject, pods: &[DynamicObject]) -> ReplicaStatus {
    let number = |at: &str| {
        found
            .data
            .pointer(at)
            .and_then(Value::as_u64)
            .unwrap_or_default()
    };
    let image = found.data.pointer("/spec/template/spec/containers/0/image");
    ReplicaStatus {
        wanted: number("/spec/replicas"),
        ready: number("/status/readyReplicas"),
        image: image.and_then(Value::as_str).unwrap_or_default().to_owned(),
        trouble: trouble(found, pods),
    }
}

fn mode(text: &str) -> Option<String> {
    let config = Config::parse(text, SETTINGS_KEY).ok()?;
    Some(config.policy.mode.name().to_owned())
}

/// Reads Multus's own setting.
async fn multus(client: &Client) -> Result<Isolation, IsolationUnknown> {
    let read = timeout(CALL_TIMEOUT, Isolation::read(client)).await;
    read.unwrap_or(Err(IsolationUnknown::TimedOut(CALL_TIMEOUT)))
}

fn isolation(text: &str, multus: Result<Isolation, IsolationUnknown>) -> IsolationStatus {
    let text = ConfigText(text.to_owned());
    IsolationStatus {
        set: text.isolates(),
        follows_multus: text.follows_multus(),
        source: multus.as_ref().ok().map(|found| found.source.clone()),
        multus: multus.map(|found| found.isolates),
    }
}

async fn registrations(client: &Client) -> Registrations {
    const VERSION: &str = "admissionregistration.k8s.io/v1";
    let own = [
        "MutatingWebhookConfiguration",
        "ValidatingWebhookConfiguration",
    ]
    .map(async |kind| {
        let found = read(client, VERSION, kind).await?;
        Ok(found.map(|found| hooks(kind, &found)))
    });
    let others = async {
        let api = object::api_of(client, VERSION, "MutatingWebhookConfiguration", None);
        let all = ListParams::default();
        let all = with_timeout("list other webhooks", api.list(&all)).await?;
        // API servers call mutating webhooks in the order of their configurations' names.
        let behind = all.into_iter();
        let behind = behind.filter(|one| one.name_any().as_str() > NAME);
        Ok(behind.flat_map(|one| pod_webhooks(&one)).collect())
    };
    let (own, after) = tokio::join!(join_all(own), others);
    Registrations { own, after }
}

fn all_hooks(found: &DynamicObject) -> impl Iterator<Item = &Value> {
    found.data["webhooks"].as_array().into_iter().flatten()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn hooks(kind: &str, found: &DynamicObject) -> WebhookStatus {
    let bare = |hook: &&Value| text(&hook["clientConfig"]["caBundle"]).is_empty();
    WebhookStatus {
        kind: kind.to_owned(),
        hooks: all_hooks(found)
            .map(|hook| (text(&hook["name"]), text(&hook["failurePolicy"])))
            .collect(),
        without_ca: all_hooks(found)
            .filter(bare)
            .map(|hook| text(&hook["name"]))
            .collect(),
        leaves_out_pods: all_hooks(found).any(|hook| {
            let mut conditions = hook["matchConditions"].as_array().into_iter().flatten();
            conditions.any(|condition| condition["name"] == NAMES_ADDRESSES)
        }),
    }
}

/// Returns the webhooks of a configuration that may mutate pods on creation.
fn pod_webhooks(found: &DynamicObject) -> Vec<LaterWebhook> {
    let has = |list: &Value, any: &[&str]| {
        let mut list = list.as_array().into_iter().flatten();
        list.any(|one| one.as_str().is_some_and(|one| any.contains(&one)))
    };
    let sees_pods = |hook: &&Value| {
        let mut rules = hook["rules"].as_array().into_iter().flatten();
        rules.any(|rule| {
            has(&rule["apiGroups"], &["", "*"])
                && has(&rule["resources"], &["pods", "*", "*/*", "pods/*"])
                && has(&rule["operations"], &["CREATE", "*"])
        })
    };
    let seen = all_hooks(found).filter(sees_pods);
    let neighbour = |hook: &Value| LaterWebhook {
        configuration: found.name_any(),
        name: text(&hook["name"]),
    };
    seen.map(neighbour).collect()
}

async fn pools(client: &Client) -> Result<Vec<PoolStatus>, InstallError> {
    let api = object::api_of(client, "nadmit.io/v1alpha1", "AddressPool", None);
    let all = ListParams::default();
    match with_timeout("list the address pools", api.list(&all)).await {
        Ok(found) => Ok(found.into_iter().map(|one| pool(&one)).collect()),
        // A missing kind has no pools.
        Err(InstallError::Refused { code: 404, .. }) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn pool(found: &DynamicObject) -> PoolStatus {
    let of_status = &found.data["status"];
    let mut conditions = of_status["conditions"].as_array().into_iter().flatten();
    let ready = match conditions.find(|one| one["type"] == "Ready") {
        Some(ready) if ready["status"] == "True" => Ok(()),
        Some(ready) => Err(PoolNotReady::Condition {
            reason: text(&ready["reason"]),
            message: text(&ready["message"]),
        }),
        None => Err(PoolNotReady::New),
    };
    // Numbers by range, if the server writes them.
    let member = |name: &str| {
        let apart = of_status["columns"].get(name);
        let count = of_status.get(name).filter(|value| !value.is_array());
        apart.or(count).cloned()
    };
    PoolStatus {
        name: found.name_any(),
        ready,
        ranges: member("ranges"),
        free: member("free"),
        allocated: member("allocated"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::install::replicas::ReplicaCounters;

    #[test]
    fn replicas_are_counted_together() {
        let report = |pod: &str, counters: ReplicaCounters| ReplicaReport {
            pod: pod.to_owned(),
            counters: Ok(counters),
        };
        let counters = |count, expires, settings: &str| ReplicaCounters {
            would_deny: [("unknown-network".to_owned(), count)].into(),
            expires: Timestamp::from_second(expires).ok(),
            settings: Some(digest(settings)),
            ..ReplicaCounters::default()
        };
        let mut status = InstallStatus::default();
        let all = vec![
            report("a", counters(3, 1_800_000_000, "mode: deny\n")),
            report("b", counters(2, 1_700_000_000, "mode: warn\n")),
            ReplicaReport {
                pod: "c".to_owned(),
                counters: Err(InstallError::NoAnswer {
                    what: "read it".to_owned(),
                    waited: CALL_TIMEOUT,
                }),
            },
        ];
        status.add_reports(all, Some("mode: deny\n"));
        assert_eq!(status.would_deny.get("unknown-network"), Some(&5));
        let expires = status.certificate.map(|one| one.expires.as_second());
        assert_eq!(expires, Some(1_700_000_000));
        assert_eq!(status.behind, ["b"]);
        assert_eq!(status.unknown, ["cannot read it: no response within 5 s"]);
    }

    #[test]
    fn reasons_are_texts_in_json() {
        let ready: [Result<(), PoolNotReady>; 2] = [Ok(()), Err(PoolNotReady::New)];
        let multus: Result<bool, _> = Err(IsolationUnknown::TimedOut(CALL_TIMEOUT));
        assert_eq!(
            json!([ready, multus]),
            json!([
                [{"Ok": null}, {"Err": "no replica has checked it yet"}],
                {"Err": "no response within 5 s"},
            ])
        );
    }

    #[test]
    fn webhooks_of_others_that_see_pods_are_known() {
        let found: DynamicObject = serde_json::from_value(json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration",
            "metadata": {"name": "sidecars"},
            "webhooks": [
                {"name": "a.example", "rules": [{"apiGroups": [""], "resources": ["pods"], "operations": ["CREATE"]}]},
                {"name": "b.example", "rules": [{"apiGroups": ["apps"], "resources": ["*"], "operations": ["*"]}]},
                {"name": "c.example", "rules": [{"apiGroups": ["*"], "resources": ["*"], "operations": ["*"]}]},
            ],
        }))
        .expect("an object");
        let names: Vec<String> = pod_webhooks(&found)
            .into_iter()
            .map(|one| one.name)
            .collect();
        assert_eq!(names, ["a.example", "c.example"]);
    }
}
