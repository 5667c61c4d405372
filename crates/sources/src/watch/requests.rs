//! The requests to the API server: pages of lists, and watches.

use std::{fmt::Write as _, time::Duration};

use futures_util::{AsyncBufReadExt as _, Stream, StreamExt as _, stream::BoxStream};
use http::Request;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::cluster::{ClusterError, list::percent_encoded};
use nadmit_api::call::ApiError;

use super::{kinds::WatchedKind, progress::ReadScope};

/// The duration of a watch, after which the API server ends it.
const WATCH_SECONDS: u64 = 290;
/// The time without a line after which a watch counts as dead: bookmarks come every minute, and the API
/// server would have ended it.
pub(super) const IDLE_TIMEOUT: Duration = Duration::from_secs(WATCH_SECONDS + 5);

/// A page of a list as the API server sends it.
#[derive(Deserialize)]
pub(super) struct ListPage<'t> {
    pub metadata: ListMetadata,
    /// The objects; may be `null` in an empty list.
    #[serde(borrow, default)]
    pub items: Option<Vec<&'t RawValue>>,
}

/// The metadata of a page.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ListMetadata {
    pub resource_version: String,
    #[serde(default, rename = "continue")]
    more: Option<String>,
}

impl ListMetadata {
    /// Returns the continuation token of the next page.
    pub(super) fn more(&self) -> Option<&str> {
        self.more.as_deref().filter(|more| !more.is_empty())
    }
}

/// A line of a watch.
#[derive(Deserialize)]
pub(super) struct WatchEvent<'t> {
    #[serde(rename = "type")]
    pub event_type: &'t str,
    #[serde(borrow)]
    pub object: &'t RawValue,
}

/// Returns the request for a page.
pub(super) fn page(
    watched: WatchedKind,
    scope: Option<&ReadScope>,
    size: usize,
    continuation: &str,
) -> Result<Request<Vec<u8>>, http::Error> {
    let mut path = path(watched, scope.map_or("", |scope| &scope.namespace));
    let _ = write!(path, "limit={size}");
    let name = scope.and_then(|scope| scope.name.as_deref());
    select(&mut path, name.or(watched.only()));
    if !continuation.is_empty() {
        let _ = write!(path, "&continue={}", percent_encoded(continuation));
    }
    Request::get(path).body(Vec::new())
}

/// Returns the request for a watch from a revision on.
pub(super) fn watch(watched: WatchedKind, revision: &str) -> Result<Request<Vec<u8>>, http::Error> {
    let mut path = path(watched, "");
    let _ = write!(
        path,
        "watch=true&allowWatchBookmarks=true&timeoutSeconds={WATCH_SECONDS}&resourceVersion={}",
        percent_encoded(revision)
    );
    select(&mut path, watched.only());
    Request::get(path)
        // A compressed stream would arrive in pieces that end within lines.
        .header(http::header::ACCEPT_ENCODING, "identity")
        .body(Vec::new())
}

// Writing to a String cannot fail, so the results are ignored.
fn path(watched: WatchedKind, namespace: &str) -> String {
    let kind = watched.kind();
    let root = if kind.group().is_empty() {
        "api"
    } else {
        "apis"
    };
    let mut path = format!("/{root}/{}", kind.api_version);
    if !namespace.is_empty() {
        let _ = write!(path, "/namespaces/{}", percent_encoded(namespace));
    }
    let _ = write!(path, "/{}?", kind.resource);
    path
}

fn select(path: &mut String, name: Option<&str>) {
    if let Some(name) = name {
        let _ = write!(
            path,
            "&fieldSelector=metadata.name%3D{}",
            percent_encoded(name)
        );
    }
}

/// Opens a watch and returns its lines.
///
/// # Errors
/// If the API server does not open it.
pub(super) async fn lines(
    client: &kube::Client,
    request: Request<Vec<u8>>,
) -> kube::Result<BoxStream<'static, std::io::Result<String>>> {
    let stream = client.request_stream(request).await?;
    Ok(without_blank(stream.lines()).boxed())
}

fn without_blank(
    lines: impl Stream<Item = std::io::Result<String>>,
) -> impl Stream<Item = std::io::Result<String>> {
    lines.filter(|line| {
        let has_content = line.as_ref().map_or(true, |line| !line.trim().is_empty());
        std::future::ready(has_content)
    })
}

/// The API server's messages for a path that is not served: without the group, and without the kind.
const NOT_SERVED: [&str; 2] = [
    "404 page not found",
    "the server could not find the requested resource",
];

/// Returns true if the cluster does not have this kind. Only the API server's own message counts: a
/// proxy's 404 must not make all networks vanish.
pub(super) fn is_missing(watched: WatchedKind, error: &ApiError) -> bool {
    let is_known = |message: &String| NOT_SERVED.contains(&message.trim());
    !watched.kind().built_in && matches!(error, ApiError::NotServed(message) if is_known(message))
}

/// Converts a failed request into an error.
pub(super) fn error(watched: WatchedKind, server: &str, error: &ApiError) -> ClusterError {
    let (server, resource) = (server.to_owned(), watched.kind().full_resource());
    match error {
        ApiError::Refused { code: 401, .. } => ClusterError::Unauthorized { server },
        ApiError::Refused { code: 403, message } => ClusterError::WatchForbidden {
            resource,
            rule: watched.rule(),
            message: message.clone(),
        },
        ApiError::Unavailable(reason) => ClusterError::Unreachable {
            server,
            reason: reason.clone(),
        },
        other => ClusterError::InvalidResponse {
            server,
            resource,
            reason: other.to_string(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_select_only_what_is_needed() {
        let scope = |namespace: &str, name: Option<&str>| ReadScope {
            namespace: namespace.into(),
            name: name.map(Into::into),
        };
        let of = |watched, scope: Option<ReadScope>, continuation| {
            let request = page(watched, scope.as_ref(), 500, continuation);
            request.map_or_else(|e| e.to_string(), |request| request.uri().to_string())
        };
        assert_eq!(of(WatchedKind::Pods, None, ""), "/api/v1/pods?limit=500");
        assert_eq!(
            of(WatchedKind::Networks, Some(scope("db", Some("a-net"))), ""),
            "/apis/k8s.cni.cncf.io/v1/namespaces/db/network-attachment-definitions?limit=500\
             &fieldSelector=metadata.name%3Da-net"
        );
        assert_eq!(
            of(WatchedKind::Pools, Some(scope("", Some("p"))), ""),
            "/apis/nadmit.io/v1alpha1/addresspools?limit=500&fieldSelector=metadata.name%3Dp"
        );
        assert_eq!(
            of(WatchedKind::Controllers, None, "a/b="),
            "/apis/apps/v1/deployments?limit=500&fieldSelector=metadata.name%3Dwhereabouts-controller\
             &continue=a%2Fb%3D"
        );
        let watch = watch(WatchedKind::Nodes, "7").map(|request| request.uri().to_string());
        assert_eq!(
            watch.ok().as_deref(),
            Some(
                "/api/v1/nodes?watch=true&allowWatchBookmarks=true&timeoutSeconds=290&resourceVersion=7"
            )
        );
    }
}
