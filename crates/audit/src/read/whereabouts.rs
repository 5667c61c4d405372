//! Whereabouts's records.

use nadmit_cni::Subnet;
use serde_json::Value;

use super::{SnapshotReader, some_text, text};
use crate::{
    IpPool, NodeSlice, NodeSlicePool, ObjectRef, OverlappingReservation, PodName, PoolEntry,
};

impl SnapshotReader {
    pub(super) fn ip_pool(&mut self, of: &ObjectRef, object: &Value) {
        let range_text = text(object, &["spec", "range"]);
        let range = match Subnet::parse(range_text) {
            Ok(range) => range,
            Err(error) => {
                return self.unreadable(of, format!("spec.range {range_text:?} {error}"));
            }
        };
        let mut pool = IpPool {
            namespace: of.namespace.clone(),
            name: of.name.clone(),
            version: some_text(object, &["metadata", "resourceVersion"]),
            range,
            range_text: range_text.into(),
            entries: Vec::new(),
        };
        let entries = &object["spec"]["allocations"];
        if !entries.is_object() && !entries.is_null() {
            self.unreadable(of, "spec.allocations is not an object");
        }
        for (key, value) in entries.as_object().into_iter().flatten() {
            match entry(&pool, key, value) {
                Ok(entry) => pool.entries.push(entry),
                Err(reason) => {
                    self.unreadable(of, format!("spec.allocations[{key}] {reason}"));
                }
            }
        }
        pool.entries.sort_by_key(|entry| entry.offset);
        self.snapshot.ip_pools.push(pool);
    }

    pub(super) fn reservation(&mut self, of: &ObjectRef, object: &Value) {
        let pod = match pod_ref(&object["spec"]) {
            Ok(pod) => pod,
            Err(reason) => return self.unreadable(of, format!("spec {reason}")),
        };
        self.snapshot.reservations.push(OverlappingReservation {
            namespace: of.namespace.clone(),
            name: of.name.clone(),
            pod,
            interface: text(object, &["spec", "ifname"]).into(),
            terminating: !object["metadata"]["deletionTimestamp"].is_null(),
        });
    }

    pub(super) fn slice_pool(&mut self, of: &ObjectRef, object: &Value) {
        let listed = object["status"]["allocations"].as_array();
        let slices = listed.into_iter().flatten().map(|one| NodeSlice {
            node: text(one, &["nodeName"]).into(),
            range: text(one, &["sliceRange"]).into(),
        });
        self.snapshot.slice_pools.push(NodeSlicePool {
            namespace: of.namespace.clone(),
            name: of.name.clone(),
            slices: slices.collect(),
        });
    }
}

/// Reads an entry; the error says what is wrong.
fn entry(pool: &IpPool, key: &str, value: &Value) -> Result<PoolEntry, String> {
    let digits = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_digit());
    let offset = key.parse().ok().filter(|_| digits);
    let offset: u128 = offset.ok_or_else(|| "has a key that is not an offset".to_owned())?;
    let address = pool.address(offset);
    let address =
        address.ok_or_else(|| format!("is behind the last address after {}", pool.range_text))?;
    Ok(PoolEntry {
        offset,
        key: key.into(),
        address,
        pod: pod_ref(value)?,
        interface: text(value, &["ifname"]).into(),
        container_id: text(value, &["id"]).into(),
    })
}

/// Reads `podref`; an empty one names no pod.
fn pod_ref(value: &Value) -> Result<Option<PodName>, String> {
    match &value["podref"] {
        Value::Null if value.is_object() => Ok(None),
        Value::String(text) if text.is_empty() => Ok(None),
        Value::String(text) => match PodName::parse(text) {
            Some(pod) => Ok(Some(pod)),
            None => Err(format!("has podref {text:?}, which is not namespace/name")),
        },
        _ => Err("has no podref".to_owned()),
    }
}
