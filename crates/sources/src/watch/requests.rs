//! The requests to the API server, and the meaning of their failures.

use std::time::Duration;

use kube::{Client, api::ListParams};

use crate::cluster::ClusterError;
use nadmit_api::{
    call::ApiError,
    watch::{ListWatch, WatchOptions, name_selector},
};

use super::{kinds::WatchedKind, progress::ReadScope};

const WATCH_DURATION: Duration = Duration::from_secs(290);
/// The timeout of a page, and of opening a watch.
pub(super) const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
/// The first pause after a failed attempt.
const INITIAL_BACKOFF: Duration = Duration::from_millis(100);

/// Returns the lists and watches of a kind; of the objects of one namespace if `scope` has one.
pub(super) fn list_watch(
    client: &Client,
    watched: WatchedKind,
    scope: Option<&ReadScope>,
) -> ListWatch {
    let namespace = scope.map(|scope| &*scope.namespace);
    let namespace = namespace.filter(|namespace| !namespace.is_empty());
    ListWatch::new(client.clone(), watched.kind().url_path(namespace))
}

/// Returns the parameters of the first page of a list.
pub(super) fn page(watched: WatchedKind, scope: Option<&ReadScope>, size: u32) -> ListParams {
    let name = scope.and_then(|scope| scope.name.as_deref());
    let name = name.or(watched.only());
    ListParams {
        field_selector: name.map(name_selector),
        ..ListParams::default().limit(size)
    }
}

/// Returns the options of the watch of a kind.
pub(super) fn watch_options(watched: WatchedKind, max_backoff: Duration) -> WatchOptions {
    WatchOptions {
        duration: WATCH_DURATION,
        open_timeout: REQUEST_TIMEOUT,
        initial_backoff: INITIAL_BACKOFF,
        max_backoff,
        name: watched.only().map(str::to_owned),
    }
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
    use nadmit_cni::ipam::SLICE_CONTROLLER;

    use super::*;

    #[test]
    fn requests_select_only_what_is_needed() {
        let scope = |namespace: &str, name: Option<&str>| ReadScope {
            namespace: namespace.into(),
            name: name.map(Into::into),
        };
        let of = |watched, scope: Option<ReadScope>| {
            let params = page(watched, scope.as_ref(), 500);
            (params.limit, params.field_selector)
        };
        let selected = |name: &str| (Some(500), Some(format!("metadata.name={name}")));
        assert_eq!(of(WatchedKind::Pods, None), (Some(500), None));
        let one = scope("db", Some("a-net"));
        assert_eq!(of(WatchedKind::Networks, Some(one)), selected("a-net"));
        let controller = selected(SLICE_CONTROLLER);
        assert_eq!(of(WatchedKind::Controllers, None), controller);
        let watch = watch_options(WatchedKind::Controllers, Duration::MAX);
        assert_eq!(watch.name.as_deref(), Some(SLICE_CONTROLLER));
    }
}
