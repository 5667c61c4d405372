//! Batches are atomic, although the API server writes objects one by one.

use std::time::Duration;

use libtest_mimic::Trial;
use nadmit::ledger::{Store as _, WriteError};
use tokio::time::sleep;

use super::support::*;
use crate::api_server::{FaultAction, FaultRule, InjectedFailure};

pub(super) fn tests() -> Vec<Trial> {
    tests![with test;
        a_batch_takes_as_long_as_one_write,
        creates_of_a_refused_batch_are_rolled_back,
        a_rollback_is_retried,
        a_failed_rollback_is_uncertain,
        a_forbidden_rollback_leaves_the_record,
        a_record_taken_over_is_not_rolled_back,
        two_replicas_that_write_the_same_share_it,
        one_of_two_replicas_gets_the_name,
        updates_follow_when_every_create_succeeded,
        an_uncertain_batch_is_completed_by_a_retry,
        a_repeated_batch_that_is_refused_takes_back_the_first,
        a_dropped_batch_is_completed,
        a_batch_names_a_record_once,
    ]
}

const SLOW: Duration = Duration::from_millis(200);

async fn a_batch_takes_as_long_as_one_write() -> TestResult {
    let (server, ledger) = cluster();
    let slow = FaultAction::slow(SLOW, Duration::ZERO);
    fault(&server, "create", slow, usize::MAX);
    let batch = (1..=9).map(|last| create(last, "a")).collect();
    let (versions, took) = timed(ledger.write(batch)).await;
    same(versions?.len(), 9)?;
    same(took, SLOW)
}

async fn creates_of_a_refused_batch_are_rolled_back() -> TestResult {
    let (server, ledger) = cluster();
    let there = write(&ledger, create(3, "b")).await?;
    let batch = vec![create(1, "a"), create(2, "a"), create(3, "a")];
    same(refused(&ledger, batch).await?, exists(3, "b", there))?;
    same(held(&server), holding(&[(3, "b")]))?;
    // The same holds if the reason is not another holder's record.
    server.fault(
        FaultRule::of("create", PLURAL, InjectedFailure::Forbidden.into()).named("192.0.2.2"),
    );
    let error = refused(&ledger, vec![create(1, "a"), create(2, "a")]).await?;
    holds(matches!(error, WriteError::Unavailable { .. }), error)?;
    same(held(&server), holding(&[(3, "b")]))
}

async fn a_rollback_is_retried() -> TestResult {
    let (server, ledger) = cluster();
    let there = write(&ledger, create(3, "b")).await?;
    for failure in [
        InjectedFailure::Internal,
        InjectedFailure::Silence,
        InjectedFailure::TooManyRequests(1),
    ] {
        fault(&server, "delete", failure, 1);
    }
    fault(
        &server,
        "delete",
        FaultAction::lost(InjectedFailure::Connection),
        1,
    );
    let batch = vec![create(1, "a"), create(3, "a")];
    same(refused(&ledger, batch).await?, exists(3, "b", there))?;
    same(held(&server), holding(&[(3, "b")]))
}

async fn a_failed_rollback_is_uncertain() -> TestResult {
    let (server, ledger) = cluster();
    let there = write(&ledger, create(3, "b")).await?;
    fault(&server, "delete", InjectedFailure::Internal, usize::MAX);
    let batch = vec![create(1, "a"), create(3, "a")];
    let error = refused(&ledger, batch.clone()).await?;
    holds(matches!(error, WriteError::Uncertain { .. }), &error)?;
    holds(error.to_string().contains("192.0.2.1 was created"), error)?;
    server.heal();
    same(refused(&ledger, batch).await?, exists(3, "b", there))?;
    same(held(&server), holding(&[(3, "b")]))
}

async fn a_forbidden_rollback_leaves_the_record() -> TestResult {
    let (server, ledger) = cluster();
    let there = write(&ledger, create(3, "b")).await?;
    fault(&server, "delete", InjectedFailure::Forbidden, usize::MAX);
    let batch = vec![create(1, "a"), create(3, "a")];
    // The response is that of a single attempt: there is nothing to retry.
    same(
        refused(&ledger, batch.clone()).await?,
        exists(3, "b", there),
    )?;
    same(held(&server), holding(&[(1, "a"), (3, "b")]))?;
    same(ledger.requests().deletes, 1)?;
    // A repeated request finds the record, which belongs to the requester.
    let versions = ledger.write(vec![create(1, "a"), create(2, "a")]).await?;
    same(versions.len(), 2)?;
    same(held(&server), holding(&[(1, "a"), (2, "a"), (3, "b")]))
}

async fn a_record_taken_over_is_not_rolled_back() -> TestResult {
    let (server, ledger) = cluster();
    let other = super::support::ledger(&server, "b");
    write(&ledger, create(3, "b")).await?;
    fault(
        &server,
        "delete",
        FaultAction::slow(SLOW, Duration::ZERO),
        1,
    );
    let (error, version) = tokio::join!(
        refused(&ledger, vec![create(1, "a"), create(3, "a")]),
        async {
            sleep(SLOW / 2).await;
            let seen = other.get("192.0.2.1").await?.ok_or("not created")?;
            write(&other, update(1, "next", seen.version)).await
        }
    );
    holds(matches!(error?, WriteError::Exists(_)), "no Exists")?;
    let kept = other.get("192.0.2.1").await?;
    same(kept, Some(stored(1, "next", version?)))
}

async fn two_replicas_that_write_the_same_share_it() -> TestResult {
    let (server, ledger) = cluster();
    let other = super::support::ledger(&server, "b");
    write(&ledger, create(3, "b")).await?;
    // One replica is called for a pod, fails, and rolls back; in the same second the other replica
    // is called for the same pod.
    fault(
        &server,
        "delete",
        FaultAction::slow(SLOW, Duration::ZERO),
        1,
    );
    let (error, version) = tokio::join!(
        refused(&ledger, vec![create(1, "a"), create(3, "a")]),
        async {
            sleep(SLOW / 2).await;
            write(&other, create(1, "a")).await
        }
    );
    holds(matches!(error?, WriteError::Exists(_)), "no Exists")?;
    let kept = other.get("192.0.2.1").await?;
    same(kept, Some(stored(1, "a", version?)))
}

async fn one_of_two_replicas_gets_the_name() -> TestResult {
    let (server, ledger) = cluster();
    let other = super::support::ledger(&server, "b");
    let slow = FaultAction::slow(SLOW, SLOW);
    fault(&server, "create", slow, usize::MAX);
    let mut tasks = Vec::new();
    for last in 1..=50 {
        for (ledger, pod) in [(&ledger, "a"), (&other, "b")] {
            let ledger = ledger.clone();
            let write = vec![create(last, pod)];
            tasks.push(tokio::spawn(async move {
                (last, pod, ledger.write(write).await)
            }));
        }
    }
    let mut winners = Vec::new();
    for task in tasks {
        match task.await? {
            (last, pod, Ok(_)) => winners.push((last, pod)),
            (_, pod, Err(WriteError::Exists(theirs))) => {
                holds(theirs.allocation != allocation(1, pod), theirs)?;
            }
            (.., Err(error)) => return Err(error.into()),
        }
    }
    winners.sort_by_key(|(last, _)| format!("192.0.2.{last}"));
    same(held(&server), holding(&winners))?;
    // One request for each written record, and one for each conflict.
    same(ledger.requests().creates + other.requests().creates, 100)
}

async fn updates_follow_when_every_create_succeeded() -> TestResult {
    let (server, ledger) = cluster();
    let first = write(&ledger, create(1, "a")).await?;
    let there = write(&ledger, create(3, "b")).await?;
    let batch = vec![update(1, "c", first), create(2, "c"), create(3, "c")];
    same(refused(&ledger, batch).await?, exists(3, "b", there))?;
    same(held(&server), holding(&[(1, "a"), (3, "b")]))?;
    same(ledger.requests().updates, 0)?;
    let versions = ledger
        .write(vec![update(1, "c", first), create(2, "c")])
        .await?;
    same(
        ledger.get("192.0.2.1").await?,
        Some(stored(1, "c", versions[0])),
    )?;
    same(
        ledger.get("192.0.2.2").await?,
        Some(stored(2, "c", versions[1])),
    )
}

async fn an_uncertain_batch_is_completed_by_a_retry() -> TestResult {
    let (server, ledger) = cluster();
    let first = write(&ledger, create(9, "a")).await?;
    let lost = FaultAction::lost(InjectedFailure::Internal);
    server.fault(FaultRule::of("create", PLURAL, lost).named("192.0.2.2"));
    fault(&server, "get", InjectedFailure::Internal, usize::MAX);
    let batch = vec![create(1, "b"), create(2, "b"), update(9, "b", first)];
    let error = refused(&ledger, batch.clone()).await?;
    holds(matches!(error, WriteError::Uncertain { .. }), error)?;
    server.heal();
    let versions = ledger.write(batch).await?;
    same(versions.len(), 3)?;
    same(held(&server), holding(&[(1, "b"), (2, "b"), (9, "b")]))
}

async fn a_repeated_batch_that_is_refused_takes_back_the_first() -> TestResult {
    let (server, ledger) = cluster();
    server.fault(
        FaultRule::of("create", PLURAL, InjectedFailure::Internal.into()).named("192.0.2.2"),
    );
    let batch = vec![create(1, "a"), create(2, "a")];
    let error = refused(&ledger, batch.clone()).await?;
    holds(matches!(error, WriteError::Uncertain { .. }), error)?;
    same(held(&server), holding(&[(1, "a")]))?;
    server.heal();
    // That the retry is throttled does not change the outcome of the first request.
    fault(&server, "create", InjectedFailure::TooManyRequests(60), 2);
    let error = refused(&ledger, batch.clone()).await?;
    holds(matches!(error, WriteError::Uncertain { .. }), error)?;
    same(held(&server), holding(&[(1, "a")]))?;
    let other = super::support::ledger(&server, "b");
    let theirs = write(&other, create(2, "b")).await?;
    same(refused(&ledger, batch).await?, exists(2, "b", theirs))?;
    same(held(&server), holding(&[(2, "b")]))
}

async fn a_dropped_batch_is_completed() -> TestResult {
    let (server, ledger) = cluster();
    write(&ledger, create(3, "b")).await?;
    fault(&server, "create", FaultAction::slow(SLOW, SLOW), usize::MAX);
    for batch in [
        vec![create(1, "a"), create(3, "a")],
        vec![create(5, "a"), create(6, "a")],
    ] {
        let waited = tokio::time::timeout(SLOW / 2, ledger.write(batch)).await;
        holds(waited.is_err(), "answered too early")?;
    }
    sleep(SLOW * 10).await;
    same(held(&server), holding(&[(3, "b"), (5, "a"), (6, "a")]))
}

async fn a_batch_names_a_record_once() -> TestResult {
    let (server, ledger) = cluster();
    let error = refused(&ledger, vec![create(1, "a"), create(1, "b")]).await?;
    holds(matches!(error, WriteError::Unavailable { .. }), &error)?;
    holds(error.to_string().contains("192.0.2.1 twice"), error)?;
    same(server.request_counts().len(), 0)
}
