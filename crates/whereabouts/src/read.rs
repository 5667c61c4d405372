//! Reads objects of Whereabouts into records. What cannot be read is reported with its field.

use std::fmt;

use nadmit_cni::{Subnet, range};
use serde_json::Value;

use super::{IpPool, NodeSlice, NodeSlicePool, OverlappingReservation, PodName, PoolEntry};

/// The range of an `IPPool` is not a CIDR.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RangeError {
    range: Box<str>,
    source: range::RangeError,
}

/// A part of an `IPPool` that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PoolProblem {
    /// `spec.allocations` is not an object.
    NoMap,
    /// An entry, by its key.
    Entry { key: Box<str>, error: EntryError },
}

/// The reason why an entry or a reservation cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryError {
    /// The key is not an offset.
    Key,
    /// The address is behind the last one of the family.
    BehindLast {
        /// The range, as written.
        range: Box<str>,
    },
    /// `podref` is not `namespace/name`.
    PodRef(String),
    /// There is no `podref`.
    NoPodRef,
}

impl fmt::Display for RangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "spec.range {:?} {}", self.range, self.source)
    }
}

impl std::error::Error for RangeError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

impl fmt::Display for PoolProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoMap => f.write_str("spec.allocations is not an object"),
            Self::Entry { key, error } => write!(f, "spec.allocations[{key}] {error}"),
        }
    }
}

impl fmt::Display for EntryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key => f.write_str("has a key that is not an offset"),
            Self::BehindLast { range } => write!(f, "is behind the last address after {range}"),
            Self::PodRef(text) => {
                write!(f, "has podref {text:?}, which is not namespace/name")
            }
            Self::NoPodRef => f.write_str("has no podref"),
        }
    }
}

impl std::error::Error for EntryError {}

impl IpPool {
    /// Reads the object of this namespace and name. Entries that cannot be read are left out and
    /// reported.
    ///
    /// # Errors
    /// If `spec.range` is not a CIDR.
    pub fn read(
        namespace: &str,
        name: &str,
        object: &Value,
    ) -> Result<(Self, Vec<PoolProblem>), RangeError> {
        let range_text = text(&object["spec"]["range"]);
        let range = Subnet::parse(range_text).map_err(|source| RangeError {
            range: range_text.into(),
            source,
        })?;
        let mut pool = Self {
            namespace: namespace.into(),
            name: name.into(),
            version: some_text(&object["metadata"]["resourceVersion"]),
            range,
            range_text: range_text.into(),
            entries: Vec::new(),
        };
        let mut problems = Vec::new();
        let entries = &object["spec"]["allocations"];
        if !entries.is_object() && !entries.is_null() {
            problems.push(PoolProblem::NoMap);
        }
        for (key, value) in entries.as_object().into_iter().flatten() {
            match pool.entry(key, value) {
                Ok(entry) => pool.entries.push(entry),
                Err(error) => problems.push(PoolProblem::Entry {
                    key: key.as_str().into(),
                    error,
                }),
            }
        }
        pool.entries.sort_by_key(|entry| entry.offset);
        Ok((pool, problems))
    }

    fn entry(&self, key: &str, value: &Value) -> Result<PoolEntry, EntryError> {
        let digits = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_digit());
        let offset = key.parse().ok().filter(|_| digits);
        let offset: u128 = offset.ok_or(EntryError::Key)?;
        let address = self.address(offset);
        let address = address.ok_or_else(|| EntryError::BehindLast {
            range: self.range_text.clone(),
        })?;
        Ok(PoolEntry {
            offset,
            key: key.into(),
            address,
            pod: pod_ref(value)?,
            interface: text(&value["ifname"]).into(),
            container_id: text(&value["id"]).into(),
        })
    }
}

impl OverlappingReservation {
    /// Reads the object of this namespace and name.
    ///
    /// # Errors
    /// If `podref` is missing or names no pod.
    pub fn read(namespace: &str, name: &str, object: &Value) -> Result<Self, EntryError> {
        let metadata = &object["metadata"];
        let finalizers = metadata["finalizers"].as_array().into_iter().flatten();
        Ok(Self {
            namespace: namespace.into(),
            name: name.into(),
            pod: pod_ref(&object["spec"])?,
            interface: text(&object["spec"]["ifname"]).into(),
            version: some_text(&metadata["resourceVersion"]),
            finalizers: finalizers.filter_map(some_text).collect(),
            terminating: !metadata["deletionTimestamp"].is_null(),
        })
    }
}

impl NodeSlicePool {
    /// Reads the object of this namespace and name.
    pub fn read(namespace: &str, name: &str, object: &Value) -> Self {
        let listed = object["status"]["allocations"].as_array();
        let slices = listed.into_iter().flatten().map(|one| NodeSlice {
            node: text(&one["nodeName"]).into(),
            range: text(&one["sliceRange"]).into(),
        });
        Self {
            namespace: namespace.into(),
            name: name.into(),
            slices: slices.collect(),
        }
    }
}

/// Reads `podref`; an empty one names no pod.
fn pod_ref(value: &Value) -> Result<Option<PodName>, EntryError> {
    match &value["podref"] {
        Value::Null if value.is_object() => Ok(None),
        Value::String(text) if text.is_empty() => Ok(None),
        Value::String(text) => match PodName::parse(text) {
            Some(pod) => Ok(Some(pod)),
            None => Err(EntryError::PodRef(text.clone())),
        },
        _ => Err(EntryError::NoPodRef),
    }
}

/// Returns a text; empty for a value of another type.
fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Returns a text that is not empty.
fn some_text(value: &Value) -> Option<Box<str>> {
    Some(text(value))
        .filter(|text| !text.is_empty())
        .map(Box::from)
}
