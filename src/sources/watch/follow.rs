//! Following one kind: a list, then a watch from there on, for ever.
//!
//! This is written out, and not kube's watcher, for two of its secrets: the revision of a list and the
//! bookmarks. Without them nobody can say whether a live read is newer ([`super::progress`]). And an
//! object that cannot be read costs nothing here but itself.

use std::{sync::atomic::Ordering, time::Duration};

use futures_util::StreamExt as _;
use tokio::{
    task::yield_now,
    time::{Instant, sleep, timeout},
};

use crate::{api::call::Answer, sources::ClusterError};

use super::{
    Shared,
    ask::{self, Line, Page},
    kinds::Watched,
    pause::Pause,
    read,
    store::Change,
};

/// How long a page may take, or the beginning of a watch.
const PATIENCE: Duration = Duration::from_secs(60);
/// The first pause after an attempt that came to nothing.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// How often in a row a watch is refused before the list is begun anew: what it says of its place may
/// be no more true (a cluster restored from a backup).
const REFUSALS: usize = 3;
/// A watch that ends sooner, and says nothing, is one that came to nothing.
const SHORT: Duration = Duration::from_secs(1);

/// Where a watch goes on.
type Place = String;

/// What became of an attempt.
enum Outcome {
    /// The list is whole; the watch goes on from there.
    Listed(Place),
    /// There is no such kind.
    Missing,
}

/// Follows a kind.
pub(super) async fn follow(shared: &Shared, watched: Watched) {
    let mut pause = Pause::new(FIRST_PAUSE, shared.options.longest_pause);
    loop {
        let asked = match list(shared, watched).await {
            Ok(Outcome::Listed(place)) => watch(shared, watched, place, &mut pause).await,
            Ok(Outcome::Missing) => {
                shared.recovered(watched);
                shared.with(|store| store.missing(watched));
                None
            }
            Err(answer) => {
                shared.with(|store| store.break_list(watched));
                shared.trouble(watched, &answer);
                answer.retry_after()
            }
        };
        sleep(pause.next(asked)).await;
    }
}

async fn list(shared: &Shared, watched: Watched) -> Result<Outcome, Answer> {
    let mut place = String::new();
    let mut revision = None;
    loop {
        let request = ask::page(watched, None, shared.options.page, &place).map_err(unasked)?;
        let text = timeout(PATIENCE, shared.client.request_text(request)).await;
        let text = match text.map_err(|_| silence(PATIENCE))? {
            Ok(text) => text,
            Err(error) => match Answer::of(&error) {
                answer if ask::is_missing(watched, &answer) => return Ok(Outcome::Missing),
                answer => return Err(answer),
            },
        };
        let page: Page<'_> = serde_json::from_str(&text).map_err(|e| unreadable(&e))?;
        let at = read::revision(&page.metadata.resource_version).map_err(|e| unreadable(&e))?;
        let begun = *revision.get_or_insert_with(|| {
            shared.with(|store| store.begin_list(watched, at));
            at
        });
        for item in page.items.iter().flatten() {
            let seen = read::read(watched, item).map_err(|e| unreadable(&e))?;
            shared.with(|store| store.list(watched, begun, seen));
        }
        // A page is some milliseconds of work: others are let in, and what changed is published, so
        // that what it replaces need not be kept.
        yield_now().await;
        match page.metadata.more() {
            Some(more) => place = more.to_owned(),
            None => {
                shared.recovered(watched);
                shared.with(|store| store.end_list(watched, begun));
                return Ok(Outcome::Listed(page.metadata.resource_version));
            }
        }
    }
}

/// Watches from a place on until it is lost; gives how long the API server asks to wait then.
async fn watch(
    shared: &Shared,
    watched: Watched,
    mut place: Place,
    pause: &mut Pause,
) -> Option<Duration> {
    let mut refusals = 0;
    loop {
        let began = Instant::now();
        let answer = match read_watch(shared, watched, &mut place).await {
            Ok(said) => {
                refusals = 0;
                if said || began.elapsed() >= SHORT {
                    pause.reset();
                    continue;
                }
                None
            }
            Err(Answer::Expired(_)) => {
                tracing::debug!(resource = %watched.kind().full_resource(), "the place in the watch is lost");
                return None;
            }
            Err(answer @ Answer::Unserved(_)) => return answer.retry_after(),
            Err(answer) => {
                shared.trouble(watched, &answer);
                let refused = !matches!(answer, Answer::Unavailable(_) | Answer::Throttled { .. });
                refusals += usize::from(refused);
                if refusals >= REFUSALS {
                    return answer.retry_after();
                }
                answer.retry_after()
            }
        };
        sleep(pause.next(answer)).await;
    }
}

/// Reads one watch to its end, which is no error. Whether it said anything.
async fn read_watch(shared: &Shared, watched: Watched, place: &mut Place) -> Result<bool, Answer> {
    let request = ask::watch(watched, place).map_err(unasked)?;
    let lines = timeout(PATIENCE, ask::lines(&shared.client, request)).await;
    let mut lines = lines
        .map_err(|_| silence(PATIENCE))?
        .map_err(|error| Answer::of(&error))?;
    shared.recovered(watched);
    let mut said = false;
    loop {
        match timeout(ask::SILENCE, lines.next()).await {
            Ok(Some(Ok(line))) => take(shared, watched, &line, place)?,
            // However it ends: the next one goes on where this one was.
            Ok(Some(Err(_)) | None) | Err(_) => return Ok(said),
        }
        said = true;
    }
}

fn take(shared: &Shared, watched: Watched, line: &str, place: &mut Place) -> Result<(), Answer> {
    let line: Line<'_> = serde_json::from_str(line).map_err(|e| unreadable(&e))?;
    if line.sort == "ERROR" {
        let status: kube::core::Status =
            serde_json::from_str(line.object.get()).map_err(|e| unreadable(&e))?;
        return Err(Answer::of_status(&status));
    }
    let revision = match line.sort {
        "BOOKMARK" => {
            let revision = read::bookmark(line.object).map_err(|e| unreadable(&e))?;
            shared.with(|store| store.bookmark(watched, revision));
            revision
        }
        "DELETED" => {
            let (key, revision) = read::head(line.object).map_err(|e| unreadable(&e))?;
            shared.event(watched, Change::Gone(key, revision));
            revision
        }
        _ => {
            let seen = read::read(watched, line.object).map_err(|e| unreadable(&e))?;
            let revision = seen.revision;
            shared.event(watched, Change::Put(seen));
            revision
        }
    };
    *place = revision.to_string();
    Ok(())
}

fn unasked(error: http::Error) -> Answer {
    Answer::Unavailable(error.to_string())
}

fn unreadable(error: &serde_json::Error) -> Answer {
    Answer::Uncertain {
        after: None,
        message: format!("what it sent cannot be read: {error}"),
    }
}

fn silence(time: Duration) -> Answer {
    Answer::Uncertain {
        after: None,
        message: format!("nothing came back in {} s", time.as_secs()),
    }
}

impl Shared {
    fn event(&self, watched: Watched, change: Change) {
        self.events.fetch_add(1, Ordering::Relaxed);
        self.with(|store| store.event(watched, change));
    }

    /// Takes note that a kind is heard of again, and says so if it was not.
    fn recovered(&self, watched: Watched) {
        if let Some(stale) = self.with(|store| store.recovered(watched)) {
            let resource = watched.kind().full_resource();
            let seconds = stale.since.elapsed().as_secs();
            tracing::info!(%resource, seconds, "heard of again");
        }
    }

    /// Takes note that nothing is heard of a kind, and says so once.
    fn trouble(&self, watched: Watched, answer: &Answer) {
        let error = ask::error(watched, &self.options.server, answer);
        let said = error.to_string();
        let forbidden = matches!(error, ClusterError::NotAllowed { .. });
        let (news, known) = self.with(|store| {
            let news = store.trouble(watched, &said);
            if forbidden {
                store.forbidden(watched);
            }
            (news, store.is_known(watched))
        });
        let resource = watched.kind().full_resource();
        match (news, known, watched.is_necessary()) {
            (false, ..) => tracing::debug!(%resource, "{said}"),
            (_, true, _) => tracing::warn!(%resource, "{said}; what was known of it still counts"),
            (_, _, true) => {
                tracing::error!(%resource, "{said}; nothing is decided before it is known")
            }
            (_, _, false) => tracing::warn!(%resource, "{said}; it stays unknown"),
        }
    }
}
