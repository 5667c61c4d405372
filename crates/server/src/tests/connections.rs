//! Connection timeouts and eviction.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, sleep, timeout},
};

use super::support::*;
use crate::Limits;

const SHORT: Duration = Duration::from_millis(100);
const LONG: Duration = Duration::from_millis(600);

fn short_timeouts() -> Limits {
    Limits {
        header: SHORT,
        first_request: LONG,
        idle: LONG,
        ..limits()
    }
}

fn setup(limits: Limits) -> Setup {
    Setup {
        limits,
        ..Setup::default()
    }
}

#[tokio::test]
async fn the_idle_timeout_is_longer_than_the_header_timeout() {
    let server = setup(short_timeouts()).start().await;
    let mut client = server.http1().await;
    for _ in 0..2 {
        assert_eq!(client.post_review("/validate").await.status, 200);
        sleep(SHORT * 3).await;
    }
    assert_eq!(client.post_review("/validate").await.status, 200);
    let begun = Instant::now();
    while !client.0.is_closed() {
        assert!(begun.elapsed() < LONG * 4);
        sleep(SHORT / 10).await;
    }
    assert!(begun.elapsed() >= LONG - SHORT);
}

#[tokio::test]
async fn a_slow_head_is_cut_on_new_and_used_connections() {
    let server = setup(short_timeouts()).start().await;
    for warm in [false, true] {
        let mut client = server.connect(&[]).await;
        if warm {
            let length = REVIEW.len();
            let request = format!(
                "POST /validate HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
                 content-length: {length}\r\n\r\n{REVIEW}"
            );
            client.write_all(request.as_bytes()).await.unwrap();
            let mut some = [0; 64];
            assert!(client.read(&mut some).await.unwrap() > 0);
            sleep(SHORT * 2).await;
        }
        let begun = Instant::now();
        let mut cut = false;
        while !cut {
            assert!(begun.elapsed() < LONG, "it was let trickle");
            cut = client.write_all(b"P").await.is_err();
            let mut some = [0; 1024];
            if let Ok(read) = timeout(SHORT / 5, client.read(&mut some)).await {
                cut |= read.map_or(true, |bytes| bytes == 0);
            }
        }
        assert!(begun.elapsed() >= SHORT);
    }
}

#[tokio::test]
async fn a_request_that_takes_long_to_answer_is_not_idle() {
    let proceed = std::sync::Arc::new(tokio::sync::Notify::new());
    let setup = Setup {
        limits: Limits {
            idle: SHORT,
            ..short_timeouts()
        },
        decide: deny_unless_found,
        live_catalog: std::sync::Arc::new(FakeOrigin::Waits(proceed.clone())),
        ..Setup::default()
    };
    let server = setup.start().await;
    let mut client = server.http1().await;
    let pending = tokio::spawn(async move { client.post_review("/validate").await });
    sleep(SHORT * 3).await;
    proceed.notify_one();
    assert_eq!(pending.await.unwrap().status, 200);
}

#[tokio::test]
async fn unused_http2_connections_are_closed_and_used_ones_may_idle() {
    let server = setup(short_timeouts()).start().await;
    let silent = server.http2().await;
    let mut used = server.http2().await;
    let uri = format!("https://localhost:{}/validate", server.address.port());
    assert_eq!(
        used.send_request(post(&uri, REVIEW))
            .await
            .unwrap()
            .status(),
        200
    );
    sleep(LONG + SHORT).await;
    assert!(silent.is_closed());
    assert_eq!(
        used.send_request(post(&uri, REVIEW))
            .await
            .unwrap()
            .status(),
        200
    );
}

#[tokio::test]
async fn handshakes_must_be_tls_and_finish_in_time() {
    let limits = Limits {
        handshake: SHORT,
        ..limits()
    };
    let server = setup(limits).start().await;
    for bytes in ["", "GET / HTTP/1.1\r\n\r\n"] {
        let mut client = TcpStream::connect(server.address).await.unwrap();
        client.write_all(bytes.as_bytes()).await.unwrap();
        let mut end = Vec::new();
        let _ = timeout(LONG, client.read_to_end(&mut end))
            .await
            .expect("it was kept");
    }
    eventually(async || server.metric("nadmit_tls_handshake_failures_total").await == Some(2.0))
        .await;
}

#[tokio::test]
async fn connections_without_a_request_are_closed() {
    let limits = Limits {
        first_request: SHORT,
        ..limits()
    };
    let server = setup(limits).start().await;
    for alpn in ["http/1.1", "h2"] {
        let mut silent = server.connect(&[alpn]).await;
        let mut end = Vec::new();
        let ended = timeout(LONG, silent.read_to_end(&mut end)).await;
        assert!(ended.is_ok(), "{alpn}");
    }
}

#[tokio::test]
async fn unused_connections_do_not_block_new_ones() {
    const CAP: usize = 8;
    let limits = Limits {
        connections: CAP,
        ..limits()
    };
    let server = setup(limits).start().await;
    let mut used = server.http1().await;
    assert_eq!(used.post_review("/validate").await.status, 200);
    let (mut open, mut shaken) = (Vec::new(), Vec::new());
    for _ in 0..CAP {
        // Before, during and after the handshake.
        open.push(TcpStream::connect(server.address).await.unwrap());
        let mut begun = TcpStream::connect(server.address).await.unwrap();
        begun.write_all(&[22, 3, 1, 2, 0, 1]).await.unwrap();
        open.push(begun);
        shaken.push(server.connect(&["h2"]).await);
    }
    let served = timeout(LONG * 4, async {
        server.http1().await.post_review("/validate").await.status
    });
    assert_eq!(served.await.expect("an answer"), 200);
    assert_eq!(
        used.post_review("/validate").await.status,
        200,
        "who asks stays"
    );
    assert!(server.metric("nadmit_evicted_connections_total").await > Some(0.0));
}

#[tokio::test]
async fn a_busy_connection_is_not_evicted() {
    let proceed = std::sync::Arc::new(tokio::sync::Notify::new());
    let setup = Setup {
        limits: Limits {
            connections: 1,
            ..limits()
        },
        decide: deny_unless_found,
        live_catalog: std::sync::Arc::new(FakeOrigin::Waits(proceed.clone())),
        ..Setup::default()
    };
    let server = setup.start().await;
    let mut first = server.http1().await;
    let pending = tokio::spawn(async move { (first.post_review("/validate").await.status, first) });
    eventually(async || server.metric("nadmit_reviews_in_flight").await == Some(1.0)).await;
    assert!(timeout(SHORT * 3, server.connect(&[])).await.is_err());
    proceed.notify_one();
    let (status, idle) = pending.await.unwrap();
    assert_eq!(status, 200);
    let second = timeout(LONG * 4, server.connect(&[])).await;
    assert!(second.is_ok(), "an idle connection gives way");
    eventually(async || idle.0.is_closed()).await;
}
