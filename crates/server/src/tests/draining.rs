//! Graceful shutdown.

use std::{sync::Arc, time::Duration};

use tokio::{
    net::TcpStream,
    sync::Notify,
    time::{sleep, timeout},
};

use super::support::*;
use crate::Limits;

const SOON: Duration = Duration::from_secs(3);
const GRACE: Duration = Duration::from_millis(400);

fn graceful() -> Setup {
    Setup {
        limits: Limits {
            drain_grace: GRACE,
            ..limits()
        },
        ..Setup::default()
    }
}

#[tokio::test]
async fn while_draining_it_serves_and_closes_connections() {
    let mut server = graceful().start().await;
    let mut open = server.http1().await;
    assert_eq!(open.post_review("/validate").await.header("connection"), "");
    assert_eq!(server.get("/readyz").await.status, 200);
    server.shutdown.drain();
    eventually(async || server.get("/readyz").await.status == 503).await;
    assert_eq!(server.get("/livez").await.status, 200);

    for client in [&mut open, &mut server.http1().await] {
        let reply = client.post_review("/validate").await;
        assert_eq!((reply.status, reply.header("connection")), (200, "close"));
    }
    assert!(!server.task.is_finished(), "the grace is not over");
    timeout(SOON, &mut server.task).await.unwrap().unwrap();
    assert!(TcpStream::connect(server.address).await.is_err());
}

#[tokio::test]
async fn idle_connections_do_not_hold_up_the_end() {
    let mut server = Setup::default().start().await;
    let mut used = server.http1().await;
    let unused = server.http1().await;
    assert_eq!(used.post_review("/validate").await.status, 200);
    server.shutdown.drain();
    timeout(SOON, &mut server.task).await.unwrap().unwrap();
    eventually(async || used.0.is_closed() && unused.0.is_closed()).await;
}

#[tokio::test]
async fn requests_in_progress_are_finished() {
    let proceed = Arc::new(Notify::new());
    let setup = Setup {
        decide: deny_unless_found,
        live_catalog: Arc::new(FakeOrigin::Waits(proceed.clone())),
        ..Setup::default()
    };
    let mut server = setup.start().await;
    let mut client = server.http1().await;
    let pending = tokio::spawn(async move { client.post_review("/validate").await });
    eventually(async || server.metric("nadmit_reviews_in_flight").await == Some(1.0)).await;
    server.shutdown.drain();
    sleep(Duration::from_millis(50)).await;
    assert!(!server.task.is_finished());
    proceed.notify_one();
    let reply = pending.await.unwrap();
    assert_eq!((reply.status, reply.header("connection")), (200, "close"));
    timeout(SOON, &mut server.task).await.unwrap().unwrap();
}

#[tokio::test]
async fn requests_are_cut_at_the_drain_limit_and_on_abort() {
    for abort in [false, true] {
        let never = Arc::new(Notify::new());
        let drain_limit = Duration::from_millis(if abort { 60_000 } else { 100 });
        let setup = Setup {
            limits: Limits {
                drain_limit,
                ..limits()
            },
            decide: deny_unless_found,
            live_catalog: Arc::new(FakeOrigin::Waits(never)),
            ..Setup::default()
        };
        let mut server = setup.start().await;
        let mut client = server.http1().await;
        let pending = client.0.send_request(post("/validate", REVIEW));
        let pending = tokio::spawn(pending);
        eventually(async || server.metric("nadmit_reviews_in_flight").await == Some(1.0)).await;
        server.shutdown.drain();
        if abort {
            sleep(Duration::from_millis(50)).await;
            assert!(!server.task.is_finished());
            server.shutdown.abort();
        }
        timeout(SOON, &mut server.task).await.unwrap().unwrap();
        assert!(pending.await.unwrap().is_err());
    }
}

#[tokio::test]
async fn http2_connections_get_goaway_at_once_or_after_their_first_request() {
    let server = graceful().start().await;
    let uri = format!("https://localhost:{}/validate", server.address.port());
    let mut old = server.http2().await;
    assert_eq!(
        old.send_request(post(&uri, REVIEW)).await.unwrap().status(),
        200
    );
    server.shutdown.drain();
    eventually(async || old.is_closed()).await;
    assert!(!server.task.is_finished(), "the grace is not over");
    let mut new = server.http2().await;
    assert_eq!(
        new.send_request(post(&uri, REVIEW)).await.unwrap().status(),
        200
    );
    eventually(async || new.is_closed()).await;
    assert!(!server.task.is_finished(), "the grace is not over");
}
