//! Follows one kind: lists it, then watches from the list's revision, for ever.

use std::{sync::atomic::Ordering, time::Duration};

use tokio::{task::yield_now, time::timeout};

use crate::ClusterError;
use nadmit_api::{
    call::ApiError,
    watch::{Event, ListWatch, Page, Watch},
};

use super::{
    SourceState,
    kinds::WatchedKind,
    read,
    requests::{self, REQUEST_TIMEOUT},
    store::WatchChange,
};

/// The number of consecutive rejected watches after which the kind is listed again: its revision may be
/// invalid, because the cluster was restored from a backup.
const MAX_REJECTIONS: usize = 3;

enum ListOutcome {
    /// The list is complete; the watch continues from its revision.
    Listed(u64),
    /// The kind does not exist.
    Missing,
}

pub(super) async fn follow(shared: &SourceState, watched: WatchedKind) {
    let list_watch = requests::list_watch(&shared.client, watched, None);
    let options = requests::watch_options(watched, shared.options.max_backoff);
    let mut watch = Watch::new(list_watch.clone(), options, 0);
    loop {
        let requested = match list(shared, watched, &list_watch).await {
            Ok(ListOutcome::Listed(revision)) => {
                watch.start(revision);
                apply_events(shared, watched, &mut watch).await
            }
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
        watch.pause(requested).await;
    }
}

async fn list(
    shared: &SourceState,
    watched: WatchedKind,
    list_watch: &ListWatch,
) -> Result<ListOutcome, ApiError> {
    let mut params = requests::page(watched, None, shared.options.page_size);
    let mut begun = None;
    loop {
        let text = timeout(REQUEST_TIMEOUT, list_watch.page(&params)).await;
        let text = match text.map_err(|_| ApiError::timed_out(REQUEST_TIMEOUT))? {
            Ok(text) => text,
            Err(error) => match ApiError::from_kube(&error) {
                error if requests::is_missing(watched, &error) => {
                    return Ok(ListOutcome::Missing);
                }
                error => return Err(error),
            },
        };
        let page = Page::parse(&text)?;
        let revision = page.revision()?;
        let begun = *begun.get_or_insert_with(|| {
            shared.with(|store| store.begin_list(watched, revision));
            revision
        });
        for object in page.objects() {
            let object = read::read(watched, object?);
            shared.with(|store| store.list(watched, begun, object));
        }
        // Processing a page takes milliseconds. Yielding lets other tasks run and changes be published,
        // so that replaced objects can be dropped.
        yield_now().await;
        params.continue_token = page.into_continue_token();
        if params.continue_token.is_none() {
            shared.recovered(watched);
            shared.with(|store| store.end_list(watched, begun));
            return Ok(ListOutcome::Listed(revision));
        }
    }
}

/// Applies the events of a watch until the kind has to be listed again. Returns the pause requested by
/// the API server.
async fn apply_events(
    shared: &SourceState,
    watched: WatchedKind,
    watch: &mut Watch,
) -> Option<Duration> {
    let mut rejections = 0;
    loop {
        match watch.next().await {
            Event::Opened => shared.recovered(watched),
            Event::Added(object) | Event::Modified(object) => {
                shared.event(watched, WatchChange::Put(read::read(watched, object)));
            }
            Event::Deleted(object) => {
                let key = (object.namespace, object.name);
                shared.event(watched, WatchChange::Gone(key, object.revision));
            }
            Event::Bookmark(revision) => {
                shared.with(|store| store.bookmark(watched, revision));
            }
            Event::Closed => rejections = 0,
            Event::Relist(error) => {
                let resource = watched.kind().full_resource();
                tracing::debug!(%resource, %error, "watch expired");
                return error.retry_after();
            }
            Event::Failed(error) => {
                shared.record_failure(watched, &error);
                let rejected =
                    !matches!(error, ApiError::Unavailable(_) | ApiError::Throttled { .. });
                rejections += usize::from(rejected);
                if rejections >= MAX_REJECTIONS {
                    return error.retry_after();
                }
            }
        }
    }
}

impl SourceState {
    fn event(&self, watched: WatchedKind, change: WatchChange) {
        self.events.fetch_add(1, Ordering::Relaxed);
        self.with(|store| store.event(watched, change));
        if watched == WatchedKind::Pods {
            self.pods_changed.send_replace(());
        }
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
                    "watch failed; nadmit still uses the last known objects"
                );
            }
            (_, _, true) => {
                tracing::error!(
                    %resource,
                    error = message,
                    "list failed; requests wait until a list succeeds"
                );
            }
            (_, _, false) => {
                tracing::warn!(%resource, error = message, "list failed; objects stay unknown")
            }
        }
    }
}
