//! The admin listener: liveness, readiness and metrics over plain HTTP.
//!
//! It is read-only and shows no Kubernetes object, so probes and scrapers need no certificate.

use std::sync::Arc;

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    response::Response,
    routing::get,
};
use http::{HeaderValue, StatusCode, header};
use prometheus_client::encoding::text::encode;

use super::{lifecycle::Lifecycle, reject::text, review::Reviewer, tls::CertificateResolver};

/// Content type of `/metrics`.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// State shared by the handlers.
#[derive(Clone)]
struct AdminState {
    reviewer: Arc<Reviewer>,
    lifecycle: Lifecycle,
    certificate: Arc<CertificateResolver>,
}

/// Returns the routes `GET /livez`, `/readyz` and `/metrics`.
pub(super) fn routes(
    reviewer: Arc<Reviewer>,
    lifecycle: Lifecycle,
    certificate: Arc<CertificateResolver>,
) -> Router {
    Router::new()
        .route("/livez", get(alive).fallback(other_method))
        .route("/readyz", get(ready).fallback(other_method))
        .route("/metrics", get(metrics).fallback(other_method))
        .fallback(other_path)
        .with_state(AdminState {
            reviewer,
            lifecycle,
            certificate,
        })
}

async fn alive() -> Response {
    text(StatusCode::OK, "ok")
}

async fn ready(State(admin): State<AdminState>) -> Response {
    if admin.lifecycle.is_draining() {
        let line = "draining: the server is shutting down";
        return text(StatusCode::SERVICE_UNAVAILABLE, line);
    }
    if !admin.certificate.has_certificate() {
        let line = "nadmit has no serving certificate yet; see the log";
        return text(StatusCode::SERVICE_UNAVAILABLE, line);
    }
    if admin.reviewer.state.catalog.load().is_none() {
        let line = "the networks are not loaded yet";
        return text(StatusCode::SERVICE_UNAVAILABLE, line);
    }
    if let Err(error) = admin.reviewer.state.allocations.writable().await {
        let line = format!("the ledger cannot be written: {error}");
        return text(StatusCode::SERVICE_UNAVAILABLE, line);
    }
    text(StatusCode::OK, "ok")
}

async fn metrics(State(admin): State<AdminState>) -> Response {
    let mut page = String::new();
    if encode(&mut page, &admin.reviewer.state.registry).is_err() {
        let line = "nadmit could not encode the metrics";
        return text(StatusCode::INTERNAL_SERVER_ERROR, line);
    }
    let mut response = Response::new(Body::from(page));
    let open_metrics = HeaderValue::from_static(OPEN_METRICS);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, open_metrics);
    response
}

async fn other_method(request: Request) -> Response {
    let line = format!("method {} is not allowed; use GET", request.method());
    text(StatusCode::METHOD_NOT_ALLOWED, line)
}

async fn other_path(request: Request) -> Response {
    let line = format!(
        "path {:?} does not exist; GET /livez, /readyz or /metrics",
        request.uri().path()
    );
    text(StatusCode::NOT_FOUND, line)
}
