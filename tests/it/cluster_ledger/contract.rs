//! The contract that both ledgers fulfil.

use std::{future::Future, sync::Arc};

use libtest_mimic::Trial;
use nadmit::{
    allocation::{Space, Version, Write},
    ledger::{EmbeddedLedger, ImportError, Ledger, Store as _, WriteError},
};

use super::support::*;
use crate::api_server::{FaultRule, InjectedFailure};

pub(super) fn tests() -> Vec<Trial> {
    tests![with both;
        a_created_record_is_read_back,
        an_existing_record_is_not_created_and_its_holder_is_named,
        a_name_that_belongs_to_another_space_exists,
        updates_and_deletes_name_the_version_that_they_change,
        a_batch_is_written_whole_or_not_at_all,
        records_go_from_an_export_into_another_ledger,
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Registers a test for each ledger.
fn both<F>(name: &str, run: fn(Ledger) -> F) -> [Trial; 2]
where
    F: Future<Output = TestResult> + 'static,
{
    let embedded = Trial::test(format!("cluster_ledger::embedded::{name}"), move || {
        let folder = tempfile::tempdir()?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(run(EmbeddedLedger::open(folder.path())?.into()))
    });
    let cluster = Trial::test(format!("cluster_ledger::cluster::{name}"), move || {
        paused()?.block_on(async {
            let (server, ledger) = cluster();
            // The fake API server does not evaluate the schema's CEL rules.
            let moved = FaultRule::of("update", PLURAL, InjectedFailure::Invalid.into());
            server.fault(moved.named(SHARED_NAME));
            run(ledger.into()).await
        })
    });
    [embedded, cluster]
}

/// The name of one record in two spaces.
const SHARED_NAME: &str = "example-net-1b2f09311c62f90d.192.0.2.1";

async fn a_created_record_is_read_back(ledger: Ledger) -> TestResult {
    let versions = ledger.write(vec![create(2, "b"), create(1, "a")]).await?;
    holds(versions[0] != versions[1], &versions)?;
    let (a, b) = (stored(1, "a", versions[1]), stored(2, "b", versions[0]));
    same(ledger.get("192.0.2.2").await?, Some(b.clone()))?;
    same(ledger.get("192.0.2.9").await?, None)?;
    let (records, cursor) = ledger.list().await?;
    same(records, vec![a, b])?;
    holds(versions.iter().all(|v| *v <= cursor.version()), cursor)?;
    same(ledger.write(Vec::new()).await?, Vec::new())
}

async fn an_existing_record_is_not_created_and_its_holder_is_named(ledger: Ledger) -> TestResult {
    let version = ledger.write(vec![create(1, "a")]).await?[0];
    let error = ledger.write(vec![create(1, "b")]).await;
    same(error, Err(exists(1, "a", version)))?;
    same(
        exists(1, "a", version).to_string(),
        "192.0.2.1 of the unnamed address space is allocated to pod db/a already; take another address"
            .to_owned(),
    )
}

async fn a_name_that_belongs_to_another_space_exists(ledger: Ledger) -> TestResult {
    let mut unusual = allocation(1, "a");
    unusual.space = Space::new("example_net");
    let name = unusual.record_name();
    let mut twin = allocation(1, "b");
    twin.space = Space::new(name.strip_suffix(".192.0.2.1").unwrap_or_default());
    same((&*twin.record_name(), &*name), (SHARED_NAME, SHARED_NAME))?;
    let version = ledger.write(vec![Write::Create(unusual.clone())]).await?[0];
    match ledger.write(vec![Write::Create(twin.clone())]).await {
        Err(WriteError::Exists(there)) => same(there.allocation, unusual.clone())?,
        other => return Err(format!("{other:?}").into()),
    }
    // The version does not make it the other space's record either: in a cluster, the schema
    // refuses that.
    for write in [
        Write::Update(twin.clone(), version),
        Write::Delete(twin, version),
    ] {
        match ledger.write(vec![write]).await {
            Err(WriteError::Changed { current, .. }) => {
                same(current.map(|there| there.allocation), Some(unusual.clone()))?;
            }
            other => return Err(format!("{other:?}").into()),
        }
    }
    Ok(())
}

async fn updates_and_deletes_name_the_version_that_they_change(ledger: Ledger) -> TestResult {
    let first = ledger.write(vec![create(1, "a")]).await?[0];
    let second = ledger.write(vec![update(1, "b", first)]).await?[0];
    holds(second > first, (first, second))?;
    let now = Some(stored(1, "b", second));
    for stale in [update(1, "c", first), delete(1, "a", first)] {
        let refused = ledger.write(vec![stale]).await;
        same(refused, Err(changed(1, now.clone())))?;
    }
    let gone = ledger.write(vec![delete(1, "b", second)]).await?[0];
    holds(gone > second, (second, gone))?;
    for late in [update(1, "c", second), delete(1, "b", second)] {
        let refused = ledger.write(vec![late]).await;
        same(refused, Err(changed(1, None)))?;
    }
    same(ledger.get("192.0.2.1").await?, None)?;
    // The version of a deleted record is never used again.
    let recreated = ledger.write(vec![create(1, "c")]).await?[0];
    holds(recreated > gone, (gone, recreated))
}

async fn a_batch_is_written_whole_or_not_at_all(ledger: Ledger) -> TestResult {
    let there = ledger.write(vec![create(3, "a")]).await?[0];
    let batch = vec![create(1, "b"), create(2, "b"), create(3, "b")];
    same(ledger.write(batch).await, Err(exists(3, "a", there)))?;
    let stale = update(3, "b", Version(there.0 - 1));
    let batch = vec![create(1, "b"), stale, create(2, "b")];
    let now = Some(stored(3, "a", there));
    same(ledger.write(batch).await, Err(changed(3, now)))?;
    let (records, _) = ledger.list().await?;
    same(records, vec![stored(3, "a", there)])
}

async fn records_go_from_an_export_into_another_ledger(ledger: Ledger) -> TestResult {
    let text = concat!(
        r#"{"kind":"nadmit.io/allocations","schema":1,"records":2}"#,
        "\n",
        r#"{"address":"192.0.2.1","networkName":"","pool":"storage","network":{"namespace":"db","name":"storage-net"},"interface":"net1","holder":{"pod":{"namespace":"db","name":"a"}},"since":1700000000}"#,
        "\n",
        r#"{"address":"192.0.2.2","networkName":"","pool":"storage","network":{"namespace":"db","name":"storage-net"},"interface":"net1","holder":{"pod":{"namespace":"db","name":"b"}},"since":1700000000}"#,
        "\n",
    );
    same(ledger.import(text.as_bytes()).await?, 2)?;
    let (records, _) = ledger.list().await?;
    let records: Vec<_> = records.into_iter().map(|one| one.allocation).collect();
    same(records, vec![allocation(1, "a"), allocation(2, "b")])?;
    let ledger = Arc::new(ledger);
    let shared_ledger = Arc::clone(&ledger);
    let exported = tokio::task::spawn_blocking(move || {
        let mut out = Vec::new();
        shared_ledger.export(&mut out).map(|count| (count, out))
    });
    same(exported.await??, (2, text.as_bytes().to_vec()))?;
    // An error about another holder's record names its line.
    let other = text.replace(r#""name":"b""#, r#""name":"c""#);
    match ledger
        .import(std::io::Cursor::new(other.into_bytes()))
        .await
    {
        Err(ImportError::Exists { line: 2 | 3, .. } | ImportError::Partly { line: 3, .. }) => {
            Ok(())
        }
        other => Err(format!("{other:?}").into()),
    }
}
