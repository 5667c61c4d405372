//! Responses to reviews: decisions, and errors if there is none.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use tokio::{sync::Notify, time::Instant};

use super::support::*;
use crate::Limits;

#[tokio::test]
async fn a_review_is_answered_with_its_own_uid() {
    let server = Setup::default().start().await;
    let mut client = server.http1().await;
    for path in ["/validate", "/mutate?timeout=10s"] {
        let reply = client.post_review(path).await;
        assert_eq!(reply.status, 200);
        assert_eq!(reply.header("content-type"), "application/json");
        assert_eq!(reply.header("content-length"), reply.body.len().to_string());
        let review: Value = serde_json::from_str(&reply.body).unwrap();
        assert_eq!(review["response"], json!({"uid": "u-1", "allowed": true}));
    }
    let counted = "nadmit_reviews_total{webhook=\"validate\",resource=\"pods\",\
                   operation=\"CREATE\",decision=\"allow\"}";
    assert_eq!(server.metric(counted).await, Some(1.0));
    assert_eq!(server.metric("nadmit_reviews_in_flight").await, Some(0.0));
}

#[tokio::test]
async fn http2_is_negotiated() {
    let server = Setup::default().start().await;
    let mut client = server.http2().await;
    let uri = format!("https://localhost:{}/validate", server.address.port());
    let pending = (0..5).map(|_| client.send_request(post(&uri, REVIEW)));
    for response in futures_util::future::join_all(pending).await {
        let reply = Reply::read(response.unwrap()).await;
        assert_eq!(
            (reply.status, reply.header("content-type")),
            (200, "application/json")
        );
    }
    let reply = client.send_request(post(&uri, "{")).await.unwrap();
    assert_eq!(reply.status(), 400);
}

#[tokio::test]
async fn nothing_is_decided_before_the_catalog_is_loaded() {
    let server = Setup {
        loaded: false,
        ..Setup::default()
    }
    .start()
    .await;
    let mut client = server.http1().await;
    let reply = client.post_review("/validate").await;
    assert_eq!((reply.status, reply.header("retry-after")), (503, "1"));
    assert!(reply.body.contains("not loaded yet"), "{reply:?}");
    server.catalog.store(Some(Arc::default()));
    assert_eq!(client.post_review("/validate").await.status, 200);
}

#[tokio::test]
async fn a_denial_based_on_absence_is_verified_live_first() {
    let server = Setup {
        decide: deny_unless_found,
        ..Setup::default()
    }
    .start()
    .await;
    let reply = server.http1().await.post_review("/validate").await;
    let review: Value = serde_json::from_str(&reply.body).unwrap();
    assert_eq!(review["response"]["allowed"], json!(false), "{review}");
    let counted = "nadmit_findings_total{code=\"unknown-network\",level=\"deny\"}";
    assert_eq!(server.metric(counted).await, Some(1.0));
}

#[tokio::test]
async fn what_the_live_read_finds_is_allowed() {
    let origin = Arc::new(FakeOrigin::Publishes(Default::default()));
    let setup = Setup {
        decide: deny_unless_found,
        live_catalog: origin.clone(),
        ..Setup::default()
    };
    let server = setup.start().await;
    if let FakeOrigin::Publishes(catalog) = &*origin {
        *catalog.lock().unwrap() = Some(server.catalog.clone());
    }
    let reply = server.http1().await.post_review("/validate").await;
    assert!(reply.body.contains("\"allowed\":true"), "{reply:?}");
}

#[tokio::test]
async fn a_warning_is_given_even_if_the_live_read_fails() {
    let origin = Arc::new(FakeOrigin::Publishes(Default::default()));
    let setup = Setup {
        decide: warn_unless_found,
        live_catalog: origin.clone(),
        ..Setup::default()
    };
    let server = setup.start().await;
    if let FakeOrigin::Publishes(catalog) = &*origin {
        *catalog.lock().unwrap() = Some(server.catalog.clone());
    }
    let reply = server.http1().await.post_review("/validate").await;
    assert!(!reply.body.contains("not there"), "{reply:?}");
    let never = Arc::new(Notify::new());
    for origin in [
        FakeOrigin::Fails,
        FakeOrigin::Waits(never),
        FakeOrigin::Answers,
    ] {
        let setup = Setup {
            decide: warn_unless_found,
            live_catalog: Arc::new(origin),
            ..Setup::default()
        };
        let server = setup.start().await;
        let reply = server
            .http1()
            .await
            .post_review("/validate?timeout=50ms")
            .await;
        assert_eq!(reply.status, 200);
        assert!(reply.body.contains("it is not there"), "{reply:?}");
    }
}

#[tokio::test]
async fn a_denial_without_its_live_read_is_an_error() {
    let never = Arc::new(Notify::new());
    for (origin, expected) in [
        (FakeOrigin::Fails, "is away"),
        (FakeOrigin::Waits(never), "in time"),
    ] {
        let setup = Setup {
            decide: deny_unless_found,
            live_catalog: Arc::new(origin),
            ..Setup::default()
        };
        let server = setup.start().await;
        let reply = server
            .http1()
            .await
            .post_review("/validate?timeout=50ms")
            .await;
        assert_eq!(reply.status, 500);
        assert!(reply.body.contains(expected), "{reply:?}");
    }
}

#[tokio::test]
async fn too_many_at_once_are_turned_away_after_half_their_time() {
    let proceed = Arc::new(Notify::new());
    let setup = Setup {
        limits: Limits {
            reviews: 1,
            ..limits()
        },
        decide: deny_unless_found,
        live_catalog: Arc::new(FakeOrigin::Waits(proceed.clone())),
        ..Setup::default()
    };
    let server = setup.start().await;
    let mut first = server.http1().await;
    let first = tokio::spawn(async move { first.post_review("/validate").await });
    eventually(async || server.metric("nadmit_reviews_in_flight").await == Some(1.0)).await;

    let begun = Instant::now();
    let mut second = server.http1().await;
    let reply = second.post_review("/validate?timeout=200ms").await;
    assert_eq!((reply.status, reply.header("retry-after")), (503, "1"));
    assert_eq!(
        reply.header("connection"),
        "",
        "the connection stays of use"
    );
    assert!(begun.elapsed() >= Duration::from_millis(100));
    proceed.notify_one();
    assert_eq!(first.await.unwrap().status, 200);
    proceed.notify_one();
    assert_eq!(second.post_review("/validate").await.status, 200);
}

#[tokio::test]
async fn a_panic_ends_the_request_and_nothing_else() {
    let server = Setup {
        decide: panics,
        ..Setup::default()
    }
    .start()
    .await;
    let mut client = server.http1().await;
    let reply = client.post_review("/validate").await;
    assert_eq!((reply.status, reply.header("connection")), (500, "close"));
    assert!(reply.body.contains("see the log of nadmit"), "{reply:?}");
    assert_eq!(
        server.http1().await.post_review("/mutate").await.status,
        200
    );
    let counted = "nadmit_rejected_requests_total{reason=\"panic\"}";
    assert_eq!(server.metric(counted).await, Some(1.0));
    assert_eq!(server.metric("nadmit_reviews_in_flight").await, Some(0.0));
}
