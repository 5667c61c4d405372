//! Followers see every write once, in the order of commits, or an error.

use std::path::Path;

use futures_util::StreamExt as _;

use super::{super::file, support::*};
use crate::{Cursor, EmbeddedLedger, FollowError, LedgerEvent, OlderLedger, Store as _};
use nadmit_allocation::{Version, Write};

const NOW: std::time::Duration = std::time::Duration::from_millis(50);

#[tokio::test]
async fn a_follower_sees_every_write_after_its_list() {
    let folder = folder();
    let ledger = open(&folder);
    ledger.write(vec![create(1, "a")]).await.unwrap();
    let (_, cursor) = ledger.list().await.unwrap();
    let mut events = ledger.follow(cursor);
    assert!(tokio::time::timeout(NOW, events.next()).await.is_err());

    ledger.write(vec![create(2, "b")]).await.unwrap();
    ledger.write(vec![create(2, "c")]).await.unwrap_err();
    let change = vec![
        Write::Update(allocation(1, "d"), Version(1)),
        Write::Delete(allocation(2, "b"), Version(2)),
    ];
    ledger.write(change).await.unwrap();
    let gone = LedgerEvent::Deleted {
        allocation: allocation(2, "b"),
        version: Version(4),
    };
    let expected = [
        LedgerEvent::Put(stored(2, "b", 2)),
        LedgerEvent::Put(stored(1, "d", 3)),
        gone.clone(),
    ];
    for event in &expected {
        assert_eq!(events.next().await, Some(Ok(event.clone())));
    }
    let mut from_there = ledger.follow(expected[1].cursor());
    assert_eq!(from_there.next().await, Some(Ok(gone)));

    ledger.write(vec![create(9, "z")]).await.unwrap();
    ledger.close().await;
    assert_eq!(
        events.next().await,
        Some(Ok(LedgerEvent::Put(stored(9, "z", 5)))),
        "all events are delivered before the end"
    );
    assert_eq!(events.next().await, None);
}

/// Opens the ledger with a buffer of this many events.
fn open_with_history(folder: &Path, history: usize) -> EmbeddedLedger {
    let path = folder.join(file::FILE_NAME);
    let opened = file::open(folder, OlderLedger::Refuse).unwrap();
    let reopen = Box::new(|| unreachable!());
    EmbeddedLedger::start(&path, opened, reopen, history).unwrap()
}

#[tokio::test]
async fn a_follower_that_is_too_far_behind_must_list_again() {
    let folder = folder();
    let ledger = open_with_history(folder.path(), 3);
    for last in 1..=4 {
        ledger.write(vec![create(last, "a")]).await.unwrap();
    }
    let mut late = ledger.follow(Cursor(Version(0)));
    let error = late.next().await;
    assert_eq!(error, Some(Err(FollowError::Expired)));
    assert_eq!(late.next().await, None);
    let mut just = ledger.follow(Cursor(Version(1)));
    assert_eq!(
        just.next().await,
        Some(Ok(LedgerEvent::Put(stored(2, "a", 2))))
    );

    // A follower that received some events and then fell behind.
    let batch = (10..20).map(|last| create(last, "b")).collect();
    ledger.write(batch).await.unwrap();
    let rest: Vec<_> = just.collect::<Vec<_>>().await;
    assert_eq!(rest.last(), Some(&Err(FollowError::Expired)));
}

#[tokio::test]
async fn a_cursor_of_another_history_is_expired() {
    let folder = folder();
    let ledger = open(&folder);
    let mut events = ledger.follow(Cursor(Version(7)));
    assert_eq!(events.next().await, Some(Err(FollowError::Expired)));

    ledger
        .write(vec![create(1, "a"), create(2, "a")])
        .await
        .unwrap();
    ledger.close().await;
    let ledger = open(&folder);
    let mut before = ledger.follow(Cursor(Version(1)));
    assert_eq!(before.next().await, Some(Err(FollowError::Expired)));
    let mut at_the_end = ledger.follow(Cursor(Version(2)));
    ledger.write(vec![create(3, "a")]).await.unwrap();
    assert_eq!(
        at_the_end.next().await,
        Some(Ok(LedgerEvent::Put(stored(3, "a", 3))))
    );
}
