//! This version reads what release 0.1.0 wrote: its ledger's file, and the objects of a cluster.
//!
//! The fixtures stay as they are; a later release adds a folder of its own. The file was created by
//! `nadmit import` of a cluster's export, and the objects are from that cluster's API server.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::support::TestResult;
use libtest_mimic::{Failed, Trial};
use nadmit::{
    api::{AddressAllocation, AddressPool, AddressReservation, AddressSlice},
    ledger::EmbeddedLedger,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

pub(super) fn tests() -> Vec<Trial> {
    tests!["e2e";
        a_ledger_of_release_0_1_0_is_read,
        objects_of_release_0_1_0_are_read,
    ]
}

fn fixture(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/release-0.1.0");
    folder.join(name)
}

/// Every record is read with all its fields.
fn a_ledger_of_release_0_1_0_is_read() -> TestResult {
    let folder = tempfile::tempdir()?;
    let file = "allocations.redb";
    // Opening a ledger may write its file.
    fs::copy(fixture(file), folder.path().join(file))?;
    let ledger = EmbeddedLedger::open(folder.path())?;
    let mut text = Vec::new();
    ledger.export(&mut text)?;
    let read = lines(&String::from_utf8(text)?)?;
    let kept = lines(&fs::read_to_string(fixture("allocations.jsonl"))?)?;
    // A later header may name another schema.
    if read.get(1..) == kept.get(1..) {
        return Ok(());
    }
    Err(format!("read {read:#?}, written were {kept:#?}").into())
}

fn lines(text: &str) -> Result<Vec<Value>, Failed> {
    let lines = text.lines().map(serde_json::from_str);
    Ok(lines.collect::<Result<_, _>>()?)
}

/// No field of a specification is lost, and each specification is valid.
fn objects_of_release_0_1_0_are_read() -> TestResult {
    let kept = lines(&fs::read_to_string(fixture("allocations.jsonl"))?)?;
    let allocations: Vec<AddressAllocation> = read("addressallocations.yaml")?;
    for object in &allocations {
        let allocation = serde_json::to_value(object.spec.allocation()?)?;
        // The cluster's record of a pod's start may be newer than the export.
        let known = kept.iter().any(|one| {
            ["address", "networkName", "holder", "pool", "network"]
                .iter()
                .all(|key| one[*key] == allocation[*key])
        });
        if !known {
            return Err(format!("{allocation} is not what was written").into());
        }
    }
    for object in read::<AddressSlice>("addressslices.yaml")? {
        object.slice()?;
    }
    for object in read::<AddressPool>("addresspools.yaml")? {
        object.spec.to_spec()?;
    }
    for object in read::<AddressReservation>("addressreservations.yaml")? {
        object.spec.to_spec()?;
    }
    Ok(())
}

fn read<K: Serialize + DeserializeOwned>(name: &str) -> Result<Vec<K>, Failed> {
    let kept: Vec<Value> = serde_saphyr::from_multiple(&fs::read_to_string(fixture(name))?)?;
    if kept.is_empty() {
        return Err(format!("{name} holds nothing").into());
    }
    let objects: Vec<K> = kept
        .iter()
        .map(|object| serde_json::from_value(object.clone()))
        .collect::<Result<_, _>>()?;
    for (object, kept) in objects.iter().zip(&kept) {
        let spec = serde_json::to_value(object)?["spec"].take();
        if !holds(&spec, &kept["spec"]) {
            return Err(format!("of {} is left {spec}", kept["spec"]).into());
        }
    }
    Ok(objects)
}

/// Returns true if `read` contains everything in `kept`; defaults may have been added.
fn holds(read: &Value, kept: &Value) -> bool {
    match (read, kept) {
        (Value::Object(read), Value::Object(kept)) => kept
            .iter()
            .all(|(key, value)| read.get(key).is_some_and(|read| holds(read, value))),
        (Value::Array(read), Value::Array(kept)) => {
            read.len() == kept.len() && read.iter().zip(kept).all(|(read, kept)| holds(read, kept))
        }
        _ => read == kept,
    }
}
