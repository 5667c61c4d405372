//! One review over HTTP: read it, decide, have what must be sure confirmed, answer.

use std::time::Duration;

use axum::{body::Body, extract::Request as HttpRequest, response::Response};
use http::{HeaderMap, HeaderValue, header, request::Parts};
use prometheus_client::metrics::gauge::Gauge;
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::{Instant, timeout, timeout_at},
};

use super::{
    body, log,
    options::Limits,
    reject::{Reason, Reject},
    state::State,
    timeout as given,
};
use crate::{
    admission::{Answer, Decision, Evidence, Plan, Record, Request, Review, Webhook},
    catalog::Catalog,
    rules::{Lookup, Policy},
};

/// The type of [`crate::admission::decide`], which is what runs outside of tests.
pub(super) type Decide =
    for<'r, 'a> fn(Webhook, &'r Request<'a>, &Catalog, &Policy, Evidence) -> Decision;

/// What answers reviews.
pub(super) struct Reviewer {
    pub(super) state: State,
    pub(super) limits: Limits,
    slots: Semaphore,
    decide: Decide,
}

impl Reviewer {
    pub(super) fn new(state: State, limits: Limits, decide: Decide) -> Self {
        Self {
            slots: Semaphore::new(limits.reviews),
            state,
            limits,
            decide,
        }
    }

    /// Answers a request to one of the webhooks.
    pub(super) async fn answer(&self, webhook: Webhook, request: HttpRequest) -> Response {
        let (parts, mut body) = request.into_parts();
        match self.review(webhook, &parts, &mut body).await {
            Ok(json) => review_response(json),
            Err(reject) => self.refuse(reject, &parts, &mut body).await,
        }
    }

    /// Refuses a request, leaving its connection in a state to go on.
    pub(super) async fn refuse(&self, reject: Reject, parts: &Parts, body: &mut Body) -> Response {
        self.state.metrics.rejected(reject.reason);
        log::rejected(parts.method.as_str(), parts.uri.path(), &reject);
        let emptied = body::discard(body, parts.version, &parts.headers, &self.limits).await;
        reject.response(!emptied)
    }

    async fn review(
        &self,
        webhook: Webhook,
        parts: &Parts,
        body: &mut Body,
    ) -> Result<Vec<u8>, Reject> {
        let begun = Instant::now();
        check_headers(&parts.headers)?;
        let time = given::of(parts.uri.query())?;
        // Before the body is read: it would be read for nothing.
        if self.state.catalog.load().is_none() {
            return Err(not_loaded());
        }
        let _slot = self.slot(time / 2).await?;
        let _counted = InFlight::begin(&self.state.metrics.in_flight);
        let bytes = body::read(body, &self.limits).await?;
        let review = Review::parse(&bytes)?;
        // A tenth is left for the way back.
        let deadline = begun + time - time / 10;
        let answer = self.conclude(webhook, &review.request, deadline).await?;
        let elapsed = begun.elapsed();
        let metrics = &self.state.metrics;
        metrics.answered(webhook, &review.request, &answer, elapsed);
        log::answered(webhook, &review.request, &answer, elapsed);
        Ok(answer.to_json(&review.request.uid))
    }

    /// A place among the reviews that are worked on.
    async fn slot(&self, patience: Duration) -> Result<SemaphorePermit<'_>, Reject> {
        if let Ok(slot) = self.slots.try_acquire() {
            return Ok(slot);
        }
        match timeout(patience, self.slots.acquire()).await {
            Ok(Ok(slot)) => Ok(slot),
            Ok(Err(_)) | Err(_) => Err(Reject::new(
                Reason::Overloaded,
                format!(
                    "{} reviews were in progress for {patience:?}; run more replicas",
                    self.limits.reviews
                ),
            )),
        }
    }

    async fn conclude(
        &self,
        webhook: Webhook,
        request: &Request<'_>,
        deadline: Instant,
    ) -> Result<Answer, Reject> {
        let lookups = match self.decide(webhook, request, Evidence::Cached)? {
            Decision::Answer(answer) => return Ok(answer),
            Decision::Plan(plan) => return Ok(record(plan)),
            Decision::Confirm(lookups) => lookups,
        };
        if let Err(problem) = self.confirm(&lookups, deadline).await {
            log::unconfirmed(webhook, request, &problem);
            return Err(unconfirmed(&problem));
        }
        match self.decide(webhook, request, Evidence::Confirmed)? {
            Decision::Answer(answer) => Ok(answer),
            Decision::Plan(plan) => Ok(record(plan)),
            Decision::Confirm(_) => Err(unconfirmed("the decision asks for it again")),
        }
    }

    /// Decides on what is published now.
    fn decide(
        &self,
        webhook: Webhook,
        request: &Request<'_>,
        evidence: Evidence,
    ) -> Result<Decision, Reject> {
        let catalog = self.state.catalog.load();
        let catalog = catalog.as_ref().ok_or_else(not_loaded)?;
        let policy = self.state.policy.load();
        Ok((self.decide)(webhook, request, catalog, &policy, evidence))
    }

    async fn confirm(&self, lookups: &[Lookup], deadline: Instant) -> Result<(), String> {
        match timeout_at(deadline, self.state.confirmer.confirm(lookups)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("no answer in time".to_owned()),
        }
    }
}

/// Writes a plan's records; then its answer may leave. No kind of record exists yet, and the
/// compiler will ask here for the first one.
fn record(plan: Plan) -> Answer {
    let write = |record: Record| match record {};
    plan.records.into_iter().for_each(write);
    plan.answer
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

fn not_loaded() -> Reject {
    let sentence = "the catalog of networks is not loaded yet; ask again when /readyz says ok";
    Reject::new(Reason::NotLoaded, sentence)
}

fn unconfirmed(problem: &str) -> Reject {
    let sentence =
        format!("a denial rests on what could not be looked up afresh: {problem}; try again");
    Reject::new(Reason::LookupFailed, sentence)
}

fn review_response(json: Vec<u8>) -> Response {
    let mut response = Response::new(Body::from(json));
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
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
