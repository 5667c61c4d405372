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

use super::{ApiCall, ApiError, RetryPolicy, call, keep_retry_after};

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

fn words() -> String {
    "words".to_owned()
}

#[test]
fn an_answer_means_what_its_reason_says() {
    let of = |code, reason: &str| ApiError::of(&error(code, reason));
    assert_eq!(
        of(409, "AlreadyExists"),
        ApiError::AlreadyExists(words()),
        "AlreadyExists and Conflict have one code"
    );
    assert_eq!(of(409, "Conflict"), ApiError::Conflict(words()));
    assert_eq!(of(410, "Expired"), ApiError::Expired(words()));
    assert_eq!(of(410, "Gone"), ApiError::Expired(words()));
    for code in [400, 401, 403, 405, 422] {
        let message = words();
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
fn only_a_status_about_an_object_says_that_it_is_gone() {
    let gone = status(404, reason::NOT_FOUND).with_details(details("192.0.2.1", 0));
    assert_eq!(ApiError::of_status(&gone), ApiError::NotFound(words()));
    // The path of a kind without a definition, as kube passes it on; and a proxy's page.
    let nobody = status(404, "Failed to parse error data");
    assert_eq!(ApiError::of_status(&nobody), ApiError::NotServed(words()));
    let nameless = status(404, reason::NOT_FOUND);
    assert_eq!(ApiError::of_status(&nameless), ApiError::NotServed(words()));
}

#[test]
fn what_did_not_get_there_is_told_from_what_may_have() {
    let refused = ApiError::of(&refused_connection());
    assert!(matches!(refused, ApiError::Unavailable(_)), "{refused}");
    for kind in [
        io::ErrorKind::ConnectionReset,
        io::ErrorKind::UnexpectedEof,
        io::ErrorKind::TimedOut,
    ] {
        let lost = kube::Error::Service(Box::new(io::Error::from(kind)));
        let lost = ApiError::of(&lost);
        assert!(matches!(lost, ApiError::Uncertain { .. }), "{kind}: {lost}");
    }
}

/// Makes a call that gets these responses in turn; also returns the times of its requests, in
/// milliseconds.
async fn asked(
    policy: RetryPolicy,
    answers: Vec<Option<kube::Result<u8>>>,
) -> (Result<u8, ApiError>, Vec<u128>, ApiCall) {
    let start = Instant::now();
    let (times, answers) = (RefCell::new(Vec::new()), RefCell::new(answers.into_iter()));
    let mut call = ApiCall::begin(policy);
    let told = call
        .write(|| {
            times.borrow_mut().push(start.elapsed().as_millis());
            let next = answers.borrow_mut().next().flatten();
            async {
                match next {
                    Some(answer) => answer,
                    None => std::future::pending().await,
                }
            }
        })
        .await;
    (told, times.into_inner(), call)
}

const PATIENCE: RetryPolicy = RetryPolicy {
    attempt: Duration::from_millis(1_000),
    total: Duration::from_millis(10_000),
    initial_backoff: Duration::from_millis(100),
    max_backoff: Duration::from_millis(300),
};

#[tokio::test(start_paused = true)]
async fn pauses_grow_to_the_longest() {
    let broken = || Some(Err(error(500, "InternalError")));
    let answers = vec![broken(), broken(), broken(), broken(), Some(Ok(7))];
    let (told, times, call) = asked(PATIENCE, answers).await;
    assert_eq!(told, Ok(7));
    assert_eq!(times, [0, 100, 300, 600, 900]);
    assert!(call.uncertain());
    assert_eq!(call.retries(), 4);
}

#[tokio::test(start_paused = true)]
async fn the_servers_wish_counts_where_it_is_longer() {
    let (told, times, call) = asked(PATIENCE, vec![Some(Err(busy(2))), Some(Ok(7))]).await;
    assert_eq!((told, times), (Ok(7), vec![0, 2_000]));
    assert!(!call.uncertain(), "what is turned away did not happen");
    // If it exceeds the total timeout, waiting is pointless.
    let (told, times, _) = asked(PATIENCE, vec![Some(Err(busy(60))), Some(Ok(7))]).await;
    assert_eq!(times, [0]);
    let after = told.as_ref().err().and_then(ApiError::retry_after);
    assert_eq!(after, Some(Duration::from_secs(60)), "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn silence_ends_an_attempt_and_then_the_patience() {
    let (told, times, call) = asked(PATIENCE, vec![None, Some(Ok(7))]).await;
    assert_eq!((told, times), (Ok(7), vec![0, 1_100]));
    assert!(call.uncertain());
    let start = Instant::now();
    let (told, times, _) = asked(PATIENCE, Vec::new()).await;
    assert!(matches!(told, Err(ApiError::Uncertain { .. })), "{told:?}");
    assert!(start.elapsed() <= PATIENCE.total, "{times:?}");
    assert!(times.len() >= 7, "{times:?}");
}

#[tokio::test(start_paused = true)]
async fn what_repeating_cannot_change_is_not_repeated() {
    for (code, reason) in [(403, "Forbidden"), (409, "Conflict"), (422, "Invalid")] {
        let (told, times, _) = asked(PATIENCE, vec![Some(Err(error(code, reason)))]).await;
        assert!(told.is_err());
        assert_eq!(times, [0], "{reason}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_cannot_be_reached_is_tried_again() {
    let answers = RefCell::new(vec![Ok(7), Err(refused_connection())]);
    let next = || answers.borrow_mut().pop();
    let told = call(PATIENCE, || {
        let next = next();
        async { next.unwrap_or(Err(error(500, "none left"))) }
    });
    assert_eq!(told.await, Ok(7));
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
    let answer = ApiError::of_status(&status);
    assert!(matches!(answer, ApiError::Throttled { .. }), "{answer}");
    assert_eq!(answer.retry_after(), Some(Duration::from_secs(4)));
}
