//! Helpers of the tests in this folder.

use std::path::Path;

use tempfile::TempDir;

use super::super::version_file::{self, VersionRecord};
use crate::{EmbeddedLedger, Store as _, WriteError};
use nadmit_allocation::{
    Address, Allocation, Holder, NetworkRef, Space, Stored, Timestamp, Version, Write,
};

/// Returns the allocation of `192.0.2.<last>` in the unnamed space to pod `db/<pod>`.
pub(super) fn allocation(last: u8, pod: &str) -> Allocation {
    let address: Address = format!("192.0.2.{last}").parse().unwrap();
    Allocation {
        address,
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

pub(super) fn stored(last: u8, pod: &str, version: u64) -> Stored {
    Stored {
        allocation: allocation(last, pod),
        version: Version(version),
    }
}

pub(super) fn exists(last: u8, pod: &str, version: u64) -> WriteError {
    WriteError::Exists(Box::new(stored(last, pod, version)))
}

pub(super) fn changed(last: u8, current: Option<Stored>) -> WriteError {
    WriteError::Changed {
        name: format!("192.0.2.{last}"),
        current: current.map(Box::new),
    }
}

pub(super) fn versions(numbers: &[u64]) -> Vec<Version> {
    numbers.iter().copied().map(Version).collect()
}

pub(super) fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

pub(super) fn open(folder: &TempDir) -> EmbeddedLedger {
    open_at(folder.path())
}

pub(super) fn open_at(path: &Path) -> EmbeddedLedger {
    EmbeddedLedger::open(path).unwrap_or_else(|error| panic!("{error}"))
}

/// Returns the names and holders of all records.
pub(super) async fn names_and_holders(ledger: &EmbeddedLedger) -> Vec<(String, String)> {
    let (records, _) = ledger.list().await.unwrap();
    let pair = |stored: Stored| {
        let allocation = stored.allocation;
        (allocation.record_name(), allocation.holder.to_string())
    };
    records.into_iter().map(pair).collect()
}

/// Returns the version in the version file.
pub(super) fn recorded_version(folder: &TempDir) -> Option<u64> {
    let path = folder.path().join(version_file::FILE_NAME);
    match version_file::read(&path).unwrap() {
        VersionRecord::Version(version) => Some(version.0),
        _ => None,
    }
}
