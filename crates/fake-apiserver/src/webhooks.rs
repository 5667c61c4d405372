//! Admission webhooks, as a configuration registers them.

use std::{
    fmt::Display,
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::body::Body;
use http::{Request, Response, header};
use http_body_util::BodyExt as _;
use serde_json::Value;
use tower::{Service, ServiceExt as _};

use super::{ApiServer, locked, resource_request::ResourceRequest, selectors::ObjectSelector};

type CallFuture = Pin<Box<dyn Future<Output = Result<Value, String>> + Send>>;

type MatchCondition = dyn Fn(&Value) -> bool + Send + Sync;

/// A webhook. It is called for the requests that its rules match; `on` adds rules.
#[derive(Clone)]
pub struct Webhook {
    pub(super) name: String,
    pub(super) mutating: bool,
    operations: Vec<String>,
    resources: Vec<String>,
    /// Set if a failing call is ignored.
    pub(super) ignores_failure: bool,
    namespaces: Option<ObjectSelector>,
    when: Option<Arc<MatchCondition>>,
    pub(super) timeout: Duration,
    call: Arc<dyn Fn(Value) -> CallFuture + Send + Sync>,
    calls: Arc<AtomicU64>,
}

impl Webhook {
    /// Returns a webhook that may patch. The closure maps an AdmissionReview to one; an error is a
    /// failed call.
    pub fn mutating<F>(name: &str, call: impl Fn(Value) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<Value, String>> + Send + 'static,
    {
        Self {
            mutating: true,
            ..Self::validating(name, call)
        }
    }

    /// Returns a webhook that may only deny.
    pub fn validating<F>(name: &str, call: impl Fn(Value) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<Value, String>> + Send + 'static,
    {
        Self {
            name: name.to_owned(),
            mutating: false,
            operations: Vec::new(),
            resources: Vec::new(),
            ignores_failure: false,
            namespaces: None,
            when: None,
            timeout: Duration::from_secs(10),
            call: Arc::new(move |review| Box::pin(call(review))),
            calls: Arc::default(),
        }
    }

    /// Adds a rule of operations (`CREATE`) and resources (`pods`, `pods/binding`,
    /// `addresspools.nadmit.io`); `*` matches any.
    pub fn on(mut self, operations: &[&str], resources: &[&str]) -> Self {
        self.operations
            .extend(operations.iter().map(|o| (*o).to_owned()));
        self.resources
            .extend(resources.iter().map(|r| (*r).to_owned()));
        self
    }

    /// Sets failurePolicy Ignore; the default is Fail.
    pub fn ignoring_failure(mut self) -> Self {
        self.ignores_failure = true;
        self
    }

    /// Limits the webhook to namespaces whose labels match a selector.
    pub fn in_namespaces(mut self, selector: &str) -> Self {
        self.namespaces = Some(ObjectSelector::labels(selector));
        self
    }

    /// Adds a match condition on the request in the review.
    pub fn when(mut self, condition: impl Fn(&Value) -> bool + Send + Sync + 'static) -> Self {
        self.when = Some(Arc::new(condition));
        self
    }

    /// Sets the timeout of a call; the default is 10 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    pub(super) fn matches(
        &self,
        operation: &str,
        request: &ResourceRequest,
        labels: Option<&Value>,
    ) -> bool {
        let has = |list: &[String], wanted: &str| list.iter().any(|is| is == "*" || is == wanted);
        let resource = match request.subresource.as_str() {
            "" => request.qualified(),
            subresource => format!("{}/{subresource}", request.qualified()),
        };
        let selected = match (&self.namespaces, labels) {
            (Some(selector), Some(namespace)) => selector.wants(namespace),
            _ => true,
        };
        has(&self.operations, operation) && has(&self.resources, &resource) && selected
    }

    pub(super) fn applies(&self, review: &Value) -> bool {
        let when = self.when.as_ref();
        when.is_none_or(|when| when(&review["request"]))
    }

    /// Calls the webhook and returns the `response` of its review.
    pub(super) async fn send(&self, review: &Value) -> Result<Value, String> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let answered = tokio::time::timeout(self.timeout, (self.call)(review.clone())).await;
        let mut answered = answered.map_err(|_| "context deadline exceeded".to_owned())??;
        let (expected, found) = (&review["request"]["uid"], &answered["response"]["uid"]);
        if expected != found {
            return Err(format!("expected response.uid={expected}, got {found}"));
        }
        Ok(answered["response"].take())
    }
}

/// Calls a service over HTTP as the API server calls a webhook.
pub fn posting<S>(service: S, path: &str) -> impl Fn(Value) -> CallFuture + Send + Sync + 'static
where
    S: Service<Request<Body>, Response = Response<Body>> + Clone + Send + Sync + 'static,
    S::Future: Send,
    S::Error: Display,
{
    let path = path.to_owned();
    move |review| {
        let service = service.clone();
        let request = Request::post(format!("{path}?timeout=10s"))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from(review.to_string()));
        Box::pin(async move {
            let request = request.map_err(|error| error.to_string())?;
            let answer = service.oneshot(request).await;
            let answer = answer.map_err(|error| error.to_string())?;
            let status = answer.status();
            let body = answer.into_body().collect().await;
            let body = body.map_err(|error| error.to_string())?.to_bytes();
            if !status.is_success() {
                return Err(format!(
                    "status {status}: {}",
                    String::from_utf8_lossy(&body)
                ));
            }
            serde_json::from_slice(&body).map_err(|error| error.to_string())
        })
    }
}

impl ApiServer {
    /// Registers a webhook, or replaces the one of the same type and name.
    pub fn webhook(&self, webhook: Webhook) {
        let mut webhooks = locked(&self.shared.webhooks);
        webhooks.retain(|known| (&known.name, known.mutating) != (&webhook.name, webhook.mutating));
        webhooks.push(webhook);
        // Webhooks are called in the order of their names.
        webhooks.sort_by(|a, b| a.name.cmp(&b.name));
    }

    /// Removes a webhook.
    pub fn without_webhook(&self, name: &str) {
        locked(&self.shared.webhooks).retain(|known| known.name != name);
    }

    /// Returns the number of calls of a webhook.
    pub fn calls(&self, name: &str) -> u64 {
        let webhooks = locked(&self.shared.webhooks);
        let named = webhooks.iter().filter(|webhook| webhook.name == name);
        named
            .map(|webhook| webhook.calls.load(Ordering::Relaxed))
            .sum()
    }
}
