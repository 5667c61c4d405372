//! The link from a replica to the API server. It can be cut, and it checks that nothing changes
//! hands without a compare-and-swap.

use std::{
    future::{Future, pending},
    pin::Pin,
    task::{Context, Poll},
};

use axum::body::Body;
use bytes::Bytes;
use http::{Method, Request, Response, request::Parts};
use http_body_util::{BodyExt as _, Full};
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use tower::{BoxError, Service};

use super::event_log::EventLog;
use crate::api_server::ApiServer;

/// The link that a replica's client sends its requests through. Once cut, nothing passes, not even
/// from tasks that its replica left behind, as if its process had ended.
#[derive(Clone)]
pub(super) struct ClientLink {
    pub(super) server: ApiServer,
    pub(super) cut: CancellationToken,
    pub(super) log: EventLog,
}

impl Service<Request<kube::client::Body>> for ClientLink {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<kube::client::Body>) -> Self::Future {
        let mut wire = self.clone();
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await?.to_bytes();
            if wire.cut.is_cancelled() {
                return pending().await;
            }
            wire.inspect(&parts, &body);
            let request = Request::from_parts(parts, Full::<Bytes>::new(body));
            tokio::select! {
                biased;
                () = wire.cut.cancelled() => pending().await,
                answer = wire.server.call(request) => answer,
            }
        })
    }
}

impl ClientLink {
    /// Checks that updates and deletes of a record name the version that they were decided on.
    fn inspect(&self, parts: &Parts, body: &Bytes) {
        let path = parts.uri.path();
        let mut kinds = ["/addressallocations", "/addressslices"].into_iter();
        if !kinds.any(|kind| path.contains(kind)) {
            return;
        }
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let names = |value: &Value| value.as_str().is_some_and(|text| !text.is_empty());
        let swaps = match parts.method {
            Method::PUT | Method::PATCH => names(&body["metadata"]["resourceVersion"]),
            Method::DELETE => {
                let preconditions = &body["preconditions"];
                names(&preconditions["uid"]) && names(&preconditions["resourceVersion"])
            }
            _ => true,
        };
        if !swaps {
            let method = &parts.method;
            self.log
                .broken(format_args!("S2: {method} {path} names no version: {body}"));
        }
    }
}
