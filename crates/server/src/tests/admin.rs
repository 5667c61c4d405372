//! The admin listener.

use std::{sync::Arc, time::Duration};

use http::{Method, Request};
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::{
    io::AsyncWriteExt as _,
    net::TcpStream,
    time::{Instant, timeout},
};

use super::support::*;

#[tokio::test]
async fn ready_means_loaded_and_alive_means_running() {
    let server = Setup {
        loaded: false,
        ..Setup::default()
    }
    .start()
    .await;
    let reply = server.get("/readyz").await;
    assert_eq!(reply.status, 503);
    assert!(reply.body.contains("not loaded yet"), "{reply:?}");
    assert_eq!(server.get("/livez").await.body, "ok\n");
    server.catalog.store(Some(Arc::default()));
    let reply = server.get("/readyz").await;
    assert_eq!((reply.status, &*reply.body), (200, "ok\n"));
}

#[tokio::test]
async fn metrics_are_open_metrics() {
    let server = Setup::default().start().await;
    server.http1().await.post_review("/validate").await;
    let reply = server.get("/metrics").await;
    assert!(
        reply
            .header("content-type")
            .starts_with("application/openmetrics-text")
    );
    assert!(reply.body.ends_with("# EOF\n"));
    for name in [
        "nadmit_reviews_total{",
        "nadmit_review_duration_seconds_bucket{",
        "nadmit_reviews_in_flight ",
        "nadmit_open_connections ",
        "nadmit_catalog_networks ",
        "nadmit_certificate_expiry_timestamp_seconds ",
        "nadmit_build_info{version=",
    ] {
        assert!(
            reply.body.contains(&format!("\n{name}")),
            "{name}: {}",
            reply.body
        );
    }
}

#[tokio::test]
async fn only_reading_is_allowed() {
    let server = Setup::default().start().await;
    for (method, path, status) in [
        (Method::HEAD, "/livez", 200),
        (Method::POST, "/livez", 405),
        (Method::DELETE, "/metrics", 405),
        (Method::GET, "/validate", 404),
    ] {
        let stream = TokioIo::new(TcpStream::connect(server.admin).await.unwrap());
        let (sender, connection) = http1::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        let request = Request::builder()
            .method(&method)
            .uri(path)
            .body(Full::default());
        let reply = Http1(sender).send(request.unwrap()).await;
        assert_eq!(reply.status, status, "{method} {path}");
        let allow = if status == 405 { "GET,HEAD" } else { "" };
        assert_eq!(reply.header("allow"), allow);
    }
}

#[tokio::test]
async fn probes_are_answered_while_others_hold_connections() {
    let server = Setup::default().start().await;
    let mut held = Vec::new();
    for number in 0..200 {
        let mut idle = TcpStream::connect(server.admin).await.unwrap();
        // Nothing, a partial head, a body that does not arrive, a response that is not read.
        let sent = [
            "",
            "GET /li",
            "GET /livez HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n",
            "GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n",
        ];
        idle.write_all(sent[number % 4].as_bytes()).await.unwrap();
        held.push(idle);
    }
    for path in ["/livez", "/readyz", "/metrics"] {
        let begun = Instant::now();
        let reply = timeout(Duration::from_secs(1), server.get(path)).await;
        let reply = reply.unwrap_or_else(|_| panic!("{path} was not answered"));
        assert_eq!((reply.status, reply.header("connection")), (200, "close"));
        assert!(begun.elapsed() < Duration::from_secs(1));
    }
}
