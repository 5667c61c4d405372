//! One review over HTTP: read it, decide, have what must be sure confirmed, answer.

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
    body::{self, Allowance},
    budget::Budget,
    connections::Connection,
    log, look_up,
    options::Limits,
    reject::{Reason, Reject},
    share::{OneIn, Shared, Taken},
    state::ServerState,
    timeout as given,
};
use crate::{
    admission::{
        self, AdmissionResponse, Decision, Freshness, Request, Review, ReviewContext, Webhook,
    },
    clock::Clock,
    ledger::CommitOutcome,
    rules::LiveRead,
};

/// The type of [`crate::admission::decide`], which is what runs outside of tests.
pub(super) type Decide =
    for<'r, 'a, 's, 'k> fn(Webhook, &'r Request<'a>, &'s ReviewContext<'k>) -> Decision;

/// How many things a review may have looked up: an annotation that names more would only cost time.
const MOST_LOOKUPS: usize = 256;
/// How long a look-up may take on which only a warning rests.
const REFRESH: Duration = Duration::from_secs(1);
/// How long a review waits before it asks again for what is being recorded for another.
const PAUSE: Duration = Duration::from_millis(2);

/// A connection may have a fifth of the slots.
const PART: OneIn = OneIn(4);

/// What answers reviews.
pub(super) struct Reviewer {
    pub(super) state: ServerState,
    pub(super) limits: Limits,
    budget: Arc<Budget>,
    slots: Arc<Shared>,
    decide: Decide,
    clock: Clock,
}

impl Reviewer {
    pub(super) fn new(
        state: ServerState,
        limits: Limits,
        budget: Arc<Budget>,
        decide: Decide,
        clock: Clock,
    ) -> Self {
        Self {
            clock,
            budget,
            slots: Shared::new(limits.reviews, PART),
            state,
            limits,
            decide,
        }
    }

    /// Answers a request to one of the webhooks.
    pub(super) async fn answer(&self, webhook: Webhook, request: HttpRequest) -> Response {
        let (parts, mut body) = request.into_parts();
        match self.review(webhook, &parts, &mut body).await {
            Ok(answer) => review_response(answer),
            Err(reject) if reject.reason == Reason::TooLarge => {
                self.deny_unread(reject, &parts, &mut body).await
            }
            Err(reject) => self.refuse(reject, &parts, &mut body).await,
        }
    }

    /// Refuses a review that is too large, in the words of a review if it is about a pod: an error would let the
    /// pod pass where the webhook is one that may fail.
    async fn deny_unread(&self, reject: Reject, parts: &Parts, body: &mut Body) -> Response {
        let connection = Connection::of(&parts.extensions);
        let beginning = {
            let _reading = connection.read();
            body::beginning(body, &parts.headers, &self.limits).await
        };
        let denial = admission::reject_oversized(&beginning, &reject.sentence);
        let refused = self.refuse(reject, parts, body).await;
        let Some(json) = denial else {
            return refused;
        };
        let mut response = review_response(Answered {
            json: Some(json.into()),
            _room: self.budget.take(&connection, 0).await,
        });
        if let Some(close) = refused.headers().get(header::CONNECTION) {
            let headers = response.headers_mut();
            headers.insert(header::CONNECTION, close.clone());
        }
        response
    }

    /// Refuses a request, leaving its connection in a state to go on.
    pub(super) async fn refuse(&self, reject: Reject, parts: &Parts, body: &mut Body) -> Response {
        self.state.metrics.rejected(reject.reason);
        log::rejected(parts.method.as_str(), parts.uri.path(), &reject);
        let connection = Connection::of(&parts.extensions);
        let limits = &self.limits;
        let emptied = body::discard(body, parts.version, &parts.headers, limits, &connection).await;
        reject.response(!emptied)
    }

    async fn review(
        &self,
        webhook: Webhook,
        parts: &Parts,
        body: &mut Body,
    ) -> Result<Answered, Reject> {
        let begun = Instant::now();
        check_headers(&parts.headers)?;
        let time = given::of(parts.uri.query())?;
        // Before the body is read: it would be read for nothing.
        if self.state.catalog.load().is_none() {
            return Err(not_loaded());
        }
        // A tenth is left for the way back.
        let given = time - time / 10;
        let deadline = begun + given;
        let connection = Connection::of(&parts.extensions);
        let allowance = Allowance {
            limits: &self.limits,
            budget: &self.budget,
            connection: &connection,
            patience: self.limits.body.min(given),
        };
        let whole = body::read(body, &allowance).await?;
        // Not before: a body may be long in coming.
        let _slot = self.slot(&connection, time / 2, deadline).await?;
        let _counted = InFlight::begin(&self.state.metrics.in_flight);
        let review = Review::parse(&whole.bytes)?;
        let answer = self.conclude(webhook, &review.request, deadline).await?;
        let elapsed = begun.elapsed();
        let metrics = &self.state.metrics;
        metrics.answered(webhook, &review.request, &answer, elapsed);
        log::answered(webhook, &review.request, &answer, elapsed);
        Ok(Answered {
            json: Some(answer.to_json(&review.request.uid).into()),
            _room: whole.room,
        })
    }

    /// A place among the reviews that are worked on.
    async fn slot(
        &self,
        connection: &Connection,
        patience: Duration,
        deadline: Instant,
    ) -> Result<Taken, Reject> {
        if let Some(slot) = self.slots.try_take(connection.id, 1) {
            return Ok(slot);
        }
        let end = deadline.min(Instant::now() + patience);
        let slot = timeout_at(end, self.slots.take(connection.id, 1)).await;
        slot.map_err(|_| {
            let sentence = format!(
                "for {patience:?} there was no place among the {} reviews in progress, of which one connection \
                 may have a fifth; run more replicas",
                self.limits.reviews
            );
            Reject::new(Reason::Overloaded, sentence)
        })
    }

    async fn conclude(
        &self,
        webhook: Webhook,
        request: &Request<'_>,
        deadline: Instant,
    ) -> Result<AdmissionResponse, Reject> {
        let mut looked_up: Vec<LiveRead> = Vec::new();
        let mut tried: Vec<LiveRead> = Vec::new();
        // Only a pod whose name is not made yet is known by chance.
        let unnamed = request.name.as_deref().is_none_or(str::is_empty);
        let chance = if unnamed && webhook == Webhook::Mutate {
            self.state.allocations.chance()
        } else {
            0
        };
        let mut overtaken = 0;
        loop {
            let decided = Instant::now();
            let freshness = match (&*looked_up, &*tried) {
                ([], []) => Freshness::Cached,
                (verified, unanswered) => Freshness::VerifiedFor {
                    verified,
                    unanswered,
                },
            };
            match self.decide(webhook, request, freshness, chance)? {
                Decision::Respond(answer) => return Ok(answer),
                Decision::Retry(answer) if Instant::now() + PAUSE >= deadline => {
                    return Ok(answer);
                }
                Decision::Retry(_) => sleep(PAUSE).await,
                Decision::ClaimSlice(_) if Instant::now() >= deadline => {
                    return later(request, unrecorded("others were faster"));
                }
                Decision::ClaimSlice(slice) => {
                    let claimed = self.state.allocations.claim(slice, deadline).await;
                    if let Err(problem) = claimed {
                        return later(request, unrecorded(&problem));
                    }
                }
                Decision::Commit(plan) => {
                    let allocations = &self.state.allocations;
                    let recorded = allocations
                        .record(plan.writes, plan.plan_id, deadline)
                        .await;
                    self.count(&recorded, decided.elapsed());
                    match recorded {
                        CommitOutcome::Committed => {
                            self.state.metrics.borrowed(plan.borrowed);
                            return Ok(plan.response);
                        }
                        CommitOutcome::Conflict if Instant::now() < deadline => {
                            overtaken += 1;
                            self.step_aside(overtaken).await;
                        }
                        CommitOutcome::Conflict => {
                            return later(request, unrecorded("others were faster"));
                        }
                        CommitOutcome::Failed(problem) => {
                            return later(request, unrecorded(&problem));
                        }
                    }
                }
                Decision::VerifyLive(_) if looked_up.len() >= MOST_LOOKUPS => {
                    return later(request, unconfirmed("too much would have to be looked up"));
                }
                Decision::VerifyLive(lookups) => {
                    if let Err(problem) = self.confirm(&lookups, deadline).await {
                        log::unconfirmed(webhook, request, &problem);
                        return later(request, unconfirmed(&problem));
                    }
                    looked_up.extend(lookups);
                }
                Decision::Refresh(lookups) => {
                    // A warning is not worth more of the time that a denial may need.
                    let left = deadline.saturating_duration_since(Instant::now());
                    let until = Instant::now() + REFRESH.min(left / 2);
                    match self.confirm(&lookups, until).await {
                        Ok(()) => looked_up.extend(lookups),
                        Err(problem) => {
                            tracing::debug!("warned of what the cache says: {problem}");
                            tried.extend(lookups);
                        }
                    }
                }
            }
        }
    }

    /// Lets others pass, who are in the way for the so manyeth time: not at first, then for a while that
    /// chance decides. Two plans of several records may else take turns in undoing each other.
    async fn step_aside(&self, overtaken: u32) {
        if overtaken > 1 {
            let most = 1_u128 << overtaken.min(6);
            let millis = self.state.allocations.chance() % most;
            sleep(Duration::from_millis(u64::try_from(millis).unwrap_or(0))).await;
        }
    }

    fn count(&self, recorded: &CommitOutcome, elapsed: Duration) {
        match recorded {
            CommitOutcome::Committed => self.state.metrics.allocated(elapsed),
            CommitOutcome::Conflict => self.state.metrics.overtaken(),
            CommitOutcome::Failed(_) => {}
        }
    }

    /// Decides on what is published now.
    fn decide(
        &self,
        webhook: Webhook,
        request: &Request<'_>,
        freshness: Freshness<'_>,
        chance: u128,
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
            chance,
        };
        Ok((self.decide)(webhook, request, &context))
    }

    /// Has look-ups made past every cache.
    async fn confirm(&self, lookups: &[LiveRead], deadline: Instant) -> Result<(), String> {
        let (of_ledger, elsewhere): (Vec<LiveRead>, Vec<LiveRead>) =
            lookups.iter().cloned().partition(look_up::is_of_ledger);
        let all = async {
            if !elsewhere.is_empty() {
                let confirmed = self.state.live_catalog.confirm(&elsewhere).await;
                confirmed.map_err(|error| error.to_string())?;
            }
            // After that: which record an address has, the pool says.
            self.state.allocations.look_up(&of_ledger).await
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
        return Err(Reject::new(Reason::ContentType, sentence));
    }
    let encoded = |value: &HeaderValue| !value.as_bytes().eq_ignore_ascii_case(b"identity");
    if headers
        .get_all(header::CONTENT_ENCODING)
        .iter()
        .any(encoded)
    {
        let sentence = "the body is encoded; send it without Content-Encoding";
        return Err(Reject::new(Reason::ContentEncoding, sentence));
    }
    Ok(())
}

/// `application/json`, with or without parameters.
fn is_json(value: &HeaderValue) -> bool {
    let essence = value.as_bytes().split(|byte| *byte == b';').next();
    essence.is_some_and(|essence| {
        essence
            .trim_ascii()
            .eq_ignore_ascii_case(b"application/json")
    })
}

/// What cannot be answered now. An error here would let a pod be bound without its addresses, for
/// the webhook on bindings is one that may fail: so a Binding is refused instead, and the scheduler
/// tries again.
fn later(request: &Request<'_>, reject: Reject) -> Result<AdmissionResponse, Reject> {
    if admission::is_binding(request) {
        return Ok(AdmissionResponse::unavailable(request, reject.sentence));
    }
    Err(reject)
}

fn not_loaded() -> Reject {
    let sentence = "the catalog of networks is not loaded yet; ask again when /readyz says ok";
    Reject::new(Reason::NotLoaded, sentence)
}

fn unconfirmed(problem: &str) -> Reject {
    let sentence =
        format!("a denial rests on what could not be looked up afresh: {problem}; try again");
    Reject::new(Reason::LookupFailed, sentence)
}

fn unrecorded(problem: &str) -> Reject {
    let sentence = format!("the addresses could not be recorded: {problem}; try again");
    Reject::new(Reason::NotRecorded, sentence)
}

fn review_response(answer: Answered) -> Response {
    let mut response = Response::new(Body::new(answer));
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

/// An answer, which keeps the room of its request until it has left: a caller that takes in no answers gets no
/// more of them than it has room for.
struct Answered {
    json: Option<Bytes>,
    _room: Taken,
}

impl hyper::body::Body for Answered {
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

/// Counts a review as in flight until it is dropped, however it ends.
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
