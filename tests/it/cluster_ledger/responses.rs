//! The outcome of a write when the API server responds late, wrongly, or not at all.

use std::time::Duration;

use libtest_mimic::Trial;
use nadmit::{
    allocation::{Holder, PodRef, Version, Write},
    api::labels,
    ledger::{LedgerRequestCounts, Store as _, WRITTEN_BY, WriteError},
};
use serde_json::json;

use super::support::*;
use crate::api_server::{FaultAction, InjectedFailure};

pub(super) fn tests() -> Vec<Trial> {
    tests![with test;
        one_request_a_write,
        objects_have_labels_and_a_field_manager,
        a_lost_answer_to_a_create_is_found_again,
        a_lost_answer_to_an_update_is_found_again,
        a_lost_answer_to_a_delete_is_found_again,
        a_faster_writer_is_reported_after_a_lost_request,
        retry_after_is_honoured,
        transient_errors_are_retried,
        a_timeout_is_uncertain,
        a_throttled_write_has_a_known_outcome,
        a_refusal_after_silence_proves_nothing,
        a_missing_rule_is_named,
        a_missing_definition_is_named,
        a_write_rejected_by_the_schema_is_not_retried,
        a_delete_of_an_old_version_changes_nothing,
        a_record_that_waits_for_finalizers_is_not_gone,
        an_address_behind_an_unreadable_object_is_taken,
    ]
}

const SILENT: Duration = Duration::from_secs(3);

async fn one_request_a_write() -> TestResult {
    let (server, ledger) = cluster();
    let first = write(&ledger, create(1, "a")).await?;
    write(&ledger, update(1, "b", first)).await?;
    let expected = LedgerRequestCounts {
        creates: 1,
        updates: 1,
        ..LedgerRequestCounts::default()
    };
    same(ledger.requests(), expected)?;
    let asked: u64 = server.request_counts().values().sum();
    same(asked, 2)
}

async fn objects_have_labels_and_a_field_manager() -> TestResult {
    let (server, ledger) = cluster();
    let mut record = allocation(1, "a");
    record.pod = Some(PodRef {
        node: None,
        name: "a".into(),
        uid: Some("3239b2d2-cd73-479a-9620-6ac93fb25752".into()),
    });
    write(&ledger, Write::Create(record.clone())).await?;
    let object = server.stored(RESOURCE, "", "192.0.2.1");
    let metadata = &object.ok_or("nothing stored")?["metadata"];
    let holder = labels::holder_label(&record.holder);
    same(
        &metadata["labels"],
        &json!({
            "nadmit.io/pool": "storage",
            "nadmit.io/holder": holder,
            "nadmit.io/pod-uid": "3239b2d2-cd73-479a-9620-6ac93fb25752",
        }),
    )?;
    let writer = metadata["annotations"][WRITTEN_BY].as_str();
    holds(writer.is_some_and(|by| by.starts_with("a/")), writer)?;
    let asked = server.request_paths();
    let named = asked
        .iter()
        .all(|path| path.contains("fieldManager=nadmit"));
    holds(named, asked)
}

async fn a_lost_answer_to_a_create_is_found_again() -> TestResult {
    for failure in [
        InjectedFailure::Silence,
        InjectedFailure::Connection,
        InjectedFailure::Internal,
    ] {
        let (server, ledger) = cluster();
        fault(&server, "create", FaultAction::lost(failure), 1);
        let version = write(&ledger, create(1, "a")).await?;
        same(
            ledger.get("192.0.2.1").await?,
            Some(stored(1, "a", version)),
        )?;
        same(held(&server), holding(&[(1, "a")]))?;
        same(ledger.requests().updates, 0)?;
    }
    Ok(())
}

async fn a_lost_answer_to_an_update_is_found_again() -> TestResult {
    for failure in [
        InjectedFailure::Silence,
        InjectedFailure::Connection,
        InjectedFailure::Timeout,
    ] {
        let (server, ledger) = cluster();
        let first = write(&ledger, create(1, "a")).await?;
        fault(&server, "update", FaultAction::lost(failure), 1);
        let second = write(&ledger, update(1, "b", first)).await?;
        same(ledger.get("192.0.2.1").await?, Some(stored(1, "b", second)))?;
    }
    Ok(())
}

async fn a_lost_answer_to_a_delete_is_found_again() -> TestResult {
    for failure in [
        InjectedFailure::Silence,
        InjectedFailure::Connection,
        InjectedFailure::Unavailable,
    ] {
        let (server, ledger) = cluster();
        let first = write(&ledger, create(1, "a")).await?;
        fault(&server, "delete", FaultAction::lost(failure), 1);
        let gone = write(&ledger, delete(1, "a", first)).await?;
        holds(gone > first, (first, gone))?;
        same(held(&server), holding(&[]))?;
    }
    Ok(())
}

async fn a_faster_writer_is_reported_after_a_lost_request() -> TestResult {
    let (server, ledger) = cluster();
    // The first request gets no response; before the retry another replica takes the name.
    fault(&server, "create", InjectedFailure::Silence, 1);
    let other = super::support::ledger(&server, "b");
    let (ours, theirs) = tokio::join!(refused(&ledger, vec![create(1, "a")]), async {
        tokio::time::sleep(SILENT).await;
        write(&other, create(1, "b")).await
    });
    same(ours?, exists(1, "b", theirs?))
}

async fn retry_after_is_honoured() -> TestResult {
    let (server, ledger) = cluster();
    fault(&server, "create", InjectedFailure::TooManyRequests(2), 1);
    let (version, took) = timed(write(&ledger, create(1, "a"))).await;
    version?;
    same(took, Duration::from_secs(2))?;
    same(ledger.requests().retries, 1)
}

async fn transient_errors_are_retried() -> TestResult {
    let (server, ledger) = cluster();
    for failure in [
        InjectedFailure::Internal,
        InjectedFailure::Unavailable,
        InjectedFailure::Timeout,
        InjectedFailure::Connection,
    ] {
        fault(&server, "create", failure, 1);
    }
    let (version, took) = timed(write(&ledger, create(1, "a"))).await;
    version?;
    // Back-offs of 50, 100, 200 and 400 ms.
    same(took, Duration::from_millis(750))
}

async fn a_timeout_is_uncertain() -> TestResult {
    let (server, ledger) = cluster();
    fault(
        &server,
        "create",
        FaultAction::lost(InjectedFailure::Internal),
        usize::MAX,
    );
    fault(&server, "get", InjectedFailure::Internal, usize::MAX);
    let (error, took) = timed(refused(&ledger, vec![create(1, "a")])).await;
    holds(matches!(error, Ok(WriteError::Uncertain { .. })), error)?;
    holds(took <= Duration::from_secs(8), took)?;
    server.heal();
    // A retry under the same name succeeds.
    write(&ledger, create(1, "a")).await?;
    same(held(&server), holding(&[(1, "a")]))?;
    same(ledger.requests().updates, 0)
}

async fn a_throttled_write_has_a_known_outcome() -> TestResult {
    let (server, ledger) = cluster();
    fault(
        &server,
        "create",
        InjectedFailure::TooManyRequests(60),
        usize::MAX,
    );
    let (error, took) = timed(refused(&ledger, vec![create(1, "a")])).await;
    same(took, Duration::ZERO)?;
    expect_parts(error?, &["nothing was written", "too busy", "try again"])
}

async fn a_refusal_after_silence_proves_nothing() -> TestResult {
    let (server, ledger) = cluster();
    fault(
        &server,
        "create",
        FaultAction::lost(InjectedFailure::Silence),
        1,
    );
    fault(&server, "create", InjectedFailure::Forbidden, 1);
    let error = refused(&ledger, vec![create(1, "a")]).await?;
    holds(matches!(error, WriteError::Uncertain { .. }), error)
}

async fn a_missing_rule_is_named() -> TestResult {
    let (server, ledger) = cluster();
    fault(&server, "create", InjectedFailure::Forbidden, 1);
    let error = refused(&ledger, vec![create(1, "a")]).await?;
    expect_parts(
        error,
        &["403", "\"create\"", "\"addressallocations\"", "nadmit.io"],
    )?;
    same(ledger.requests().creates, 1)?;
    fault(&server, "list", InjectedFailure::Forbidden, 1);
    match ledger.list().await {
        Err(error) => expect_parts(error, &["403", "\"list\""]),
        Ok(_) => Err("listed".into()),
    }
}

async fn a_missing_definition_is_named() -> TestResult {
    let (server, ledger) = cluster();
    server.unregister(RESOURCE);
    let error = refused(&ledger, vec![create(1, "a")]).await?;
    expect_parts(error, &["nothing was written", "nadmit crds"])?;
    // An error is not the same as "there is no such record".
    let read = ledger.get("192.0.2.1").await;
    holds(read.is_err(), &read)?;
    let version = Version(1);
    let error = refused(&ledger, vec![delete(1, "a", version)]).await?;
    holds(matches!(error, WriteError::Unavailable { .. }), error)
}

async fn a_write_rejected_by_the_schema_is_not_retried() -> TestResult {
    let (server, ledger) = cluster();
    let version = write(&ledger, create(1, "a")).await?;
    fault(&server, "update", InjectedFailure::Invalid, usize::MAX);
    fault(&server, "create", InjectedFailure::Invalid, usize::MAX);
    for batch in [vec![update(1, "b", version)], vec![create(2, "b")]] {
        let error = refused(&ledger, batch).await?;
        expect_parts(
            error,
            &["nothing was written", "422", "spec", "nadmit crds"],
        )?;
    }
    same(ledger.requests().retries, 0)
}

async fn a_delete_of_an_old_version_changes_nothing() -> TestResult {
    let (server, ledger) = cluster();
    let other = super::support::ledger(&server, "b");
    let first = write(&ledger, create(1, "a")).await?;
    // Between the read and the delete another replica takes it over.
    server.fault(
        crate::api_server::FaultRule::of(
            "delete",
            PLURAL,
            FaultAction::slow(Duration::from_secs(1), Duration::ZERO),
        )
        .times(1),
    );
    let (error, second) = tokio::join!(refused(&ledger, vec![delete(1, "a", first)]), async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        write(&other, update(1, "b", first)).await
    });
    let now = stored(1, "b", second?);
    same(error?, changed(1, Some(now)))?;
    same(held(&server), holding(&[(1, "b")]))
}

async fn a_record_that_waits_for_finalizers_is_not_gone() -> TestResult {
    let (server, ledger) = cluster();
    let version = write(&ledger, create(1, "a")).await?;
    let mut object = server.stored(RESOURCE, "", "192.0.2.1").ok_or("gone")?;
    object["metadata"]["finalizers"] = json!(["example.dev/keep"]);
    holds(server.put(object), "not put")?;
    let now = ledger.get("192.0.2.1").await?.ok_or("gone")?;
    holds(now.version > version, &now)?;
    let error = refused(&ledger, vec![delete(1, "a", now.version)]).await?;
    expect_parts(error, &["192.0.2.1", "finalizers"])?;
    // Nor can any replica take it over.
    let error = refused(&ledger, vec![create(1, "a")]).await?;
    expect_parts(error, &["192.0.2.1", "finalizers"])
}

async fn an_address_behind_an_unreadable_object_is_taken() -> TestResult {
    let (server, ledger) = cluster();
    server.put(json!({
        "apiVersion": "nadmit.io/v1alpha1", "kind": "AddressAllocation",
        "metadata": {"name": "192.0.2.1"}, "spec": {"address": "elsewhere"},
    }));
    match refused(&ledger, vec![create(1, "a")]).await? {
        WriteError::Exists(there) => {
            let taken = &there.allocation;
            same(taken.address, allocation(1, "a").address)?;
            holds(matches!(taken.holder, Holder::Reservation { .. }), taken)?;
            // nadmit deletes no record that it did not write.
            let error = refused(&ledger, vec![Write::Delete(taken.clone(), there.version)]);
            same(error.await?, changed(1, None))?;
        }
        other => return Err(other.to_string().into()),
    }
    same(server.all(RESOURCE).len(), 1)?;
    match ledger.get("192.0.2.1").await {
        Err(error) => expect_parts(error, &["kubectl delete addressallocation 192.0.2.1"]),
        Ok(read) => Err(format!("{read:?}").into()),
    }
}

/// Checks that an error contains all of these parts.
fn expect_parts(error: impl ToString, parts: &[&str]) -> TestResult {
    let text = error.to_string();
    match parts.iter().find(|part| !text.contains(*part)) {
        Some(part) => Err(format!("{part:?} is not in: {text}").into()),
        None => Ok(()),
    }
}
