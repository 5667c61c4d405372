//! Serves one review over HTTP: reads it, runs its commit loop and responds.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::{body::Body, extract::Request as HttpRequest, response::Response};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header, request::Parts};
use hyper::body::{Frame, SizeHint};
use prometheus_client::metrics::gauge::Gauge;
use tokio::time::{Instant, timeout_at};

use super::{
    body::{self, BodyContext},
    budget::Budget,
    connections::Connection,
    log,
    metrics::Metrics,
    options::Limits,
    quota::{MaxShare, Quota, QuotaGuard},
    reject::{Reject, RejectReason},
    review_planner::{DecideFn, ReviewPlanner, not_loaded},
    review_timeout,
    state::SharedState,
};
use nadmit_admission::{self as admission, AdmissionRequest, AdmissionResponse, Review, Webhook};
use nadmit_host::clock::Clock;
use nadmit_ledger::{CommitLimits, CommitLoopError, commit_loop};

/// Delay before a review is decided again because another request is recording what it needs.
const PENDING_RETRY_DELAY: Duration = Duration::from_millis(2);
/// Maximum delay before a review is decided again after a commit conflict.
const MAX_BACK_OFF: Duration = Duration::from_millis(64);

/// Share of one connection: a quarter of the free slots, so at most a fifth of all.
const MAX_SHARE: MaxShare = MaxShare(4);

/// Serves reviews.
pub(super) struct Reviewer {
    pub(super) state: SharedState,
    pub(super) limits: Limits,
    budget: Arc<Budget>,
    slots: Arc<Quota>,
    decide: DecideFn,
    clock: Clock,
}

impl Reviewer {
    pub(super) fn new(
        state: SharedState,
        limits: Limits,
        budget: Arc<Budget>,
        decide: DecideFn,
        clock: Clock,
    ) -> Self {
        Self {
            clock,
            budget,
            slots: Quota::new(limits.reviews, MAX_SHARE),
            state,
            limits,
            decide,
        }
    }

    /// Serves a request to one of the webhooks.
    pub(super) async fn answer(&self, webhook: Webhook, request: HttpRequest) -> Response {
        let (parts, mut body) = request.into_parts();
        match self.review(webhook, &parts, &mut body).await {
            Ok(body) => review_response(body),
            Err(reject) if reject.reason == RejectReason::TooLarge => {
                self.deny_unread(reject, &parts, &mut body).await
            }
            Err(reject) => self.refuse(reject, &parts, &mut body).await,
        }
    }

    /// Rejects a review that is too large: with a denial if it concerns a pod, because after an
    /// HTTP error a webhook with failurePolicy Ignore would let the pod pass.
    async fn deny_unread(&self, reject: Reject, parts: &Parts, body: &mut Body) -> Response {
        let connection = Connection::from_extensions(&parts.extensions);
        let first_piece = {
            let _pending_body = connection.begin_body();
            body::first_piece(body, &parts.headers, &self.limits).await
        };
        let denial = admission::reject_oversized(&first_piece, &reject.sentence);
        let refused = self.refuse(reject, parts, body).await;
        let Some(json) = denial else {
            return refused;
        };
        let mut response = review_response(BudgetedBody {
            json: Some(json.into()),
            _memory: self.budget.take(&connection, 0).await,
        });
        if let Some(close) = refused.headers().get(header::CONNECTION) {
            let headers = response.headers_mut();
            headers.insert(header::CONNECTION, close.clone());
        }
        response
    }

    /// Rejects a request and drains its body, so that the connection can be reused.
    pub(super) async fn refuse(&self, reject: Reject, parts: &Parts, body: &mut Body) -> Response {
        self.state.metrics.rejected(reject.reason);
        log::rejected(parts.method.as_str(), parts.uri.path(), &reject);
        let connection = Connection::from_extensions(&parts.extensions);
        let limits = &self.limits;
        let emptied = body::discard(body, parts.version, &parts.headers, limits, &connection).await;
        reject.response(!emptied)
    }

    async fn review(
        &self,
        webhook: Webhook,
        parts: &Parts,
        body: &mut Body,
    ) -> Result<BudgetedBody, Reject> {
        let begun = Instant::now();
        check_headers(&parts.headers)?;
        let time = review_timeout::from_query(parts.uri.query())?;
        // Checked before the body is read, to avoid reading it in vain.
        if self.state.catalog.load().is_none() {
            return Err(not_loaded());
        }
        // A tenth is reserved for the way back.
        let available = time - time / 10;
        let deadline = begun + available;
        let connection = Connection::from_extensions(&parts.extensions);
        let context = BodyContext {
            limits: &self.limits,
            budget: &self.budget,
            connection: &connection,
            timeout: self.limits.body.min(available),
        };
        let whole = body::read(body, &context).await?;
        // Acquired only now, because a body may arrive slowly.
        let _slot = self.slot(&connection, time / 2, deadline).await?;
        let _counted = InFlight::begin(&self.state.metrics.in_flight);
        let review = Review::parse(&whole.bytes)?;
        let response = self.evaluate(webhook, &review.request, deadline).await?;
        let elapsed = begun.elapsed();
        let metrics = &self.state.metrics;
        record_answer(metrics, webhook, &review.request, &response, elapsed);
        Ok(BudgetedBody {
            json: Some(response.to_json(&review.request.uid).into()),
            _memory: whole.memory,
        })
    }

    /// Waits for a slot among the reviews in progress.
    async fn slot(
        &self,
        connection: &Connection,
        timeout: Duration,
        deadline: Instant,
    ) -> Result<QuotaGuard, Reject> {
        if let Some(slot) = self.slots.try_take(connection.id, 1) {
            return Ok(slot);
        }
        let end = deadline.min(Instant::now() + timeout);
        let slot = timeout_at(end, self.slots.take(connection.id, 1)).await;
        slot.map_err(|_| {
            let sentence = format!(
                "nadmit could not start the review within {timeout:?}: at most {} reviews run at a time, \
                 and a fifth of them for one connection; run more replicas",
                self.limits.reviews
            );
            Reject::new(RejectReason::Overloaded, sentence)
        })
    }

    async fn evaluate(
        &self,
        webhook: Webhook,
        request: &AdmissionRequest<'_>,
        deadline: Instant,
    ) -> Result<AdmissionResponse, Reject> {
        let mut planner = ReviewPlanner::new(
            &self.state,
            self.decide,
            &self.clock,
            webhook,
            request,
            deadline,
        );
        let limits = CommitLimits {
            deadline: Some(deadline),
            max_plans: None,
            busy_delay: Some(PENDING_RETRY_DELAY),
            max_back_off: MAX_BACK_OFF,
        };
        let reject = match commit_loop(&mut planner, &limits).await {
            Ok(response) => return response,
            Err(CommitLoopError::Verify(reject)) => reject,
            Err(CommitLoopError::Outpaced) => {
                commit_failed("other writers changed the records first")
            }
            Err(CommitLoopError::Claim(error)) => commit_failed(&error.to_string()),
            Err(CommitLoopError::Commit(error)) => commit_failed(&error.to_string()),
        };
        unavailable(request, reject)
    }
}

/// Counts and logs a review with its response.
pub fn record_answer(
    metrics: &Metrics,
    webhook: Webhook,
    request: &AdmissionRequest<'_>,
    response: &AdmissionResponse,
    elapsed: Duration,
) {
    metrics.answered(webhook, request, response, elapsed);
    log::answered(webhook, request, response, elapsed);
}

fn check_headers(headers: &HeaderMap) -> Result<(), Reject> {
    if !headers.get(header::CONTENT_TYPE).is_some_and(is_json) {
        let sentence = "the content type is not application/json; send \
                        \"Content-Type: application/json\"";
        return Err(Reject::new(RejectReason::ContentType, sentence));
    }
    let encoded = |value: &HeaderValue| !value.as_bytes().eq_ignore_ascii_case(b"identity");
    if headers
        .get_all(header::CONTENT_ENCODING)
        .iter()
        .any(encoded)
    {
        let sentence = "the body is encoded; send the body without Content-Encoding";
        return Err(Reject::new(RejectReason::ContentEncoding, sentence));
    }
    Ok(())
}

/// Returns true for `application/json`, with or without parameters.
fn is_json(value: &HeaderValue) -> bool {
    let essence = value.as_bytes().split(|byte| *byte == b';').next();
    essence.is_some_and(|essence| {
        essence
            .trim_ascii()
            .eq_ignore_ascii_case(b"application/json")
    })
}

/// Responds to a review that cannot be decided now. The webhook for bindings has failurePolicy
/// Ignore, so an error would bind the pod without its addresses. A Binding is therefore denied, and
/// the scheduler retries.
fn unavailable(
    request: &AdmissionRequest<'_>,
    reject: Reject,
) -> Result<AdmissionResponse, Reject> {
    if request.is_binding() {
        return Ok(AdmissionResponse::unavailable(request, reject.sentence));
    }
    Err(reject)
}

fn commit_failed(problem: &str) -> Reject {
    let sentence = format!("the addresses could not be recorded: {problem}; try again");
    Reject::new(RejectReason::NotRecorded, sentence)
}

fn review_response(body: BudgetedBody) -> Response {
    let mut response = Response::new(Body::new(body));
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

/// A response body that holds the memory of its request until it has been sent, so that clients
/// that do not read responses are limited by their memory budget.
struct BudgetedBody {
    json: Option<Bytes>,
    _memory: QuotaGuard,
}

impl hyper::body::Body for BudgetedBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let json = self.get_mut().json.take();
        Poll::Ready(json.map(|json| Ok(Frame::data(json))))
    }

    fn is_end_stream(&self) -> bool {
        self.json.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.json.as_ref().map_or(0, |json| json.len() as u64))
    }
}

/// Counts a review as in flight until dropped.
struct InFlight<'a>(&'a Gauge);

impl<'a> InFlight<'a> {
    fn begin(gauge: &'a Gauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}
