//! Create, update, delete, get, list; versions; all or none.

use super::support::*;
use crate::{Store as _, WriteError};
use nadmit_allocation::{Space, Version, Write};

#[tokio::test]
async fn a_created_record_survives_a_restart() {
    let folder = folder();
    let ledger = open(&folder);
    let written = ledger.write(vec![create(1, "a"), create(2, "b")]).await;
    assert_eq!(written, Ok(versions(&[1, 2])));
    assert_eq!(ledger.get("192.0.2.2").await, Ok(Some(stored(2, "b", 2))));
    ledger.close().await;
    let ledger = open(&folder);
    assert_eq!(ledger.get("192.0.2.1").await, Ok(Some(stored(1, "a", 1))));
    assert_eq!(ledger.get("192.0.2.9").await, Ok(None));
    let (records, cursor) = ledger.list().await.unwrap();
    assert_eq!(records, [stored(1, "a", 1), stored(2, "b", 2)]);
    assert_eq!(cursor.version(), Version(2));
    assert_eq!(ledger.write(vec![create(3, "c")]).await, Ok(versions(&[3])));
}

#[tokio::test]
async fn a_create_of_an_existing_record_reports_its_holder() {
    let folder = folder();
    let ledger = open(&folder);
    ledger.write(vec![create(1, "a")]).await.unwrap();
    let error = ledger.write(vec![create(1, "b")]).await.unwrap_err();
    assert_eq!(error, exists(1, "a", 1));
    assert_eq!(
        error.to_string(),
        "192.0.2.1 of the unnamed address space is allocated to pod db/a already; take another address"
    );
}

#[tokio::test]
async fn a_name_that_belongs_to_another_space_exists() {
    let folder = folder();
    let ledger = open(&folder);
    let mut first = allocation(1, "a");
    first.space = Space::new("example_net");
    let name = first.record_name();
    let mut twin = allocation(1, "b");
    twin.space = Space::new(name.strip_suffix(".192.0.2.1").unwrap());
    assert_eq!(first.record_name(), twin.record_name());

    ledger
        .write(vec![Write::Create(first.clone())])
        .await
        .unwrap();
    match ledger.write(vec![Write::Create(twin.clone())]).await {
        Err(WriteError::Exists(there)) => assert_eq!(there.allocation, first),
        other => panic!("{other:?}"),
    }
    // Naming the right version does not help either.
    for write in [
        Write::Update(twin.clone(), Version(1)),
        Write::Delete(twin, Version(1)),
    ] {
        let refused = ledger.write(vec![write]).await;
        assert!(
            matches!(refused, Err(WriteError::Changed { .. })),
            "{refused:?}"
        );
    }
}

#[tokio::test]
async fn updates_and_deletes_name_the_version_that_they_change() {
    let folder = folder();
    let ledger = open(&folder);
    ledger.write(vec![create(1, "a")]).await.unwrap();
    let update = Write::Update(allocation(1, "b"), Version(1));
    assert_eq!(ledger.write(vec![update.clone()]).await, Ok(versions(&[2])));
    let error = ledger.write(vec![update]).await.unwrap_err();
    assert_eq!(error, changed(1, Some(stored(1, "b", 2))));
    assert_eq!(
        error.to_string(),
        "record 192.0.2.1 was changed: it has version 2 and is held by pod db/b; decide again by what it is now"
    );
    let stale = Write::Delete(allocation(1, "a"), Version(1));
    assert_eq!(
        ledger.write(vec![stale]).await,
        Err(changed(1, Some(stored(1, "b", 2))))
    );
    let delete = Write::Delete(allocation(1, "b"), Version(2));
    assert_eq!(ledger.write(vec![delete.clone()]).await, Ok(versions(&[3])));
    assert_eq!(ledger.write(vec![delete]).await, Err(changed(1, None)));
    assert_eq!(ledger.get("192.0.2.1").await, Ok(None));
    // The version of a deleted record is never used again.
    assert_eq!(ledger.write(vec![create(1, "c")]).await, Ok(versions(&[4])));
}

#[tokio::test]
async fn a_batch_is_written_whole_or_not_at_all() {
    let folder = folder();
    let ledger = open(&folder);
    ledger.write(vec![create(3, "a")]).await.unwrap();
    let refused = ledger
        .write(vec![
            create(1, "b"),
            Write::Delete(allocation(3, "a"), Version(1)),
            create(1, "c"),
        ])
        .await;
    assert_eq!(
        refused,
        Err(exists(1, "b", 2)),
        "as the batch would have had it"
    );
    let (records, cursor) = ledger.list().await.unwrap();
    assert_eq!(records, [stored(3, "a", 1)]);
    assert_eq!(cursor.version(), Version(1));
    assert_eq!(ledger.write(Vec::new()).await, Ok(Vec::new()));
}

#[tokio::test]
async fn a_batch_takes_effect_in_its_order() {
    let folder = folder();
    let ledger = open(&folder);
    ledger.write(vec![create(1, "a")]).await.unwrap();
    let moved = vec![
        Write::Delete(allocation(1, "a"), Version(1)),
        create(1, "b"),
    ];
    assert_eq!(ledger.write(moved).await, Ok(versions(&[2, 3])));
    assert_eq!(ledger.get("192.0.2.1").await, Ok(Some(stored(1, "b", 3))));
}

#[tokio::test]
async fn a_closed_ledger_rejects_calls_and_unlocks_the_file() {
    let folder = folder();
    let ledger = open(&folder);
    ledger.write(vec![create(1, "a")]).await.unwrap();
    ledger.close().await;
    ledger.close().await;
    let error = ledger.write(vec![create(2, "b")]).await.unwrap_err();
    assert!(matches!(error, WriteError::Unavailable { .. }), "{error}");
    assert!(ledger.get("192.0.2.1").await.is_err());
    assert_eq!(names_and_holders(&open(&folder)).await.len(), 1);
}
