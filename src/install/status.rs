//! How an installation is doing: what an administrator asks first.

use std::collections::BTreeMap;

use http::Request;
use jiff::Timestamp;
use kube::{
    Client, ResourceExt as _,
    api::{DynamicObject, ListParams},
};
use serde::Serialize;
use serde_json::{Value, json};

use super::{CONFIG, InstallError, NAME, NAMESPACE, SETTINGS, object};
use crate::config::Config;

/// Where a replica's metrics are.
const METRICS_PORT: u16 = 8081;
/// The Lease's annotation that holds the last full comparison.
const COMPARED: &str = "nadmit.io/full-comparison";

/// An installation. What could not be read is absent, and said in `unknown`.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// The Deployment; absent if nadmit is not installed.
    pub replicas: Option<Replicas>,
    /// The mode in the settings.
    pub mode: Option<String>,
    /// The certificate that the replicas show.
    pub certificate: Option<Trust>,
    /// The registrations, by kind.
    pub webhooks: Vec<Hooks>,
    /// Mutating webhooks of others that see pods after nadmit.
    pub after: Vec<Neighbour>,
    /// The full comparison.
    pub schedule: Option<Schedule>,
    /// The address pools.
    pub pools: Vec<Pool>,
    /// What would have been denied, but for the mode, since the replicas started: by rule.
    pub would_deny: BTreeMap<String, u64>,
    /// What could not be read, and why.
    pub unknown: Vec<String>,
}

/// The Deployment's replicas.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Replicas {
    /// How many there should be.
    pub wanted: u64,
    /// How many are ready.
    pub ready: u64,
    /// Their image.
    pub image: String,
}

/// The certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Trust {
    /// When the first of those that are shown expires.
    pub expires: Timestamp,
}

/// A webhook configuration of nadmit's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Hooks {
    /// Its kind.
    pub kind: String,
    /// Its webhooks, each with its failurePolicy.
    pub hooks: Vec<(String, String)>,
    /// Those that trust nobody: the API server cannot call them.
    pub without_ca: Vec<String>,
}

/// A mutating webhook of somebody else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Neighbour {
    /// Its configuration.
    pub configuration: String,
    /// Its name.
    pub name: String,
}

/// The full comparison.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Schedule {
    /// When it runs.
    pub expression: Option<String>,
    /// What is written of the last run.
    pub last: Option<Value>,
}

/// An address pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pool {
    /// Its name.
    pub name: String,
    /// Whether it gives addresses; else why not.
    pub ready: Result<(), String>,
    /// How many addresses are free, as counted last.
    pub free: Option<Value>,
    /// How many are allocated.
    pub allocated: Option<Value>,
}

/// Asks the cluster; `installed` is false nowhere: what is not there is absent.
///
/// # Errors
/// When the API server does not answer at all.
pub async fn status(client: &Client) -> Result<Status, InstallError> {
    let mut status = Status::default();
    let version = client.apiserver_version().await;
    version.map_err(|error| InstallError::of("ask the API server for its version", &error))?;
    status.replicas = read(client, "apps/v1", "Deployment", NAME, &mut status.unknown)
        .await
        .map(|found| replicas(&found));
    let config = read(client, "v1", "ConfigMap", CONFIG, &mut status.unknown).await;
    let config = config.as_ref().map(|found| &found.data["data"]);
    status.mode = config.and_then(|data| mode(data[SETTINGS].as_str().unwrap_or_default()));
    let expression = config.and_then(|data| data["reconciler_cron_expression"].as_str());
    let expression = expression.map(str::to_owned);
    let lease = read(
        client,
        "coordination.k8s.io/v1",
        "Lease",
        NAME,
        &mut status.unknown,
    )
    .await;
    let last =
        lease.and_then(|lease| serde_json::from_str(lease.annotations().get(COMPARED)?).ok());
    status.schedule =
        (expression.is_some() || last.is_some()).then_some(Schedule { expression, last });
    registrations(client, &mut status).await;
    pools(client, &mut status).await;
    metrics(client, &mut status).await;
    Ok(status)
}

async fn read(
    client: &Client,
    version: &str,
    kind: &str,
    name: &str,
    unknown: &mut Vec<String>,
) -> Option<DynamicObject> {
    let namespace = (!kind.ends_with("WebhookConfiguration")).then_some(NAMESPACE);
    match object::api_of(client, version, kind, namespace)
        .get_opt(name)
        .await
    {
        Ok(found) => found,
        Err(error) => {
            unknown.push(InstallError::of(format!("read {kind} {name}"), &error).to_string());
            None
        }
    }
}

fn replicas(found: &DynamicObject) -> Replicas {
    let number = |at: &str| {
        found
            .data
            .pointer(at)
            .and_then(Value::as_u64)
            .unwrap_or_default()
    };
    let image = found.data.pointer("/spec/template/spec/containers/0/image");
    Replicas {
        wanted: number("/spec/replicas"),
        ready: number("/status/readyReplicas"),
        image: image.and_then(Value::as_str).unwrap_or_default().to_owned(),
    }
}

fn mode(text: &str) -> Option<String> {
    let config = Config::parse(text, SETTINGS).ok()?;
    Some(config.policy.mode.name().to_owned())
}

async fn registrations(client: &Client, status: &mut Status) {
    const VERSION: &str = "admissionregistration.k8s.io/v1";
    for kind in [
        "MutatingWebhookConfiguration",
        "ValidatingWebhookConfiguration",
    ] {
        let found = read(client, VERSION, kind, NAME, &mut status.unknown).await;
        if let Some(found) = found {
            status.webhooks.push(hooks(kind, &found));
        }
    }
    let api = object::api_of(client, VERSION, "MutatingWebhookConfiguration", None);
    match api.list(&ListParams::default()).await {
        // API servers call them in the order of their configurations' names.
        Ok(all) => {
            let behind = all.into_iter().filter(|one| one.name_any().as_str() > NAME);
            status.after = behind.flat_map(|one| of_pods(&one)).collect();
        }
        Err(error) => {
            let error = InstallError::of("list the webhooks of others", &error);
            status.unknown.push(error.to_string());
        }
    }
}

fn all_hooks(found: &DynamicObject) -> impl Iterator<Item = &Value> {
    found.data["webhooks"].as_array().into_iter().flatten()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn hooks(kind: &str, found: &DynamicObject) -> Hooks {
    let bare = |hook: &&Value| text(&hook["clientConfig"]["caBundle"]).is_empty();
    Hooks {
        kind: kind.to_owned(),
        hooks: all_hooks(found)
            .map(|hook| (text(&hook["name"]), text(&hook["failurePolicy"])))
            .collect(),
        without_ca: all_hooks(found)
            .filter(bare)
            .map(|hook| text(&hook["name"]))
            .collect(),
    }
}

/// Those webhooks of a configuration that may change pods when they are made.
fn of_pods(found: &DynamicObject) -> Vec<Neighbour> {
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
    let neighbour = |hook: &Value| Neighbour {
        configuration: found.name_any(),
        name: text(&hook["name"]),
    };
    seen.map(neighbour).collect()
}

async fn pools(client: &Client, status: &mut Status) {
    let api = object::api_of(client, "nadmit.io/v1alpha1", "AddressPool", None);
    match api.list(&ListParams::default()).await {
        Ok(found) => status.pools = found.into_iter().map(|one| pool(&one)).collect(),
        // Without the kind there are no pools.
        Err(kube::Error::Api(error)) if error.code == 404 => {}
        Err(error) => {
            let error = InstallError::of("list the address pools", &error);
            status.unknown.push(error.to_string());
        }
    }
}

fn pool(found: &DynamicObject) -> Pool {
    let of_status = &found.data["status"];
    let mut conditions = of_status["conditions"].as_array().into_iter().flatten();
    let ready = match conditions.find(|one| one["type"] == "Ready") {
        Some(ready) if ready["status"] == "True" => Ok(()),
        Some(ready) => Err(format!(
            "{}: {}",
            text(&ready["reason"]),
            text(&ready["message"])
        )),
        None => Err("no replica has looked at it yet".to_owned()),
    };
    let member = |name: &str| of_status.get(name).cloned();
    Pool {
        name: found.name_any(),
        ready,
        free: member("free"),
        allocated: member("allocated"),
    }
}

/// What the replicas count, read through the API server.
async fn metrics(client: &Client, status: &mut Status) {
    let pods = object::api_of(client, "v1", "Pod", Some(NAMESPACE));
    let ours = ListParams::default().labels("app.kubernetes.io/name=nadmit");
    let pods = match pods.list(&ours).await {
        Ok(pods) => pods,
        Err(error) => {
            let error = InstallError::of("list nadmit's pods", &error);
            return status.unknown.push(error.to_string());
        }
    };
    for pod in pods
        .items
        .iter()
        .filter(|pod| pod.data["status"]["phase"] == json!("Running"))
    {
        match scrape(client, &pod.name_any()).await {
            Ok(text) => count(&text, status),
            Err(error) => status.unknown.push(error.to_string()),
        }
    }
}

async fn scrape(client: &Client, pod: &str) -> Result<String, InstallError> {
    let what = format!("read the metrics of Pod {NAMESPACE}/{pod} (get of pods/proxy)");
    let path =
        format!("/api/v1/namespaces/{NAMESPACE}/pods/http:{pod}:{METRICS_PORT}/proxy/metrics");
    let request = Request::get(path).body(Vec::new());
    let request =
        request.map_err(|error| InstallError::of(&*what, &kube::Error::HttpError(error)))?;
    let text = client.request_text(request).await;
    text.map_err(|error| InstallError::of(what, &error))
}

fn count(metrics: &str, status: &mut Status) {
    for line in metrics.lines() {
        let Some((name, value)) = line.rsplit_once(' ') else {
            continue;
        };
        let Ok(value) = value.parse::<f64>() else {
            continue;
        };
        if let Some(code) = name.strip_prefix("nadmit_would_deny_total{code=\"") {
            let code = code.trim_end_matches("\"}");
            // Counters are whole numbers.
            *status.would_deny.entry(code.to_owned()).or_default() += value as u64;
        } else if name == "nadmit_certificate_expiry_timestamp_seconds"
            && let Ok(expires) = Timestamp::from_second(value as i64)
        {
            let first = status
                .certificate
                .as_ref()
                .map_or(expires, |one| one.expires.min(expires));
            status.certificate = Some(Trust { expires: first });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replicas_are_counted_together() {
        let mut status = Status::default();
        count(
            "nadmit_would_deny_total{code=\"unknown-network\"} 3\n# EOF\n",
            &mut status,
        );
        count(
            "nadmit_would_deny_total{code=\"unknown-network\"} 2\n\
             nadmit_certificate_expiry_timestamp_seconds 1800000000\n",
            &mut status,
        );
        count(
            "nadmit_certificate_expiry_timestamp_seconds 1700000000\n",
            &mut status,
        );
        assert_eq!(status.would_deny.get("unknown-network"), Some(&5));
        let expires = status.certificate.map(|one| one.expires.as_second());
        assert_eq!(expires, Some(1_700_000_000));
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
        let names: Vec<String> = of_pods(&found).into_iter().map(|one| one.name).collect();
        assert_eq!(names, ["a.example", "c.example"]);
    }
}
