//! Followers see every write once, in order, however their watches fail.

use std::{sync::Arc, time::Duration};

use futures_util::{FutureExt as _, StreamExt as _};
use libtest_mimic::{Failed, Trial};
use nadmit::{
    allocation::{SharedIndex, Space, Version},
    controllers::LedgerSync,
    ledger::{FollowError, Ledger, LedgerEvent, LedgerEvents, Store as _, apply_outcome},
};
use serde_json::json;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::support::*;
use crate::api_server::{ApiServer, FakeServerSettings, InjectedFailure};

pub(super) fn tests() -> Vec<Trial> {
    tests![with test;
        a_follower_sees_events_after_its_list,
        a_watch_that_breaks_is_taken_up_without_a_gap,
        a_watch_that_ends_is_taken_up_without_a_gap,
        a_follower_too_far_behind_has_to_list_again,
        bookmarks_keep_a_quiet_follower_from_falling_behind,
        a_follower_waits_for_a_server_that_is_away,
        a_foreign_object_is_no_event,
        a_record_that_becomes_unreadable_is_listed_again,
        a_late_event_does_not_restore_a_deleted_record,
    ]
}

/// Returns the next event, or fails after a timeout.
async fn next(events: &mut LedgerEvents) -> Result<LedgerEvent, Failed> {
    let received = events.next().await.ok_or("the stream ended")?;
    Ok(received?)
}

fn put(last: u8, pod: &str, version: Version) -> LedgerEvent {
    LedgerEvent::Put(stored(last, pod, version))
}

async fn a_follower_sees_events_after_its_list() -> TestResult {
    let (_, ledger) = cluster();
    let first = write(&ledger, create(1, "a")).await?;
    let (_, cursor) = ledger.list().await?;
    let mut events = ledger.follow(cursor);
    let second = write(&ledger, create(2, "b")).await?;
    let third = write(&ledger, update(1, "c", first)).await?;
    let answered = write(&ledger, delete(2, "b", second)).await?;
    same(next(&mut events).await?, put(2, "b", second))?;
    let third = put(1, "c", third);
    same(next(&mut events).await?, third.clone())?;
    let gone = next(&mut events).await?;
    same(gone.allocation(), &allocation(2, "b"))?;
    holds(matches!(gone, LedgerEvent::Deleted { .. }), &gone)?;
    holds(second < answered && answered <= gone.version(), &gone)?;
    let mut from_there = ledger.follow(third.cursor());
    same(next(&mut from_there).await?, gone)?;
    same(events.next().now_or_never(), None)
}

async fn a_watch_that_breaks_is_taken_up_without_a_gap() -> TestResult {
    let (server, ledger) = cluster();
    let (_, cursor) = ledger.list().await?;
    let mut events = ledger.follow(cursor);
    for last in 1..=20 {
        let version = write(&ledger, create(last, "a")).await?;
        if last % 3 == 0 {
            server.drop_watches(RESOURCE);
        }
        if last % 5 == 0 {
            fault(&server, "watch", InjectedFailure::Internal, 2);
            fault(&server, "watch", InjectedFailure::Silence, 1);
        }
        if last % 2 == 0 {
            same(next(&mut events).await?.version() <= version, true)?;
        }
    }
    let mut seen = 10;
    while seen < 20 {
        seen += 1;
        let address = next(&mut events).await?.allocation().address;
        same(address, allocation(seen, "a").address)?;
    }
    sleep(Duration::from_secs(600)).await;
    same(events.next().now_or_never(), None)
}

async fn a_watch_that_ends_is_taken_up_without_a_gap() -> TestResult {
    let (_, ledger) = cluster();
    let (_, cursor) = ledger.list().await?;
    let mut events = ledger.follow(cursor);
    for last in 1..=5 {
        let writer = ledger.clone();
        tokio::spawn(async move {
            // Longer than a watch lasts.
            sleep(Duration::from_secs(400)).await;
            writer.write(vec![create(last, "a")]).await
        });
        let address = next(&mut events).await?.allocation().address;
        same(address, allocation(last, "a").address)?;
    }
    holds(ledger.requests().watches >= 8, ledger.requests())
}

async fn a_follower_too_far_behind_has_to_list_again() -> TestResult {
    let (server, ledger) = cluster();
    let (_, cursor) = ledger.list().await?;
    for last in 1..=3 {
        write(&ledger, create(last, "a")).await?;
    }
    server.compact();
    let mut events = ledger.follow(cursor);
    same(events.next().await, Some(Err(FollowError::Expired)))?;
    same(events.next().await, None)
}

async fn bookmarks_keep_a_quiet_follower_from_falling_behind() -> TestResult {
    let server = ApiServer::with(FakeServerSettings {
        bookmark_every: Duration::from_secs(60),
        ..FakeServerSettings::default()
    });
    let ledger = super::support::ledger(&server, "a");
    let (_, cursor) = ledger.list().await?;
    let mut events = ledger.follow(cursor);
    same(events.next().now_or_never(), None)?;
    // Other objects are written, outside of this watch; then the history is compacted.
    for name in ["x", "y", "z"] {
        server.namespace(name, &[]);
    }
    let waited = tokio::time::timeout(Duration::from_secs(90), events.next()).await;
    holds(waited.is_err(), waited)?;
    server.compact();
    server.drop_watches(RESOURCE);
    let (received, version) = tokio::join!(next(&mut events), write(&ledger, create(1, "a")));
    same(received?, put(1, "a", version?))
}

async fn a_follower_waits_for_a_server_that_is_away() -> TestResult {
    let (server, ledger) = cluster();
    let (_, cursor) = ledger.list().await?;
    for failure in [
        InjectedFailure::Connection,
        InjectedFailure::Unavailable,
        InjectedFailure::Forbidden,
    ] {
        fault(&server, "watch", failure, 10);
    }
    let mut events = ledger.follow(cursor);
    let version = write(&ledger, create(1, "a")).await?;
    let (received, took) = timed(next(&mut events)).await;
    same(received?, put(1, "a", version))?;
    // Thirty failures, with back-offs of at most ten seconds.
    holds(took > Duration::from_secs(100), took)?;
    holds(took < Duration::from_secs(300), took)
}

async fn a_foreign_object_is_no_event() -> TestResult {
    let (server, ledger) = cluster();
    let (_, cursor) = ledger.list().await?;
    let mut events = ledger.follow(cursor);
    server.put(json!({
        "apiVersion": "nadmit.io/v1alpha1", "kind": "AddressAllocation",
        "metadata": {"name": "192.0.2.2"}, "spec": {"address": "elsewhere"},
    }));
    let version = write(&ledger, create(1, "a")).await?;
    same(next(&mut events).await?, put(1, "a", version))?;
    same(ledger.requests().unreadable, 1)
}

async fn a_record_that_becomes_unreadable_is_listed_again() -> TestResult {
    let (server, ledger) = cluster();
    write(&ledger, create(1, "a")).await?;
    let (_, cursor) = ledger.list().await?;
    let mut events = ledger.follow(cursor);
    let mut object = server.stored(RESOURCE, "", "192.0.2.1").ok_or("gone")?;
    object["spec"]["holder"] = json!({});
    server.put(object);
    same(events.next().await, Some(Err(FollowError::Expired)))
}

/// An index that gets write responses at once, and every event again from a watch that lags.
async fn a_late_event_does_not_restore_a_deleted_record() -> TestResult {
    let (server, ledger) = cluster();
    server.lag("slow", Duration::from_secs(5));
    let slow: Ledger = super::support::ledger(&server, "slow").into();
    let index = Arc::new(SharedIndex::default());
    let feed = LedgerSync::open(Arc::new(slow), Arc::clone(&index)).await?;
    let stop = CancellationToken::new();
    let fed = tokio::spawn(feed.run(stop.clone()));
    let known = || {
        let address = allocation(1, "a").address;
        let index = index.lock();
        index
            .holder_of(&Space::default(), address)
            .map(|record| record.holder.to_string())
    };
    let batch = vec![create(1, "a")];
    let outcome = ledger.write(batch.clone()).await;
    apply_outcome(&mut index.lock(), &batch, &outcome);
    same(known(), Some("pod db/a".to_owned()))?;
    sleep(Duration::from_secs(1)).await;
    let batch = vec![delete(1, "a", outcome?[0])];
    let outcome = ledger.write(batch.clone()).await;
    apply_outcome(&mut index.lock(), &batch, &outcome);
    same(known(), None)?;
    // The watch delivers the create first, and then the delete.
    sleep(Duration::from_millis(4_500)).await;
    same(known(), Some("pod db/a".to_owned()))?;
    sleep(Duration::from_secs(10)).await;
    same(known(), None)?;
    // The next holder's record stays.
    write(&ledger, create(1, "b")).await?;
    sleep(Duration::from_secs(10)).await;
    same(known(), Some("pod db/b".to_owned()))?;
    stop.cancel();
    fed.await?;
    Ok(())
}
