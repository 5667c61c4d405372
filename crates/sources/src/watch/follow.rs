//! Follows one kind: lists it, then watches from the list's revision, for ever.
//!
//! This is not kube's watcher because that hides the revision of a list and the bookmarks. Without them
//! it is unknown whether a live read is newer ([`super::progress`]). Also, an object that cannot be
//! decoded affects only itself here.

use std::{sync::atomic::Ordering, time::Duration};

use futures_util::StreamExt as _;
use tokio::{
    task::yield_now,
    time::{Instant, sleep, timeout},
};

use crate::ClusterError;
use nadmit_api::call::ApiError;

use super::{
    SourceState,
    backoff::Backoff,
    kinds::WatchedKind,
    read,
    requests::{self, ListPage, WatchEvent},
    store::WatchChange,
};

/// The timeout of a page, and of opening a watch.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
/// The first pause after a failed attempt.
const INITIAL_BACKOFF: Duration = Duration::from_millis(100);
/// The number of consecutive rejected watches after which the kind is listed again: its revision may be
/// invalid, because the cluster was restored from a backup.
const MAX_REJECTIONS: usize = 3;
/// The minimum duration of a watch; one that ends sooner without an event counts as failed.
const MIN_WATCH_TIME: Duration = Duration::from_secs(1);

/// The `resourceVersion` from which a watch continues.
type ResourceVersion = String;

/// The outcome of a list.
enum ListOutcome {
    /// The list is complete; the watch continues from its revision.
    Listed(ResourceVersion),
    /// The kind does not exist.
    Missing,
}

/// Follows a kind.
pub(super) async fn follow(shared: &SourceState, watched: WatchedKind) {
    let mut backoff = Backoff::new(INITIAL_BACKOFF, shared.options.max_backoff);
    loop {
        let requested = match list(shared, watched).await {
            Ok(ListOutcome::Listed(version)) => watch(shared, watched, version, &mut backoff).await,
            Ok(ListOutcome::Missing) => {
                shared.recovered(watched);
                shared.with(|store| store.missing(watched));
                None
            }
            Err(error) => {
                shared.with(|store| store.break_list(watched));
                shared.record_failure(watched, &error);
                error.retry_after()
            }
        };
        sleep(backoff.next(requested)).await;
    }
}

async fn list(shared: &SourceState, watched: WatchedKind) -> Result<ListOutcome, ApiError> {
    let mut continuation = String::new();
    let mut revision = None;
    loop {
        let request = requests::page(watched, None, shared.options.page_size, &continuation)
            .map_err(request_error)?;
        let text = timeout(REQUEST_TIMEOUT, shared.client.request_text(request)).await;
        let text = match text.map_err(|_| timed_out(REQUEST_TIMEOUT))? {
            Ok(text) => text,
            Err(error) => match ApiError::from_kube(&error) {
                error if requests::is_missing(watched, &error) => {
                    return Ok(ListOutcome::Missing);
                }
                error => return Err(error),
            },
        };
        let page: ListPage<'_> = serde_json::from_str(&text).map_err(|e| unreadable(&e))?;
        let at = read::revision(&page.metadata.resource_version).map_err(|e| unreadable(&e))?;
        let begun = *revision.get_or_insert_with(|| {
            shared.with(|store| store.begin_list(watched, at));
            at
        });
        for item in page.items.iter().flatten() {
            let object = read::read(watched, item).map_err(|e| unreadable(&e))?;
            shared.with(|store| store.list(watched, begun, object));
        }
        // Processing a page takes milliseconds. Yielding lets other tasks run and changes be published,
        // so that replaced objects can be dropped.
        yield_now().await;
        match page.metadata.more() {
            Some(more) => continuation = more.to_owned(),
            None => {
                shared.recovered(watched);
                shared.with(|store| store.end_list(watched, begun));
                return Ok(ListOutcome::Listed(page.metadata.resource_version));
            }
        }
    }
}

/// Watches from a revision until it has to be listed again. Returns the pause requested by the API
/// server.
async fn watch(
    shared: &SourceState,
    watched: WatchedKind,
    mut resume_from: ResourceVersion,
    backoff: &mut Backoff,
) -> Option<Duration> {
    let mut rejections = 0;
    loop {
        let began = Instant::now();
        let retry_after = match read_watch(shared, watched, &mut resume_from).await {
            Ok(received) => {
                rejections = 0;
                if received || began.elapsed() >= MIN_WATCH_TIME {
                    backoff.reset();
                    continue;
                }
                None
            }
            Err(ApiError::Expired(_)) => {
                tracing::debug!(resource = %watched.kind().full_resource(), "watch expired");
                return None;
            }
            Err(error @ ApiError::NotServed(_)) => return error.retry_after(),
            Err(error) => {
                shared.record_failure(watched, &error);
                let rejected =
                    !matches!(error, ApiError::Unavailable(_) | ApiError::Throttled { .. });
                rejections += usize::from(rejected);
                if rejections >= MAX_REJECTIONS {
                    return error.retry_after();
                }
                error.retry_after()
            }
        };
        sleep(backoff.next(retry_after)).await;
    }
}

/// Reads one watch to its end, which is not an error. Returns true if it contained an event.
async fn read_watch(
    shared: &SourceState,
    watched: WatchedKind,
    resume_from: &mut ResourceVersion,
) -> Result<bool, ApiError> {
    let request = requests::watch(watched, resume_from).map_err(request_error)?;
    let lines = timeout(REQUEST_TIMEOUT, requests::lines(&shared.client, request)).await;
    let mut lines = lines
        .map_err(|_| timed_out(REQUEST_TIMEOUT))?
        .map_err(|error| ApiError::from_kube(&error))?;
    shared.recovered(watched);
    let mut received = false;
    loop {
        match timeout(requests::IDLE_TIMEOUT, lines.next()).await {
            Ok(Some(Ok(line))) => handle_event(shared, watched, &line, resume_from)?,
            // However it ends, the next watch continues where this one stopped.
            Ok(Some(Err(_)) | None) | Err(_) => return Ok(received),
        }
        received = true;
    }
}

fn handle_event(
    shared: &SourceState,
    watched: WatchedKind,
    line: &str,
    resume_from: &mut ResourceVersion,
) -> Result<(), ApiError> {
    let line: WatchEvent<'_> = serde_json::from_str(line).map_err(|e| unreadable(&e))?;
    if line.event_type == "ERROR" {
        let status: kube::core::Status =
            serde_json::from_str(line.object.get()).map_err(|e| unreadable(&e))?;
        return Err(ApiError::from_status(&status));
    }
    let revision = match line.event_type {
        "BOOKMARK" => {
            let revision = read::bookmark(line.object).map_err(|e| unreadable(&e))?;
            shared.with(|store| store.bookmark(watched, revision));
            revision
        }
        "DELETED" => {
            let (key, revision) = read::head(line.object).map_err(|e| unreadable(&e))?;
            shared.event(watched, WatchChange::Gone(key, revision));
            revision
        }
        _ => {
            let object = read::read(watched, line.object).map_err(|e| unreadable(&e))?;
            let revision = object.revision;
            shared.event(watched, WatchChange::Put(object));
            revision
        }
    };
    *resume_from = revision.to_string();
    Ok(())
}

fn request_error(error: http::Error) -> ApiError {
    ApiError::Unavailable(error.to_string())
}

fn unreadable(error: &serde_json::Error) -> ApiError {
    ApiError::Uncertain {
        after: None,
        message: format!("what it sent cannot be read: {error}"),
    }
}

fn timed_out(time: Duration) -> ApiError {
    ApiError::Uncertain {
        after: None,
        message: format!("nothing came back in {} s", time.as_secs()),
    }
}

impl SourceState {
    fn event(&self, watched: WatchedKind, change: WatchChange) {
        self.events.fetch_add(1, Ordering::Relaxed);
        self.with(|store| store.event(watched, change));
    }

    /// Records that a kind is connected again, and logs it if it was not.
    fn recovered(&self, watched: WatchedKind) {
        if let Some(stale) = self.with(|store| store.recovered(watched)) {
            let resource = watched.kind().full_resource();
            let seconds = stale.since.elapsed().as_secs();
            tracing::info!(%resource, seconds, "watch recovered");
        }
    }

    /// Records that a kind is disconnected, and logs each error once.
    fn record_failure(&self, watched: WatchedKind, error: &ApiError) {
        let error = requests::error(watched, &self.options.server, error);
        let message = error.to_string();
        let forbidden = matches!(error, ClusterError::WatchForbidden { .. });
        let (is_new, known) = self.with(|store| {
            let is_new = store.record_failure(watched, &message);
            if forbidden {
                store.forbidden(watched);
            }
            (is_new, store.is_known(watched))
        });
        let resource = watched.kind().full_resource();
        match (is_new, known, watched.is_required()) {
            (false, ..) => tracing::debug!(%resource, error = message, "watch failed again"),
            (_, true, _) => {
                tracing::warn!(
                    %resource,
                    error = message,
                    "watch failed; the last known objects still count"
                );
            }
            (_, _, true) => {
                tracing::error!(
                    %resource,
                    error = message,
                    "list failed; requests wait until it succeeds"
                );
            }
            (_, _, false) => {
                tracing::warn!(%resource, error = message, "list failed; objects stay unknown")
            }
        }
    }
}
