//! A record as an object of the API, and back.

use std::sync::Arc;

use kube::api::{DynamicObject, ObjectMeta, TypeMeta};
use serde_json::json;

use crate::{
    allocation::{Allocation, Holder, Stored, Version},
    api::{AddressAllocation, AddressAllocationSpec, labels},
};

/// The annotation that names the batch that wrote an object last, and its process before the `/`. A
/// batch that found what it was to create puts a `+` behind.
pub const WRITTEN_BY: &str = "nadmit.io/written-by";

/// The object of a record, to be created, or to take the place of this version.
///
/// # Errors
/// When its time is none that can be written.
pub(super) fn object(
    allocation: &Allocation,
    mark: &str,
    version: Option<Version>,
) -> serde_json::Result<DynamicObject> {
    let spec = AddressAllocationSpec::of(allocation)?;
    Ok(DynamicObject {
        types: Some(TypeMeta::resource::<AddressAllocation>()),
        metadata: ObjectMeta {
            name: Some(allocation.record_name()),
            labels: Some(labels::labels_of(allocation)),
            annotations: Some([(WRITTEN_BY.to_owned(), mark.to_owned())].into()),
            resource_version: version.map(|version| version.0.to_string()),
            ..ObjectMeta::default()
        },
        data: json!({ "spec": spec }),
    })
}

/// An object as the API server has it.
#[derive(Debug)]
pub(super) struct StoredObject {
    pub(super) name: String,
    pub(super) version: Version,
    pub(super) uid: Option<String>,
    /// Which batch wrote it last.
    batch_id: Option<String>,
    /// Whether it is being deleted, and waits for finalizers.
    pub(super) deleting: bool,
    /// The record, or why it is none.
    pub(super) content: Result<Allocation, String>,
}

impl StoredObject {
    /// Reads an object.
    ///
    /// # Errors
    /// When its version is not a number, as every API server's is.
    pub(super) fn parse(mut object: DynamicObject) -> Result<Self, String> {
        let metadata = &mut object.metadata;
        let name = metadata.name.take().unwrap_or_default();
        let version = version(metadata.resource_version.as_deref().unwrap_or_default())?;
        let annotations = metadata.annotations.as_mut();
        Ok(Self {
            version,
            uid: metadata.uid.take(),
            batch_id: annotations.and_then(|all| all.remove(WRITTEN_BY)),
            deleting: metadata.deletion_timestamp.is_some(),
            content: parse_record(&name, object.data["spec"].take()),
            name,
        })
    }

    /// The record with its version.
    pub(super) fn stored(&self) -> Result<Stored, &str> {
        match &self.content {
            Ok(allocation) => Ok(Stored {
                allocation: allocation.clone(),
                version: self.version,
            }),
            Err(reason) => Err(reason),
        }
    }

    /// Whether it is what was to be written, and is here to stay.
    pub(super) fn matches(&self, wanted: &Allocation) -> bool {
        !self.deleting && self.content.as_ref() == Ok(wanted)
    }

    /// Whether it is of the same address of the same space: names might collide.
    pub(super) fn has_same_key(&self, other: &Allocation) -> bool {
        let same =
            |found: &Allocation| (&found.space, found.address) == (&other.space, other.address);
        self.content.as_ref().is_ok_and(same)
    }

    /// Whether this batch wrote it last.
    pub(super) fn is_written_by(&self, mark: &str) -> bool {
        self.batch_id.as_deref() == Some(mark)
    }

    /// The record to show for it; of an object that is none, one that says that the address is taken
    /// by something that is nobody's: the namespace is no name.
    pub(super) fn conflicting_record(&self, wanted: &Allocation) -> Stored {
        self.stored().unwrap_or_else(|_| Stored {
            allocation: Allocation {
                interface: Arc::from(""),
                holder: Holder::Reservation {
                    namespace: Arc::from("?"),
                    name: Arc::from(&*self.name),
                },
                pod: None,
                mac: None,
                reservation: None,
                ..wanted.clone()
            },
            version: self.version,
        })
    }
}

/// A `resourceVersion` as the number that it is.
///
/// # Errors
/// When it is none.
pub(super) fn version(text: &str) -> Result<Version, String> {
    let number = text.parse().map(Version);
    number.map_err(|_| format!("its resourceVersion {text:?} is not a number"))
}

fn parse_record(name: &str, spec: serde_json::Value) -> Result<Allocation, String> {
    let read = serde_json::from_value::<AddressAllocationSpec>(spec)
        .and_then(|spec| spec.allocation())
        .map_err(|error| error.to_string())?;
    match read.record_name() {
        own if own == name => Ok(read),
        own => Err(format!("what it says belongs into an object {own}")),
    }
}
