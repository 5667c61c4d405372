//! Any bytes are answered with 200 and a review, or with a 4xx and a sentence.

use axum::{Router, body::Body};
use http::{Request, StatusCode, header};
use http_body_util::BodyExt as _;
use proptest::{prelude::*, test_runner::TestRunner};
use tower::ServiceExt as _;

use super::support::*;
use jiff::Timestamp;

use crate::webhook_routes;
use nadmit_host::clock::Clock;

const CAPTURED: [&str; 3] = [
    include_str!("../../../../tests/fixtures/reviews/pod-create-name.validate.json"),
    include_str!("../../../../tests/fixtures/reviews/pod-update-annotations.validate.json"),
    include_str!("../../../../tests/fixtures/reviews/nad-update.validate.json"),
];

fn router() -> Router {
    let state = state(Setup::default().live_catalog);
    state.catalog.store(Some(Default::default()));
    webhook_routes(state, limits(), Clock::new(Timestamp::now))
}

async fn answer(router: &Router, path: &str, body: Vec<u8>) -> (StatusCode, bytes::Bytes) {
    let request = Request::post(path)
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(body))
        .unwrap();
    let response = router.clone().oneshot(request).await.unwrap();
    let status = response.status();
    (
        status,
        response.into_body().collect().await.unwrap().to_bytes(),
    )
}

/// Noise, truncated JSON, and captured reviews with some bytes changed.
fn body() -> impl Strategy<Value = Vec<u8>> {
    let captured = prop::sample::select(&CAPTURED[..]);
    let edits = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..5);
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..64),
        (captured.clone(), any::<prop::sample::Index>())
            .prop_map(|(text, end)| text.as_bytes()[..end.index(text.len())].to_vec()),
        (captured, edits).prop_map(|(text, edits)| {
            let mut bytes = text.as_bytes().to_vec();
            for (at, byte) in edits {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            bytes
        }),
    ]
}

#[test]
fn any_bytes_are_answered_by_a_review_or_a_4xx() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let router = router();
    let config = ProptestConfig {
        cases: 400,
        failure_persistence: None,
        ..Default::default()
    };
    let paths = prop::sample::select(&["/validate", "/mutate", "/validate?timeout=1s"][..]);
    TestRunner::new(config)
        .run(&(paths, body()), |(path, body)| {
            let (status, answer) = runtime.block_on(answer(&router, path, body));
            if status == StatusCode::OK {
                let review: serde_json::Value = serde_json::from_slice(&answer).unwrap();
                prop_assert!(review["response"]["allowed"].is_boolean());
            } else {
                prop_assert!(status.is_client_error(), "{}", status);
                let lines = answer.iter().filter(|byte| **byte == b'\n').count();
                prop_assert_eq!(lines, 1, "{:?}", answer);
            }
            Ok(())
        })
        .unwrap();
}
