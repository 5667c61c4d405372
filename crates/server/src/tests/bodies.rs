//! Bodies of many clients: their memory is limited, and they do not block others.

use std::{convert::Infallible, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::{Request, header};
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use hyper::{body::Frame, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::AsyncWriteExt as _,
    sync::Notify,
    time::{Instant, timeout},
};

use super::support::*;
use crate::Limits;

const SOON: Duration = Duration::from_secs(5);

/// A body that sends `begin` and never ends.
fn unfinished(begin: &str) -> BoxBody<Bytes, Infallible> {
    let begin = Frame::data(Bytes::from(begin.to_owned()));
    let frames = stream::iter([Ok(begin)]).chain(stream::pending());
    BodyExt::boxed(StreamBody::new(frames))
}

/// Sends `count` reviews with such bodies on one HTTP/2 connection; dropping the result cancels
/// them.
async fn send_many(
    server: &Running,
    count: usize,
    body: fn() -> BoxBody<Bytes, Infallible>,
) -> PendingRequests {
    let stream = server.connect(&["h2"]).await;
    let builder = http2::Builder::new(TokioExecutor::new());
    let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let uri = format!("https://localhost:{}/validate", server.address.port());
    let pending = (0..count).map(|_| {
        let request = Request::post(&uri).header(header::CONTENT_TYPE, "application/json");
        let response = sender.send_request(request.body(body()).unwrap());
        tokio::spawn(async move { drop(response.await) })
    });
    PendingRequests(pending.collect())
}

struct PendingRequests(Vec<tokio::task::JoinHandle<()>>);

impl Drop for PendingRequests {
    fn drop(&mut self) {
        for pending in &self.0 {
            pending.abort();
        }
    }
}

fn few_slots() -> Limits {
    Limits {
        reviews: 8,
        ..limits()
    }
}

#[tokio::test]
async fn unfinished_bodies_take_no_review_slots() {
    let server = Setup {
        limits: few_slots(),
        ..Setup::default()
    }
    .start()
    .await;
    let mut many = Vec::new();
    for _ in 0..3 {
        many.push(send_many(&server, 100, || unfinished("{")).await);
    }
    for _ in 0..3 {
        let pending = async {
            server
                .http1()
                .await
                .post_review("/validate?timeout=2s")
                .await
                .status
        };
        assert_eq!(timeout(SOON, pending).await.expect("an answer"), 200);
    }
}

#[tokio::test]
async fn one_connection_does_not_take_all_review_slots() {
    let setup = Setup {
        limits: few_slots(),
        decide: deny_unless_found,
        live_catalog: Arc::new(FakeOrigin::Waits(Arc::new(Notify::new()))),
        ..Setup::default()
    };
    let server = setup.start().await;
    let _many = send_many(&server, 100, || BodyExt::boxed(Full::from(REVIEW))).await;
    eventually(async || server.metric("nadmit_reviews_in_flight").await > Some(0.0)).await;
    let before = server.metric("nadmit_reviews_in_flight").await.unwrap();
    assert!(before < 4.0, "{before} of 8");
    let mut other = server.http1().await;
    let pending = tokio::spawn(async move { other.post_review("/validate").await });
    eventually(async || server.metric("nadmit_reviews_in_flight").await == Some(before + 1.0))
        .await;
    pending.abort();
}

#[tokio::test]
async fn slow_large_bodies_do_not_block_small_ones() {
    let server = Setup::limited(Limits {
        body_bytes: 1 << 20,
        bodies_bytes: 2 << 20,
        ..limits()
    })
    .start()
    .await;
    let mut slow = Vec::new();
    let head = "POST /validate HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
                content-length: 1000000\r\n\r\n";
    for _ in 0..40 {
        let mut client = server.connect(&[]).await;
        client.write_all(head.as_bytes()).await.unwrap();
        // Data beyond the budget is not read.
        let _ = timeout(
            Duration::from_millis(50),
            client.write_all(&[b' '; 900_000]),
        )
        .await;
        slow.push(client);
    }
    let begun = Instant::now();
    for _ in 0..3 {
        let pending = async { server.http1().await.post_review("/validate").await.status };
        assert_eq!(timeout(SOON, pending).await.expect("an answer"), 200);
    }
    assert!(begun.elapsed() < SOON);
}
