//! Routes of the HTTPS listener: the two webhooks, and rejections for everything else.

use std::sync::Arc;

use axum::{
    Router,
    extract::{Request, State},
    response::Response,
    routing::post,
};

use super::{
    reject::{Reject, RejectReason},
    review::Reviewer,
};
use nadmit_admission::Webhook;

/// Returns the routes `POST /validate` and `POST /mutate`.
pub(super) fn webhooks(reviewer: Arc<Reviewer>) -> Router {
    Router::new()
        .route("/validate", post(validate).fallback(other_method))
        .route("/mutate", post(mutate).fallback(other_method))
        .fallback(other_path)
        .with_state(reviewer)
}

async fn validate(State(reviewer): State<Arc<Reviewer>>, request: Request) -> Response {
    reviewer.answer(Webhook::Validate, request).await
}

async fn mutate(State(reviewer): State<Arc<Reviewer>>, request: Request) -> Response {
    reviewer.answer(Webhook::Mutate, request).await
}

/// Rejects other methods. The router adds the `Allow` header.
async fn other_method(State(reviewer): State<Arc<Reviewer>>, request: Request) -> Response {
    let sentence = format!(
        "method {} is not allowed on {}; POST an AdmissionReview",
        request.method(),
        request.uri().path()
    );
    refuse(
        &reviewer,
        Reject::new(RejectReason::Method, sentence),
        request,
    )
    .await
}

async fn other_path(State(reviewer): State<Arc<Reviewer>>, request: Request) -> Response {
    let sentence = format!(
        "path {:?} does not exist; POST an AdmissionReview to /validate or /mutate",
        request.uri().path()
    );
    refuse(
        &reviewer,
        Reject::new(RejectReason::Path, sentence),
        request,
    )
    .await
}

async fn refuse(reviewer: &Reviewer, reject: Reject, request: Request) -> Response {
    let (parts, mut body) = request.into_parts();
    reviewer.refuse(reject, &parts, &mut body).await
}
