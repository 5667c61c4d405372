//! Helpers of the tests in this directory.

use std::{future::Future, time::Duration};

use libtest_mimic::{Failed, Trial};
use nadmit::{
    allocation::{
        Address, Allocation, Holder, NetworkRef, Space, Stored, Timestamp, Version, Write,
    },
    ledger::{ClusterLedger, ClusterLedgerOptions, Store as _, WriteError},
};
use tokio::time::Instant;

use crate::api_server::{ApiServer, FaultAction, FaultRule};
pub(super) use crate::support::TestResult;
pub(super) use crate::support::{holds, same};

/// The plural name of the records' resource in the fake API server.
pub(super) const PLURAL: &str = "addressallocations";
pub(super) const RESOURCE: &str = "addressallocations.nadmit.io";

/// Registers a test on one thread, in paused time.
pub(super) fn test<F>(name: &str, run: fn() -> F) -> Trial
where
    F: Future<Output = TestResult> + 'static,
{
    Trial::test(format!("cluster_ledger::{name}"), move || {
        paused()?.block_on(run())
    })
}

pub(super) fn paused() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
}

/// Returns the ledger of a replica.
pub(super) fn ledger(server: &ApiServer, replica: &str) -> ClusterLedger {
    ClusterLedger::new(
        server.named(replica).client(),
        ClusterLedgerOptions::new(replica),
    )
}

/// Returns a server, and the ledger of its first replica.
pub(super) fn cluster() -> (ApiServer, ClusterLedger) {
    let server = ApiServer::new();
    let ledger = ledger(&server, "a");
    (server, ledger)
}

/// Applies a fault to this many requests about records.
pub(super) fn fault(server: &ApiServer, verb: &str, action: impl Into<FaultAction>, times: usize) {
    server.fault(FaultRule::of(verb, PLURAL, action.into()).times(times));
}

/// Returns the allocation of `192.0.2.<last>` in the unnamed space to pod `db/<pod>`.
pub(super) fn allocation(last: u8, pod: &str) -> Allocation {
    Allocation {
        address: Address::Ip([192, 0, 2, last].into()),
        space: Space::default(),
        pool: "storage".into(),
        network: NetworkRef {
            namespace: "db".into(),
            name: "storage-net".into(),
        },
        interface: "net1".into(),
        holder: Holder::Pod {
            namespace: "db".into(),
            name: pod.into(),
        },
        pod: None,
        mac: None,
        former_nodes: Vec::new(),
        taken: None,
        reservation: None,
        since: Timestamp(1_700_000_000),
    }
}

pub(super) fn create(last: u8, pod: &str) -> Write {
    Write::Create(allocation(last, pod))
}

pub(super) fn update(last: u8, pod: &str, version: Version) -> Write {
    Write::Update(allocation(last, pod), version)
}

pub(super) fn delete(last: u8, pod: &str, version: Version) -> Write {
    Write::Delete(allocation(last, pod), version)
}

/// Writes one record, which has to succeed, and returns its version.
pub(super) async fn write(ledger: &ClusterLedger, write: Write) -> Result<Version, Failed> {
    let versions = ledger.write(vec![write]).await?;
    match versions[..] {
        [version] => Ok(version),
        _ => Err(format!("one write, {} versions", versions.len()).into()),
    }
}

/// Writes a batch, which has to fail, and returns the error.
pub(super) async fn refused(
    ledger: &ClusterLedger,
    batch: Vec<Write>,
) -> Result<WriteError, Failed> {
    match ledger.write(batch).await {
        Ok(versions) => Err(format!("written: {versions:?}").into()),
        Err(error) => Ok(error),
    }
}

pub(super) fn stored(last: u8, pod: &str, version: Version) -> Stored {
    Stored {
        allocation: allocation(last, pod),
        version,
    }
}

pub(super) fn exists(last: u8, pod: &str, version: Version) -> WriteError {
    WriteError::Exists(Box::new(stored(last, pod, version)))
}

pub(super) fn changed(last: u8, current: Option<Stored>) -> WriteError {
    WriteError::Changed {
        name: format!("192.0.2.{last}"),
        current: current.map(Box::new),
    }
}

/// Returns names and holders of the stored records, regardless of faults.
pub(super) fn held(server: &ApiServer) -> Vec<(String, String)> {
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let all = server.all(RESOURCE);
    let pairs = all.iter().map(|object| {
        let holder = &object["spec"]["holder"]["pod"]["name"];
        (text(&object["metadata"]["name"]), text(holder))
    });
    pairs.collect()
}

/// Returns names and holders of these addresses.
pub(super) fn holding(pairs: &[(u8, &str)]) -> Vec<(String, String)> {
    let pairs = pairs.iter();
    pairs
        .map(|(last, pod)| (format!("192.0.2.{last}"), (*pod).to_owned()))
        .collect()
}

/// Measures the duration of a future.
pub(super) async fn timed<T>(future: impl Future<Output = T>) -> (T, Duration) {
    let start = Instant::now();
    let value = future.await;
    (value, start.elapsed())
}
