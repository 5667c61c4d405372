//! Whom the API servers trust: the `caBundle` of nadmit's webhooks, and since when.
//!
//! Touched are only webhooks that lead to nadmit: to its Service, or to a URL with a name of it.
//! Another's in the same configuration is none of nadmit's business.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::make::bundle;
use crate::pki::Certificate;

/// How nadmit is called by its callers.
#[derive(Debug, Clone)]
pub struct WebhookService {
    /// nadmit's namespace.
    pub namespace: String,
    /// The Service before the replicas.
    pub service: String,
}

impl WebhookService {
    /// Every name that a caller may use, those of the Service.
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

    /// nadmit's webhooks in a configuration, with their places there.
    fn webhooks<'c>(&self, configuration: &'c Value) -> Vec<(usize, &'c Value)> {
        let all = configuration["webhooks"].as_array().into_iter().flatten();
        all.enumerate()
            .filter(|(_, webhook)| self.is_behind(webhook))
            .collect()
    }

    /// The JSON patch that gives each of nadmit's webhooks these CAs, good for this version of the
    /// configuration only; `None` if all have them.
    pub(super) fn patch(
        &self,
        configuration: &Value,
        authorities: &[Certificate],
    ) -> Option<Value> {
        let text = STANDARD.encode(bundle(authorities));
        let wanting = self.webhooks(configuration).into_iter();
        let wanting = wanting.filter(|(_, webhook)| !is_same(webhook, authorities));
        let mut operations: Vec<Value> = wanting
            .map(|(at, _)| {
                let path = format!("/webhooks/{at}/clientConfig/caBundle");
                json!({"op": "add", "path": path, "value": text})
            })
            .collect();
        if operations.is_empty() {
            return None;
        }
        // Whoever wrote in between makes it fail.
        let version = &configuration["metadata"]["resourceVersion"];
        let path = "/metadata/resourceVersion";
        operations.push(json!({"op": "replace", "path": path, "value": version}));
        Some(Value::from(operations))
    }
}

/// Those that the API servers trust when they call a webhook.
fn trusted(webhook: &Value) -> (Vec<Certificate>, bool) {
    let text = webhook["clientConfig"]["caBundle"].as_str();
    let pem = STANDARD.decode(text.unwrap_or_default());
    Certificate::all(&pem.unwrap_or_default())
}

fn is_same(webhook: &Value, authorities: &[Certificate]) -> bool {
    let (found, clean) = trusted(webhook);
    let has = |one| found.contains(one);
    clean && found.len() == authorities.len() && authorities.iter().all(has)
}

/// What all callers trust, as far as it was read.
#[derive(Debug, Default)]
pub(super) struct TrustedBundles {
    /// For each of nadmit's webhooks, its CAs.
    bundles: Vec<Vec<Certificate>>,
    /// Whether a configuration could not be read.
    unknown: bool,
}

impl TrustedBundles {
    /// Adds a configuration. One that is not there calls nobody.
    pub(super) fn add(&mut self, configuration: &Value, service: &WebhookService) {
        let webhooks = service.webhooks(configuration);
        let bundles = webhooks.into_iter().map(|(_, webhook)| trusted(webhook).0);
        self.bundles.extend(bundles);
    }

    /// There is one that could not be read.
    pub(super) fn add_unknown(&mut self) {
        self.unknown = true;
    }

    /// Every CA that a webhook has.
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

/// Since when which CAs are trusted by all, as this replica has seen it. It forgets on a restart, which
/// costs a little time and nothing else.
#[derive(Debug)]
pub(super) struct TrustTracker {
    since: Vec<(Certificate, Instant)>,
    /// How long an API server may take to notice a `caBundle`.
    propagation_time: Duration,
}

impl TrustTracker {
    /// Nothing was seen yet.
    pub(super) fn new(propagation_time: Duration) -> Self {
        Self {
            since: Vec::new(),
            propagation_time,
        }
    }

    /// Of these CAs some were in force now.
    pub(super) fn observe(&mut self, trusted_cas: &TrustedBundles, authorities: &[Certificate]) {
        let now = Instant::now();
        let trusted = authorities.iter().filter(|one| trusted_cas.all_have(one));
        let since = trusted.map(|one| (one.clone(), self.since_of(one).unwrap_or(now)));
        self.since = since.collect();
    }

    /// Whether it has been for long enough.
    pub(super) fn is_propagated(&self, authority: &Certificate) -> bool {
        let since = self.since_of(authority);
        since.is_some_and(|since| since.elapsed() >= self.propagation_time)
    }

    fn since_of(&self, authority: &Certificate) -> Option<Instant> {
        let found = self.since.iter().find(|(one, _)| one == authority);
        found.map(|(_, since)| *since)
    }
}
