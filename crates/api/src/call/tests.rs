//! Tests of the classification of errors, and of retries.

use std::{cell::RefCell, io, time::Duration};

use http::Response;
use http_body_util::BodyExt as _;
use kube::{
    client::Body,
    core::{
        Status,
        response::{StatusDetails, reason},
    },
};
use tokio::time::Instant;

use super::{ApiCall, ApiError, RetryPolicy, call, client::keep_retry_after};

fn status(code: u16, reason: &str) -> Status {
    Status::failure("words", reason).with_code(code)
}

fn error(code: u16, reason: &str) -> kube::Error {
    kube::Error::Api(status(code, reason).boxed())
}

fn details(name: &str, retry_after_seconds: u32) -> StatusDetails {
    StatusDetails {
        name: name.to_owned(),
        group: String::new(),
        kind: String::new(),
        uid: String::new(),
        causes: Vec::new(),
        retry_after_seconds,
    }
}

fn busy(seconds: u32) -> kube::Error {
    let status = status(429, reason::TOO_MANY_REQUESTS);
    kube::Error::Api(status.with_details(details("", seconds)).boxed())
}

fn refused_connection() -> kube::Error {
    kube::Error::Service(Box::new(io::Error::from(io::ErrorKind::ConnectionRefused)))
}

fn message() -> String {
    "words".to_owned()
}

#[test]
fn errors_are_classified_by_reason() {
    let of = |code, reason: &str| ApiError::from_kube(&error(code, reason));
    assert_eq!(
        of(409, "AlreadyExists"),
        ApiError::AlreadyExists(message()),
        "AlreadyExists and Conflict have one code"
    );
    assert_eq!(of(409, "Conflict"), ApiError::Conflict(message()));
    assert_eq!(of(410, "Expired"), ApiError::Expired(message()));
    assert_eq!(of(410, "Gone"), ApiError::Expired(message()));
    for code in [400, 401, 403, 405, 422] {
        let message = message();
        assert_eq!(of(code, "Whatever"), ApiError::Refused { code, message });
    }
    for code in [0, 500, 502, 503, 504] {
        assert!(
            matches!(of(code, "InternalError"), ApiError::Uncertain { .. }),
            "{code}"
        );
    }
}

#[test]
fn only_a_status_about_an_object_is_not_found() {
    let gone = status(404, reason::NOT_FOUND).with_details(details("192.0.2.1", 0));
    assert_eq!(ApiError::from_status(&gone), ApiError::NotFound(message()));
    // The path of a kind without a definition, as kube passes it on; and a proxy's page.
    let unserved = status(404, "Failed to parse error data");
    assert_eq!(
        ApiError::from_status(&unserved),
        ApiError::NotServed(message())
    );
    let nameless = status(404, reason::NOT_FOUND);
    assert_eq!(
        ApiError::from_status(&nameless),
        ApiError::NotServed(message())
    );
}

#[test]
fn unsent_requests_differ_from_uncertain_ones() {
    let refused = ApiError::from_kube(&refused_connection());
    assert!(matches!(refused, ApiError::Unavailable(_)), "{refused}");
    for kind in [
        io::ErrorKind::ConnectionReset,
        io::ErrorKind::UnexpectedEof,
        io::ErrorKind::TimedOut,
    ] {
        let lost = kube::Error::Service(Box::new(io::Error::from(kind)));
        let lost = ApiError::from_kube(&lost);
        assert!(matches!(lost, ApiError::Uncertain { .. }), "{kind}: {lost}");
    }
}

/// Makes a call that gets these responses in turn; also returns the times of its requests, in
/// milliseconds.
async fn call_with(
    policy: RetryPolicy,
    responses: Vec<Option<kube::Result<u8>>>,
) -> (Result<u8, ApiError>, Vec<u128>, ApiCall) {
    let start = Instant::now();
    let (times, responses) = (
        RefCell::new(Vec::new()),
        RefCell::new(responses.into_iter()),
    );
    let mut call = ApiCall::begin(policy);
    let result = call
        .write(|| {
            times.borrow_mut().push(start.elapsed().as_millis());
            let next = responses.borrow_mut().next().flatten();
            async {
                match next {
                    Some(answer) => answer,
                    None => std::future::pending().await,
                }
            }
        })
        .await;
    (result, times.into_inner(), call)
}

const POLICY: RetryPolicy = RetryPolicy {
    attempt_timeout: Duration::from_millis(1_000),
    total_timeout: Duration::from_millis(10_000),
    initial_backoff: Duration::from_millis(100),
    max_backoff: Duration::from_millis(300),
};

#[tokio::test(start_paused = true)]
async fn pauses_grow_to_the_maximum() {
    let broken = || Some(Err(error(500, "InternalError")));
    let responses = vec![broken(), broken(), broken(), broken(), Some(Ok(7))];
    let (result, times, call) = call_with(POLICY, responses).await;
    assert_eq!(result, Ok(7));
    assert_eq!(times, [0, 100, 300, 600, 900]);
    assert!(call.uncertain());
    assert_eq!(call.retries(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_longer_retry_after_is_respected() {
    let (result, times, call) = call_with(POLICY, vec![Some(Err(busy(2))), Some(Ok(7))]).await;
    assert_eq!((result, times), (Ok(7), vec![0, 2_000]));
    assert!(!call.uncertain(), "what is turned away did not happen");
    // If it exceeds the total timeout, waiting is pointless.
    let (result, times, _) = call_with(POLICY, vec![Some(Err(busy(60))), Some(Ok(7))]).await;
    assert_eq!(times, [0]);
    let after = result.as_ref().err().and_then(ApiError::retry_after);
    assert_eq!(after, Some(Duration::from_secs(60)), "{result:?}");
}

#[tokio::test(start_paused = true)]
async fn missing_responses_time_out() {
    let (result, times, call) = call_with(POLICY, vec![None, Some(Ok(7))]).await;
    assert_eq!((result, times), (Ok(7), vec![0, 1_100]));
    assert!(call.uncertain());
    let start = Instant::now();
    let (result, times, _) = call_with(POLICY, Vec::new()).await;
    assert!(
        matches!(result, Err(ApiError::Uncertain { .. })),
        "{result:?}"
    );
    assert!(start.elapsed() <= POLICY.total_timeout, "{times:?}");
    assert!(times.len() >= 7, "{times:?}");
}

#[tokio::test(start_paused = true)]
async fn final_errors_are_not_retried() {
    for (code, reason) in [(403, "Forbidden"), (409, "Conflict"), (422, "Invalid")] {
        let (result, times, _) = call_with(POLICY, vec![Some(Err(error(code, reason)))]).await;
        assert!(result.is_err());
        assert_eq!(times, [0], "{reason}");
    }
}

#[tokio::test(start_paused = true)]
async fn unreachable_servers_are_retried() {
    let responses = RefCell::new(vec![Ok(7), Err(refused_connection())]);
    let next = || responses.borrow_mut().pop();
    let result = call(POLICY, || {
        let next = next();
        async { next.unwrap_or(Err(error(500, "none left"))) }
    });
    assert_eq!(result.await, Ok(7));
}

#[tokio::test]
async fn a_header_that_kube_would_drop_becomes_a_status() {
    let turned_away = Response::builder()
        .status(429)
        .header("Retry-After", "4")
        .header("Content-Type", "text/plain; charset=utf-8")
        .body(Body::from(
            b"Too many requests, please try again later.".to_vec(),
        ))
        .unwrap_or_else(|e| panic!("{e}"));
    let body = keep_retry_after(turned_away).into_body().collect().await;
    let body = body.unwrap_or_else(|e| panic!("{e}")).to_bytes();
    let status: Status = serde_json::from_slice(&body).unwrap_or_else(|e| panic!("{e}"));
    let answer = ApiError::from_status(&status);
    assert!(matches!(answer, ApiError::Throttled { .. }), "{answer}");
    assert_eq!(answer.retry_after(), Some(Duration::from_secs(4)));
}
