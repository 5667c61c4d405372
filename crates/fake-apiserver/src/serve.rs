//! The service: handles a request, subject to the faults, and returns a response.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::body::Body;
use bytes::{Buf, Bytes};
use http::{Request, Response};
use http_body_util::BodyExt as _;
use jiff::{SignedDuration, fmt::rfc2822};
use serde_json::Value;
use tokio::time::sleep;

use super::{
    ApiServer, ServerState, discovery,
    faults::{FaultAction, FaultEffect, InjectedFailure},
    kinds::ResourceKind,
    locked,
    resource_request::ResourceRequest,
    response::{ApiStatus, JsonResponse, nothing_there},
    store::{NamespacedName, StoreState},
};

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type ServiceResult = Result<Response<Body>, BoxError>;

impl<B> tower::Service<Request<B>> for ApiServer
where
    B: hyper::body::Body + Send + 'static,
    B::Data: Buf + Send,
    B::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = ServiceResult> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let server = self.clone();
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await.map_err(Into::into)?.to_bytes();
            let mut answer = server.answer(&parts, body).await?;
            server.date(answer.headers_mut());
            Ok(answer)
        })
    }
}

impl ApiServer {
    /// Adds the `Date` header with the server's time.
    fn date(&self, headers: &mut http::HeaderMap) {
        let skew = locked(&self.shared.skews).get(&*self.client).copied();
        let Some(skew) = skew.unwrap_or(Some(SignedDuration::ZERO)) else {
            return;
        };
        let now = (self.shared.clock)().saturating_add(skew);
        let printer = rfc2822::DateTimePrinter::new();
        let date = now.and_then(|now| printer.timestamp_to_rfc9110_string(&now));
        if let Some(date) = date.ok().and_then(|date| date.parse().ok()) {
            headers.insert(http::header::DATE, date);
        }
    }

    async fn answer(&self, parts: &http::request::Parts, body: Bytes) -> ServiceResult {
        let shared = &self.shared;
        locked(&shared.seen).push(parts.uri.to_string());
        let Some(request) = ResourceRequest::of(parts, body, &self.client) else {
            let found = discovery::answer(&shared.state(), parts.uri.path());
            return Ok(found.map_or_else(nothing_there, JsonResponse::response));
        };
        shared.count(&shared.requested, &request);
        if !shared.is_authorized(&request) {
            return Ok(request.forbidden("system:anonymous").answer().response());
        }
        let action = shared.faults.of(&request);
        let shared = Arc::clone(shared);
        if !request.writes() {
            return shared.act(request, action).await;
        }
        // A request that was sent takes effect even if its sender is gone.
        tokio::spawn(shared.act(request, action)).await?
    }
}

impl ServerState {
    fn count(&self, counts: &std::sync::Mutex<super::RequestCounts>, request: &ResourceRequest) {
        let resource = match request.subresource.as_str() {
            "" => request.qualified(),
            subresource => format!("{}/{subresource}", request.qualified()),
        };
        *locked(counts)
            .entry((request.verb.to_owned(), resource))
            .or_default() += 1;
    }

    /// Writes an object or, if it is `None`, removes it; under the lock that the caller holds.
    pub(super) fn commit(
        &self,
        state: &mut StoreState,
        request: &ResourceRequest,
        kind: &ResourceKind,
        key: &NamespacedName,
        object: Option<Value>,
    ) -> Result<Arc<Value>, ApiStatus> {
        if request.blocked {
            return Err(request.forbidden("test"));
        }
        let gone = object.is_none();
        let change = state.commit(&kind.qualified(), key, object);
        let change = change.ok_or_else(|| ApiStatus::not_found(kind, &key.1))?;
        self.record(request, change.what, &change.object);
        if kind.plural == "customresourcedefinitions" {
            state.define(&change.object, gone);
        }
        if gone && kind.namespaced {
            self.leave(state, request, &key.0);
        }
        Ok(change.object)
    }

    /// Counts a write that changed something, and logs it.
    fn record(&self, request: &ResourceRequest, what: &str, object: &Value) {
        self.count(&self.written, request);
        let Some(log) = locked(&self.log).clone() else {
            return;
        };
        let text = |key: &str| object["metadata"][key].as_str().unwrap_or_default();
        let subresource = match request.subresource.as_str() {
            "" => String::new(),
            subresource => format!("/{subresource}"),
        };
        log(&format!(
            "{} {} {} {}{subresource} {}/{} {what} {}",
            (self.clock)(),
            request.client,
            request.verb,
            request.qualified(),
            text("namespace"),
            text("name"),
            text("resourceVersion"),
        ));
    }

    fn is_authorized(&self, request: &ResourceRequest) -> bool {
        let bearer = request
            .header(http::header::AUTHORIZATION)
            .strip_prefix("Bearer ");
        self.token.is_none() || self.token.as_deref() == bearer
    }

    async fn act(self: Arc<Self>, request: ResourceRequest, action: FaultAction) -> ServiceResult {
        pause(action.before).await;
        let Some(failure) = &action.failure else {
            let after = action.after;
            let answer = self.take_effect(request, &action).await;
            pause(after).await;
            return Ok(answer);
        };
        match action.effect {
            FaultEffect::AsAnswered => {}
            FaultEffect::Admitted => {
                let blocked = ResourceRequest {
                    blocked: true,
                    ..request.clone()
                };
                drop(Arc::clone(&self).take_effect(blocked, &action).await);
            }
            FaultEffect::Lost => drop(
                Arc::clone(&self)
                    .take_effect(request.clone(), &action)
                    .await,
            ),
            FaultEffect::Later(after) => {
                let (shared, request, action) =
                    (Arc::clone(&self), request.clone(), action.clone());
                tokio::spawn(async move {
                    pause(after).await;
                    drop(shared.take_effect(request, &action).await);
                });
            }
        }
        pause(action.after).await;
        if matches!(failure, InjectedFailure::Silence) {
            std::future::pending::<()>().await;
        }
        Ok(failure.refusal(&request)?.answer().response())
    }

    async fn take_effect(
        self: Arc<Self>,
        request: ResourceRequest,
        action: &FaultAction,
    ) -> Response<Body> {
        let answer = match request.verb {
            "watch" => {
                let refused = |refusal: ApiStatus| refusal.answer().response();
                return self.watch(request, action).unwrap_or_else(refused);
            }
            "get" => self.get(&request),
            "list" => self.list(&request, action.lag.max(self.lag_of(&request.client))),
            "create" => self.create(&request).await,
            "update" => self.update(&request).await,
            "patch" => self.patch(&request).await,
            "delete" => self.delete(&request).await,
            "deletecollection" => self.delete_all(&request).await,
            _ => Err(ApiStatus::new(
                405,
                "MethodNotAllowed",
                "the fake API server does not do this",
            )),
        };
        answer.unwrap_or_else(|refusal| refusal.answer()).response()
    }
}

/// Sleeps; a zero duration does not yield to other tasks.
async fn pause(time: std::time::Duration) {
    if !time.is_zero() {
        sleep(time).await;
    }
}
