//! Tests of watches against prepared responses.

use std::{
    collections::VecDeque,
    convert::Infallible,
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{StreamExt as _, future::Either, stream};
use http::{Request, Response};
use http_body_util::StreamBody;
use hyper::body::Frame;
use kube::{Client, api::ListParams, client::Body};
use tokio::time::Instant;

use super::{Event, ListWatch, Watch, WatchOptions};

const POD: &str =
    r#"{"type":"ADDED","object":{"metadata":{"name":"a","resourceVersion":"11"},"spec":7}}"#;
const GONE: &str =
    r#"{"type":"DELETED","object":{"metadata":{"name":"a","resourceVersion":"12"}}}"#;
const BOOKMARK: &str = r#"{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"30"}}}"#;
const EXPIRED: &str =
    r#"{"type":"ERROR","object":{"kind":"Status","reason":"Expired","code":410}}"#;
const TIMEOUT: &str =
    r#"{"type":"ERROR","object":{"kind":"Status","reason":"Timeout","code":504}}"#;
const UNVERSIONED: &str =
    r#"{"type":"ADDED","object":{"metadata":{"name":"a","resourceVersion":"x"}}}"#;

const OPTIONS: WatchOptions = WatchOptions {
    duration: Duration::from_secs(290),
    open_timeout: Duration::from_secs(3),
    initial_backoff: Duration::from_millis(100),
    max_backoff: Duration::from_secs(10),
    name: None,
};

/// The end of a prepared response.
#[derive(Clone, Copy)]
enum End {
    Closes,
    Breaks,
    Hangs,
}

type Prepared = (&'static [&'static str], End);

/// Runs a watch from revision 10 against these responses; then requests hang. Returns the events with
/// their times in seconds, and the requested URLs.
async fn watched(responses: &[Prepared], count: usize) -> (Vec<String>, Vec<String>) {
    let urls = Arc::new(Mutex::new(Vec::new()));
    let (seen, prepared) = (
        Arc::clone(&urls),
        Mutex::new(VecDeque::from(responses.to_vec())),
    );
    let service = tower::service_fn(move |request: Request<Body>| {
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.push(request.uri().to_string());
        let next = prepared
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop_front();
        async move {
            let Some((lines, end)) = next else {
                return std::future::pending().await;
            };
            let lines =
                stream::iter(lines).map(|line| Ok(Frame::data(Bytes::from(format!("{line}\n")))));
            let end = match end {
                End::Closes => Either::Left(stream::empty()),
                End::Breaks => Either::Right(Either::Left(stream::iter([Err(io::Error::from(
                    io::ErrorKind::ConnectionReset,
                ))]))),
                End::Hangs => Either::Right(Either::Right(stream::pending())),
            };
            Ok::<_, Infallible>(Response::new(StreamBody::new(lines.chain(end))))
        }
    });
    let list_watch = ListWatch::new(Client::new(service, "default"), "/api/v1/pods".to_owned());
    let (start, mut events) = (Instant::now(), Vec::new());
    let mut watch = Watch::new(list_watch, OPTIONS, 10);
    while events.len() < count {
        let event = match watch.next().await {
            Event::Opened => "opened".to_owned(),
            Event::Added(object) => format!("added {} {}", object.name, object.revision),
            Event::Modified(object) => format!("modified {} {}", object.name, object.revision),
            Event::Deleted(object) => format!("deleted {} {}", object.name, object.revision),
            Event::Bookmark(revision) => format!("bookmark {revision}"),
            Event::Closed => "closed".to_owned(),
            Event::Failed(error) => format!("failed: {error}"),
            Event::Relist(_) => "relist".to_owned(),
        };
        events.push(format!("{:.1} {event}", start.elapsed().as_secs_f64()));
    }
    let urls = urls.lock().unwrap_or_else(PoisonError::into_inner).clone();
    (events, urls)
}

fn revisions(urls: &[String]) -> Vec<&str> {
    let revision = |url: &'_ String| url.rfind('=').map_or(0, |at| at + 1);
    urls.iter().map(|url| &url[revision(url)..]).collect()
}

#[tokio::test(start_paused = true)]
async fn a_watch_continues_where_it_stopped() {
    let responses: &[Prepared] = &[
        (&[POD], End::Closes),
        (&["", POD, GONE], End::Breaks),
        (&[BOOKMARK, r#"{"type":"ADD"#], End::Closes),
        (&[], End::Hangs),
    ];
    let (events, urls) = watched(responses, 11).await;
    let expected = [
        "0.0 opened",
        "0.0 added a 11",
        "0.0 closed",
        "0.0 opened",
        "0.0 deleted a 12",
        "0.0 closed",
        "0.0 opened",
        "0.0 bookmark 30",
        "0.0 closed",
        "0.0 opened",
        // Silence beyond the duration of a watch.
        "295.0 closed",
    ];
    assert_eq!(events, expected);
    assert_eq!(revisions(&urls), ["10", "11", "12", "30"]);
    assert_eq!(
        urls[0],
        "/api/v1/pods?&watch=true&timeoutSeconds=290&allowWatchBookmarks=true&resourceVersion=10"
    );
}

#[tokio::test(start_paused = true)]
async fn failures_are_followed_by_growing_pauses() {
    let responses: &[Prepared] = &[
        (&[], End::Closes),
        (&[TIMEOUT], End::Closes),
        (&[UNVERSIONED], End::Closes),
        (&[POD, EXPIRED], End::Hangs),
    ];
    let (events, urls) = watched(responses, 9).await;
    let expected = [
        "0.0 opened",
        "0.0 closed",
        "0.1 opened",
        "0.1 failed: the API server's answer is not known: Timeout",
        "0.3 opened",
        "0.3 failed: the API server's answer is not known: what it sent cannot be read: the \
         resourceVersion \"x\" is not a number",
        "0.7 opened",
        "0.7 added a 11",
        "0.7 relist",
    ];
    assert_eq!(events, expected);
    assert_eq!(revisions(&urls), ["10", "10", "10", "10"]);
}

#[tokio::test(start_paused = true)]
async fn a_request_without_a_response_fails() {
    let (events, _) = watched(&[], 2).await;
    let silent = "failed: the API server's answer is not known: no response within 3000 ms";
    assert_eq!(events, [format!("3.0 {silent}"), format!("6.1 {silent}")]);
}

#[test]
fn kube_encodes_selectors_and_tokens() {
    let requests = kube::core::Request::new("/apis/apps/v1/deployments");
    let params = ListParams::default().limit(500).fields("metadata.name=a");
    let request = requests.list(&params.continue_token("a/b="));
    let url = request.map(|request| request.uri().to_string());
    assert_eq!(
        url.ok().as_deref(),
        Some(
            "/apis/apps/v1/deployments?&fieldSelector=metadata.name%3Da&limit=500&continue=a%2Fb%3D"
        )
    );
}
