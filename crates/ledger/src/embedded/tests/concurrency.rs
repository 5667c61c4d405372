//! Concurrent writers: groups, independent batches, and callers that leave.

use std::{collections::BTreeSet, sync::Arc};

use futures_util::{FutureExt as _, StreamExt as _, future::join_all};

use super::support::*;
use crate::{LedgerEvent, Store as _, WriteError};
use nadmit_allocation::Version;

#[tokio::test]
async fn a_refused_batch_does_not_fail_its_neighbours() {
    let folder = folder();
    let ledger = open(&folder);
    // Futures that are polled together are committed together.
    let writes = (0..100u8).map(|n| ledger.write(vec![create(n, "a"), create(200 + n % 10, "b")]));
    let results = join_all(writes).await;
    let written = results.iter().filter(|result| result.is_ok()).count();
    assert_eq!(written, 10);
    for refused in results.iter().filter_map(|result| result.as_ref().err()) {
        assert!(matches!(refused, WriteError::Exists(_)), "{refused}");
    }
    assert_eq!(names_and_holders(&ledger).await.len(), 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_many_writers_gets_an_address_and_versions_have_no_gaps() {
    let folder = folder();
    let ledger = Arc::new(open(&folder));
    let (_, cursor) = ledger.list().await.unwrap();
    let tasks = (0..8).map(|task| {
        let ledger = Arc::clone(&ledger);
        tokio::spawn(async move {
            let mut mine = Vec::new();
            for last in 0..50 {
                match ledger
                    .write(vec![create(last, &format!("pod-{task}"))])
                    .await
                {
                    Ok(versions) => mine.extend(versions),
                    Err(error) => assert!(matches!(error, WriteError::Exists(_)), "{error}"),
                }
            }
            mine
        })
    });
    let versions: BTreeSet<Version> = join_all(tasks)
        .await
        .into_iter()
        .flat_map(Result::unwrap)
        .collect();
    assert_eq!(versions, (1..=50).map(Version).collect());
    let events: Vec<u64> = ledger
        .follow(cursor)
        .take(50)
        .map(|event| event.unwrap().version().0)
        .collect()
        .await;
    assert_eq!(events, (1..=50).collect::<Vec<u64>>());
}

#[tokio::test]
async fn a_dropped_future_does_not_undo_its_write() {
    let folder = folder();
    let ledger = open(&folder);
    let (_, cursor) = ledger.list().await.unwrap();
    let mut write = Box::pin(ledger.write(vec![create(1, "a"), create(2, "a")]));
    // Polled once: the batch is queued.
    let early = write.as_mut().now_or_never();
    assert!(matches!(early, None | Some(Ok(_))), "{early:?}");
    drop(write);
    // Never polled: nothing was submitted.
    drop(ledger.write(vec![create(3, "a")]));
    let events: Vec<_> = ledger.follow(cursor).take(2).collect().await;
    let expected =
        [stored(1, "a", 1), stored(2, "a", 2)].map(|stored| Ok(LedgerEvent::Put(stored)));
    assert_eq!(events, expected);
    assert_eq!(names_and_holders(&ledger).await.len(), 2);
}

#[tokio::test]
async fn closing_answers_queued_batches() {
    let folder = folder();
    let ledger = open(&folder);
    let writes = join_all((0..50).map(|last| ledger.write(vec![create(last, "a")])));
    let (results, ()) = futures_util::future::join(writes, ledger.close()).await;
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    assert_eq!(names_and_holders(&open(&folder)).await.len(), 50);
}
