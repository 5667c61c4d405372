//! Converts records to API objects and back.

use std::sync::Arc;

use kube::api::{DynamicObject, ObjectMeta, TypeMeta};
use serde_json::json;
use thiserror::Error;

use nadmit_allocation::{Allocation, Holder, Stored, Version};
use nadmit_api::{AddressAllocation, AddressAllocationSpec, labels, watch::Object};

/// Annotation with the ID of the batch that wrote an object last: the process, `/`, a number. A batch that
/// took over an existing record appends `+`.
pub const WRITTEN_BY: &str = "nadmit.io/written-by";

/// Returns the object of a record, to be created or to replace this version.
///
/// # Errors
/// When the record's time cannot be formatted.
pub(super) fn object(
    allocation: &Allocation,
    batch_id: &str,
    version: Option<Version>,
) -> serde_json::Result<DynamicObject> {
    let spec = AddressAllocationSpec::of(allocation)?;
    Ok(DynamicObject {
        types: Some(TypeMeta::resource::<AddressAllocation>()),
        metadata: ObjectMeta {
            name: Some(allocation.record_name()),
            labels: Some(labels::labels_of(allocation)),
            annotations: Some([(WRITTEN_BY.to_owned(), batch_id.to_owned())].into()),
            resource_version: version.map(|version| version.0.to_string()),
            ..ObjectMeta::default()
        },
        data: json!({ "spec": spec }),
    })
}

/// The reason why an object is not a valid record.
#[derive(Debug, Error)]
pub(super) enum InvalidObject {
    /// The version is not a number; every API server's is.
    #[error("its resourceVersion {0:?} is not a number")]
    Version(String),
    /// The object or its spec cannot be decoded.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// The spec is that of another record, of this name.
    #[error("its content belongs to an object {0}")]
    Name(String),
}

/// An object as read from the API server.
#[derive(Debug)]
pub(super) struct StoredObject {
    pub(super) name: String,
    pub(super) version: Version,
    pub(super) uid: Option<String>,
    /// ID of the batch that wrote it last.
    batch_id: Option<String>,
    /// True while it is being deleted and waits for finalizers.
    pub(super) deleting: bool,
    /// The record, or the reason that the object is not a valid one.
    pub(super) content: Result<Allocation, InvalidObject>,
}

impl StoredObject {
    /// Parses an object.
    ///
    /// # Errors
    /// [`InvalidObject::Version`].
    pub(super) fn parse(mut object: DynamicObject) -> Result<Self, InvalidObject> {
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

    /// Reads an object of a list or a watch.
    pub(super) fn read(object: Object) -> Self {
        let whole = serde_json::from_str::<DynamicObject>(object.json.get());
        let whole = whole.map_err(InvalidObject::Json);
        whole.and_then(Self::parse).unwrap_or_else(|reason| Self {
            name: object.name.into(),
            version: Version(object.revision),
            uid: None,
            batch_id: None,
            deleting: false,
            content: Err(reason),
        })
    }

    /// Returns the record with its version.
    pub(super) fn stored(&self) -> Result<Stored, &InvalidObject> {
        match &self.content {
            Ok(allocation) => Ok(Stored {
                allocation: allocation.clone(),
                version: self.version,
            }),
            Err(reason) => Err(reason),
        }
    }

    /// Returns whether this object has the given content and is not being deleted.
    pub(super) fn matches(&self, wanted: &Allocation) -> bool {
        !self.deleting && self.content.as_ref().is_ok_and(|found| found == wanted)
    }

    /// Returns whether this record has the same address and address space; record names can collide.
    pub(super) fn has_same_key(&self, other: &Allocation) -> bool {
        let same =
            |found: &Allocation| (&found.space, found.address) == (&other.space, other.address);
        self.content.as_ref().is_ok_and(same)
    }

    /// Returns whether this batch wrote the object last.
    pub(super) fn is_written_by(&self, batch_id: &str) -> bool {
        self.batch_id.as_deref() == Some(batch_id)
    }

    /// Returns the record to report in a conflict. For an invalid object that is a record of `wanted`'s
    /// address held by a reservation in namespace "?", which cannot exist.
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

/// Parses a `resourceVersion`.
///
/// # Errors
/// [`InvalidObject::Version`].
pub(super) fn version(text: &str) -> Result<Version, InvalidObject> {
    let number = text.parse().map(Version);
    number.map_err(|_| InvalidObject::Version(text.to_owned()))
}

fn parse_record(name: &str, spec: serde_json::Value) -> Result<Allocation, InvalidObject> {
    let read =
        serde_json::from_value::<AddressAllocationSpec>(spec).and_then(|spec| spec.allocation())?;
    match read.record_name() {
        own if own == name => Ok(read),
        own => Err(InvalidObject::Name(own)),
    }
}
