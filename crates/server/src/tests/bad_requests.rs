//! Invalid requests get an error with a sentence and leave the server intact.

use std::time::Duration;

use http::{Request, header};
use http_body_util::Full;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::support::*;
use crate::Limits;

/// An invalid request with the expected response.
struct BadRequest {
    request: Request<Full<bytes::Bytes>>,
    status: u16,
    expected: &'static str,
    reason: &'static str,
}

fn bad_requests() -> Vec<BadRequest> {
    let bad = |request, status, expected, reason| BadRequest {
        request,
        status,
        expected,
        reason,
    };
    let with = |name, value: &str| {
        let mut request = post("/validate", REVIEW);
        request.headers_mut().insert(name, value.parse().unwrap());
        request
    };
    let with_body = |body: &str| post("/validate", body);
    let of = |method: &str, path: &str| {
        let mut request = post(path, REVIEW);
        *request.method_mut() = method.parse().unwrap();
        request
    };
    let mut untyped = post("/validate", REVIEW);
    untyped.headers_mut().remove(header::CONTENT_TYPE);
    let v1beta1 = REVIEW.replace("admission.k8s.io/v1", "admission.k8s.io/v1beta1");
    let other_kind = REVIEW.replace("AdmissionReview", "Pod");
    let no_uid = REVIEW.replace("\"uid\":\"u-1\",", "");
    let no_request = r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview"}"#;
    let gzip = with(header::CONTENT_ENCODING, "gzip");
    let yaml = with(header::CONTENT_TYPE, "application/yaml");
    vec![
        bad(of("POST", "/"), 404, "/validate or /mutate", "path"),
        bad(
            of("POST", "/validate/"),
            404,
            "/validate or /mutate",
            "path",
        ),
        bad(of("GET", "/metrics"), 404, "/validate or /mutate", "path"),
        bad(of("GET", "/validate"), 405, "GET is not allowed", "method"),
        bad(of("PUT", "/mutate"), 405, "PUT is not allowed", "method"),
        bad(of("BREW", "/mutate"), 405, "BREW is not allowed", "method"),
        bad(untyped, 415, "application/json", "content-type"),
        bad(yaml, 415, "application/json", "content-type"),
        bad(gzip, 415, "without Content-Encoding", "content-encoding"),
        bad(
            of("POST", "/mutate?timeout=soon"),
            400,
            "10s, 1m30s",
            "timeout-parameter",
        ),
        bad(with_body(""), 400, "not JSON", "not-json"),
        bad(with_body("{"), 400, "not JSON", "not-json"),
        bad(with_body("\u{0}\u{1}"), 400, "not JSON", "not-json"),
        bad(with_body("[]"), 400, "AdmissionReview", "not-a-review"),
        bad(with_body("{}"), 400, "AdmissionReview", "not-a-review"),
        bad(with_body(&other_kind), 400, "\"Pod\"", "not-a-review"),
        bad(with_body(&v1beta1), 400, "v1beta1", "not-a-review"),
        bad(with_body(no_request), 400, "no request", "not-a-review"),
        bad(with_body(&no_uid), 400, "uid", "not-a-review"),
        bad(
            with_body(&" ".repeat(9000)),
            413,
            "larger than 8192 bytes",
            "too-large",
        ),
    ]
}

#[tokio::test]
async fn a_bad_request_gets_a_sentence_and_its_connection_lives_on() {
    let server = Setup::limited(Limits {
        body_bytes: 8192,
        ..limits()
    })
    .start()
    .await;
    let mut client = server.http1().await;
    for bad in bad_requests() {
        let request = format!("{:?}", bad.request);
        let reply = client.send(bad.request).await;
        assert_eq!(reply.status, bad.status, "{request}: {reply:?}");
        assert!(reply.body.contains(bad.expected), "{request}: {reply:?}");
        assert_eq!(reply.body.lines().count(), 1, "{reply:?}");
        assert_eq!(reply.header("content-type"), "text/plain; charset=utf-8");
        assert_eq!(
            reply.header("allow"),
            if bad.status == 405 { "POST" } else { "" }
        );
        assert_eq!(reply.header("connection"), "");
        let counted = format!(
            "nadmit_rejected_requests_total{{reason=\"{}\"}}",
            bad.reason
        );
        assert!(server.metric(&counted).await > Some(0.0));
    }
    assert_eq!(client.post_review("/validate").await.status, 200);
}

#[tokio::test]
async fn a_body_far_too_large_is_not_awaited_and_ends_the_connection() {
    let server = Setup::limited(Limits {
        body_bytes: 8192,
        ..limits()
    })
    .start()
    .await;
    let mut client = server.connect(&[]).await;
    let head = "POST /validate HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
                content-length: 1000000000\r\n\r\n{";
    client.write_all(head.as_bytes()).await.unwrap();
    let mut reply = String::new();
    client.read_to_string(&mut reply).await.unwrap();
    assert!(reply.starts_with("HTTP/1.1 413 "), "{reply}");
    assert!(reply.contains("connection: close"), "{reply}");
}

/// Users control the size of a review, and an HTTP error would let the pod pass where failurePolicy
/// is Ignore.
#[tokio::test]
async fn a_pod_that_is_too_large_is_denied_and_others_are_refused() {
    let server = Setup::limited(Limits {
        body_bytes: 8192,
        ..limits()
    })
    .start()
    .await;
    let review = |resource: &str, value: &str| {
        format!(
            r#"{{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{{"uid":"u-1",
            "kind":{{"kind":"X"}},"resource":{{"group":"","version":"v1","resource":"{resource}"}},
            "operation":"CREATE","object":{{"spec":"{value}"}}}}}}"#
        )
    };
    let long = "<".repeat(20_000);
    for (resource, status) in [("pods", 200), ("bindings", 200), ("configmaps", 413)] {
        let body = review(resource, &long);
        let mut http2 = server.http2().await;
        let answer = http2.send_request(post("/mutate", &body)).await.unwrap();
        let mut http1 = server.http1().await;
        let replies = [
            Reply::read(answer).await,
            http1.send(post("/validate", &body)).await,
        ];
        for reply in replies {
            assert_eq!(reply.status, status, "{resource}: {reply:?}");
            let denied = reply.body.contains(r#""uid":"u-1","allowed":false"#);
            assert_eq!(denied, status == 200, "{resource}: {reply:?}");
        }
        assert_eq!(
            http1.post_review("/validate").await.status,
            200,
            "it lives on"
        );
    }
}

#[tokio::test]
async fn parameters_of_the_content_type_and_identity_encoding_do_no_harm() {
    let server = Setup::default().start().await;
    let mut request = post("/validate", REVIEW);
    let headers = request.headers_mut();
    headers.insert(
        "content-type",
        "Application/JSON; charset=utf-8".parse().unwrap(),
    );
    headers.insert("content-encoding", "identity".parse().unwrap());
    assert_eq!(server.http1().await.send(request).await.status, 200);
}

#[tokio::test]
async fn no_bytes_in_a_body_get_another_answer_than_a_review_or_a_sentence() {
    let server = Setup::default().start().await;
    let mut client = server.http1().await;
    for at in 0..REVIEW.len() {
        for byte in [b'"', b'}', b'\\', 0, 0xff] {
            let mut body = REVIEW.as_bytes().to_vec();
            body[at] = byte;
            let mut request = post("/validate", "");
            *request.body_mut() = Full::from(body);
            let reply = client.send(request).await;
            assert!(matches!(reply.status, 200 | 400), "{at} {byte}: {reply:?}");
        }
    }
}

#[tokio::test]
async fn broken_http_ends_with_a_4xx_and_the_server_serves_on() {
    let server = Setup::default().start().await;
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(100_000));
    let chunk = "POST /validate HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
                 transfer-encoding: chunked\r\n\r\nzz\r\n";
    for text in [
        "\r\n\0\r\n\r\n",
        "hello\r\n\r\n",
        &long,
        chunk,
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        let mut client = server.connect(&[]).await;
        let _ = client.write_all(text.as_bytes()).await;
        let mut reply = Vec::new();
        let _ = client.read_to_end(&mut reply).await;
        let reply = String::from_utf8_lossy(&reply);
        assert!(
            reply.is_empty() || reply.starts_with("HTTP/1.1 4"),
            "{reply}"
        );
    }
    assert_eq!(
        server.http1().await.post_review("/validate").await.status,
        200
    );
}

#[tokio::test]
async fn a_body_that_does_not_arrive_is_not_awaited_for_long() {
    let server = Setup::limited(Limits {
        body: Duration::from_millis(50),
        ..limits()
    })
    .start()
    .await;
    let mut client = server.connect(&[]).await;
    let head = "POST /validate HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
                content-length: 10\r\n\r\n{";
    client.write_all(head.as_bytes()).await.unwrap();
    let mut reply = String::new();
    client.read_to_string(&mut reply).await.unwrap();
    assert!(reply.starts_with("HTTP/1.1 408 "), "{reply}");
    assert!(reply.contains("connection: close"), "{reply}");
}
