//! The CAs that the API servers trust: the `caBundle` of nadmit's webhooks, and since when it contains
//! a CA.
//!
//! Only webhooks that point at nadmit are changed: at its Service, or at a URL with one of its names.
//! Other webhooks in the same configuration are left alone.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::make::bundle;
use nadmit_pki::Certificate;

/// The Service under which the API servers call nadmit.
#[derive(Debug, Clone)]
pub struct WebhookService {
    /// nadmit's namespace.
    pub namespace: String,
    /// The name of the Service in front of the replicas.
    pub service: String,
}

impl WebhookService {
    /// Returns every DNS name of the Service that a caller may use.
    pub fn names(&self) -> Vec<String> {
        let Self { namespace, service } = self;
        vec![
            service.clone(),
            format!("{service}.{namespace}"),
            format!("{service}.{namespace}.svc"),
            format!("{service}.{namespace}.svc.cluster.local"),
        ]
    }

    fn is_behind(&self, webhook: &Value) -> bool {
        let config = &webhook["clientConfig"];
        let service = &config["service"];
        if service.is_object() {
            return service["name"] == *self.service && service["namespace"] == *self.namespace;
        }
        let url = config["url"].as_str().unwrap_or_default();
        let uri = url.parse::<http::Uri>().ok();
        let host = uri.as_ref().and_then(http::Uri::host).unwrap_or_default();
        self.names().iter().any(|name| name == host)
    }

    /// Returns nadmit's webhooks in a configuration, with their indices.
    fn webhooks<'c>(&self, configuration: &'c Value) -> Vec<(usize, &'c Value)> {
        let all = configuration["webhooks"].as_array().into_iter().flatten();
        all.enumerate()
            .filter(|(_, webhook)| self.is_behind(webhook))
            .collect()
    }

    /// Returns the JSON patch that sets these CAs in each of nadmit's webhooks, valid for this version
    /// of the configuration only; `None` if all have them.
    pub(super) fn patch(
        &self,
        configuration: &Value,
        authorities: &[Certificate],
    ) -> Option<Value> {
        let text = STANDARD.encode(bundle(authorities));
        let outdated = self.webhooks(configuration).into_iter();
        let outdated = outdated.filter(|(_, webhook)| !is_same(webhook, authorities));
        let mut operations: Vec<Value> = outdated
            .map(|(at, _)| {
                let path = format!("/webhooks/{at}/clientConfig/caBundle");
                json!({"op": "add", "path": path, "value": text})
            })
            .collect();
        if operations.is_empty() {
            return None;
        }
        // A write in between makes the patch fail.
        let version = &configuration["metadata"]["resourceVersion"];
        let path = "/metadata/resourceVersion";
        operations.push(json!({"op": "replace", "path": path, "value": version}));
        Some(Value::from(operations))
    }
}

/// Returns the CAs of a webhook, and true if its `caBundle` contains nothing else.
fn trusted(webhook: &Value) -> (Vec<Certificate>, bool) {
    let text = webhook["clientConfig"]["caBundle"].as_str();
    let pem = STANDARD.decode(text.unwrap_or_default());
    Certificate::parse_pem(&pem.unwrap_or_default())
}

fn is_same(webhook: &Value, authorities: &[Certificate]) -> bool {
    let (found, clean) = trusted(webhook);
    let has = |one| found.contains(one);
    clean && found.len() == authorities.len() && authorities.iter().all(has)
}

/// The CAs trusted by the webhooks, as far as they could be read.
#[derive(Debug, Default)]
pub(super) struct TrustedBundles {
    /// The CAs of each of nadmit's webhooks.
    bundles: Vec<Vec<Certificate>>,
    /// True if a configuration could not be read.
    unknown: bool,
}

impl TrustedBundles {
    /// Adds the webhooks of a configuration. A configuration that does not exist makes no calls.
    pub(super) fn add(&mut self, configuration: &Value, service: &WebhookService) {
        let webhooks = service.webhooks(configuration);
        let bundles = webhooks.into_iter().map(|(_, webhook)| trusted(webhook).0);
        self.bundles.extend(bundles);
    }

    /// Notes that a configuration could not be read.
    pub(super) fn add_unknown(&mut self) {
        self.unknown = true;
    }

    /// Returns every CA of some webhook.
    pub(super) fn any(&self) -> Vec<Certificate> {
        let mut all: Vec<Certificate> = Vec::new();
        for one in self.bundles.iter().flatten() {
            if one.is_authority && !all.contains(one) {
                all.push(one.clone());
            }
        }
        all
    }

    fn all_have(&self, authority: &Certificate) -> bool {
        !self.unknown && self.bundles.iter().all(|bundle| bundle.contains(authority))
    }
}

/// Since when each CA has been trusted by all webhooks, as observed by this replica. It is lost on a
/// restart, which only delays a change of CAs.
#[derive(Debug)]
pub(super) struct TrustTracker {
    since: Vec<(Certificate, Instant)>,
    /// The time an API server may take to notice a changed `caBundle`.
    propagation_time: Duration,
}

impl TrustTracker {
    /// Creates a tracker without observations.
    pub(super) fn new(propagation_time: Duration) -> Self {
        Self {
            since: Vec::new(),
            propagation_time,
        }
    }

    /// Records which of these CAs all webhooks trust now.
    pub(super) fn observe(&mut self, trusted_cas: &TrustedBundles, authorities: &[Certificate]) {
        let now = Instant::now();
        let trusted = authorities.iter().filter(|one| trusted_cas.all_have(one));
        let since = trusted.map(|one| (one.clone(), self.since_of(one).unwrap_or(now)));
        self.since = since.collect();
    }

    /// Returns true if all webhooks have trusted the CA for the propagation time.
    pub(super) fn is_propagated(&self, authority: &Certificate) -> bool {
        let since = self.since_of(authority);
        since.is_some_and(|since| since.elapsed() >= self.propagation_time)
    }

    fn since_of(&self, authority: &Certificate) -> Option<Instant> {
        let found = self.since.iter().find(|(one, _)| one == authority);
        found.map(|(_, since)| *since)
    }
}
