//! Serves one review over HTTP: reads it, decides, makes live reads, commits and responds.

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
use tokio::time::{Instant, sleep, timeout_at};

use super::{
    body::{self, BodyContext},
    budget::Budget,
    connections::Connection,
    log,
    options::Limits,
    quota::{MaxShare, Quota, QuotaGuard},
    reject::{Reject, RejectReason},
    review_timeout,
    state::SharedState,
};
use nadmit_admission::{
    self as admission, AdmissionRequest, AdmissionResponse, Decision, Freshness, Review,
    ReviewContext, Webhook,
};
use nadmit_catalog::LiveRead;
use nadmit_host::clock::Clock;
use nadmit_ledger::CommitOutcome;

/// Type of [`nadmit_admission::decide`]; tests substitute other functions.
pub(super) type DecideFn =
    for<'r, 'a, 's, 'k> fn(Webhook, &'r AdmissionRequest<'a>, &'s ReviewContext<'k>) -> Decision;

/// Maximum number of live reads of one review; annotations that name more would only cost time.
const MAX_LIVE_READS: usize = 256;
/// Timeout of a live read on which only a warning depends.
const WARNING_READ_TIMEOUT: Duration = Duration::from_secs(1);
/// Delay before a review is decided again because another request is recording what it needs.
const PENDING_RETRY_DELAY: Duration = Duration::from_millis(2);

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
        metrics.answered(webhook, &review.request, &response, elapsed);
        log::answered(webhook, &review.request, &response, elapsed);
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
                "for {timeout:?} there was no place among the {} reviews in progress, of which one connection \
                 may have a fifth; run more replicas",
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
        let mut verified: Vec<LiveRead> = Vec::new();
        let mut unanswered: Vec<LiveRead> = Vec::new();
        // Only pods whose name is not generated yet are identified by a random token.
        let unnamed = request.name.as_deref().is_none_or(str::is_empty);
        let random = if unnamed && webhook == Webhook::Mutate {
            self.state.allocations.random()
        } else {
            0
        };
        let mut conflicts = 0;
        loop {
            let decided = Instant::now();
            let freshness = match (&*verified, &*unanswered) {
                ([], []) => Freshness::Cached,
                (verified, unanswered) => Freshness::VerifiedFor {
                    verified,
                    unanswered,
                },
            };
            match self.decide(webhook, request, freshness, random)? {
                Decision::Respond(response) => return Ok(response),
                Decision::Retry(response) if Instant::now() + PENDING_RETRY_DELAY >= deadline => {
                    return Ok(response);
                }
                Decision::Retry(_) => sleep(PENDING_RETRY_DELAY).await,
                Decision::ClaimSlice(_) if Instant::now() >= deadline => {
                    return unavailable(request, commit_failed("others were faster"));
                }
                Decision::ClaimSlice(slice) => {
                    let claimed = self.state.allocations.claim(slice, deadline).await;
                    if let Err(problem) = claimed {
                        return unavailable(request, commit_failed(&problem.to_string()));
                    }
                }
                Decision::Commit(plan) => {
                    let allocations = &self.state.allocations;
                    let outcome = allocations
                        .commit(plan.writes, plan.plan_id, deadline)
                        .await;
                    self.count(&outcome, decided.elapsed());
                    match outcome {
                        CommitOutcome::Committed => {
                            self.state.metrics.borrowed(plan.borrowed);
                            return Ok(plan.response);
                        }
                        CommitOutcome::Conflict if Instant::now() < deadline => {
                            conflicts += 1;
                            self.back_off(conflicts).await;
                        }
                        CommitOutcome::Conflict => {
                            return unavailable(request, commit_failed("others were faster"));
                        }
                        CommitOutcome::Failed(problem) => {
                            return unavailable(request, commit_failed(&problem));
                        }
                    }
                }
                Decision::VerifyLive(_) if verified.len() >= MAX_LIVE_READS => {
                    return unavailable(
                        request,
                        live_read_failed("too much would have to be looked up"),
                    );
                }
                Decision::VerifyLive(reads) => {
                    if let Err(problem) = self.read_live(&reads, deadline).await {
                        log::live_read_failed(webhook, request, &problem);
                        return unavailable(request, live_read_failed(&problem));
                    }
                    verified.extend(reads);
                }
                Decision::Refresh(reads) => {
                    // A warning may use only part of the time that a denial may need.
                    let left = deadline.saturating_duration_since(Instant::now());
                    let until = Instant::now() + WARNING_READ_TIMEOUT.min(left / 2);
                    match self.read_live(&reads, until).await {
                        Ok(()) => verified.extend(reads),
                        Err(problem) => {
                            tracing::debug!(
                                error = problem,
                                "live read failed; warning from the cache"
                            );
                            unanswered.extend(reads);
                        }
                    }
                }
            }
        }
    }

    /// Backs off after a commit conflict: not after the first, then for a random delay of up to 2^n
    /// ms. Otherwise two plans of several records could keep aborting each other.
    async fn back_off(&self, conflicts: u32) {
        if conflicts > 1 {
            let max_millis = 1_u128 << conflicts.min(6);
            let millis = self.state.allocations.random() % max_millis;
            sleep(Duration::from_millis(u64::try_from(millis).unwrap_or(0))).await;
        }
    }

    fn count(&self, outcome: &CommitOutcome, elapsed: Duration) {
        match outcome {
            CommitOutcome::Committed => self.state.metrics.allocated(elapsed),
            CommitOutcome::Conflict => self.state.metrics.commit_conflict(),
            CommitOutcome::Failed(_) => {}
        }
    }

    /// Decides with the currently published catalog and policy.
    fn decide(
        &self,
        webhook: Webhook,
        request: &AdmissionRequest<'_>,
        freshness: Freshness<'_>,
        random: u128,
    ) -> Result<Decision, Reject> {
        let catalog = self.state.catalog.load();
        let catalog = catalog.as_ref().ok_or_else(not_loaded)?;
        let policy = self.state.policy.load();
        let context = ReviewContext {
            catalog,
            policy: &policy,
            allocations: &self.state.allocations.index,
            freshness,
            now: self.clock.seconds(),
            random,
        };
        Ok((self.decide)(webhook, request, &context))
    }

    /// Makes live reads of the catalog and the ledger.
    async fn read_live(&self, reads: &[LiveRead], deadline: Instant) -> Result<(), String> {
        let (ledger_reads, catalog_reads): (Vec<LiveRead>, Vec<LiveRead>) =
            reads.iter().cloned().partition(LiveRead::is_of_ledger);
        let all = async {
            if !catalog_reads.is_empty() {
                let refreshed = self.state.live_catalog.refresh(&catalog_reads).await;
                refreshed.map_err(|error| error.to_string())?;
            }
            // The catalog comes first: an address's record depends on its pool.
            let refreshed = self.state.allocations.refresh(&ledger_reads).await;
            refreshed.map_err(|error| error.to_string())
        };
        match timeout_at(deadline, all).await {
            Ok(outcome) => outcome,
            Err(_) => Err("no answer in time".to_owned()),
        }
    }
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
        let sentence = "the body is encoded; send it without Content-Encoding";
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

fn not_loaded() -> Reject {
    let sentence = "the catalog of networks is not loaded yet; ask again when /readyz says ok";
    Reject::new(RejectReason::NotLoaded, sentence)
}

fn live_read_failed(problem: &str) -> Reject {
    let sentence =
        format!("a denial rests on what could not be looked up afresh: {problem}; try again");
    Reject::new(RejectReason::LookupFailed, sentence)
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
