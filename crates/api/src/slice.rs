//! `AddressSlice`: the part of a pool that one node draws from.

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use nadmit_allocation::Slice;
use nadmit_cni::range::{RangeError, Subnet};

/// An AddressSlice is the part of a pool that one node uses. nadmit writes it. Its name consists of pool
/// and first address: the writer that creates the object owns the slice.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "nadmit.io",
    version = "v1alpha1",
    kind = "AddressSlice",
    plural = "addressslices",
    category = "nadmit",
    derive = "PartialEq",
    printcolumn(name = "Pool", type_ = "string", json_path = ".spec.pool"),
    printcolumn(name = "Node", type_ = "string", json_path = ".spec.node"),
    printcolumn(name = "Range", type_ = "string", json_path = ".spec.range"),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    )
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.pool == oldSelf.pool").message("pool is immutable"),
    validation = Rule::new("self.range == oldSelf.range").message("range is immutable")
)]
pub struct AddressSliceSpec {
    /// The pool.
    #[schemars(length(min = 1, max = 253))]
    pub pool: String,
    /// The node.
    #[schemars(length(min = 1, max = 253))]
    pub node: String,
    /// The addresses, in CIDR notation.
    #[schemars(length(min = 1, max = 64))]
    pub range: String,
}

impl AddressSlice {
    /// Returns the object of a slice, under the name that acts as its lock.
    pub fn of(slice: &Slice) -> Self {
        let spec = AddressSliceSpec {
            pool: slice.pool.to_string(),
            node: slice.node.to_string(),
            range: slice.window.to_string(),
        };
        Self::new(&slice.record_name(), spec)
    }

    /// Returns the stored slice.
    ///
    /// # Errors
    /// If another writer stored an invalid slice: without valid addresses, or under another name
    /// than theirs.
    pub fn slice(&self) -> Result<Slice, SliceError> {
        let range = || self.spec.range.clone();
        let window = Subnet::parse(&self.spec.range).map_err(|error| SliceError::Range {
            range: range(),
            error,
        })?;
        let slice = Slice::new(
            &self.spec.pool.as_str().into(),
            window,
            &self.spec.node.as_str().into(),
        );
        let name = slice.record_name();
        if self.metadata.name.as_deref() == Some(&name) {
            return Ok(slice);
        }
        Err(SliceError::Name {
            range: range(),
            name,
        })
    }
}

/// An invalid slice object.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SliceError {
    /// The addresses are invalid.
    #[error("spec.range {range:?} {error}; delete the object")]
    Range {
        /// The range as written.
        range: String,
        /// The error in the range.
        error: RangeError,
    },
    /// The object's name does not lock its addresses.
    #[error("the slice {range} has to be named {name:?}; delete the object")]
    Name {
        /// The range as written.
        range: String,
        /// The required name.
        name: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slice_is_stored_and_read_back_under_its_own_name_only() {
        let window = Subnet::parse("2001:db8::20/124").unwrap_or_else(|e| panic!("{e}"));
        let slice = Slice::new(&"storage".into(), window, &"node-a".into());
        let object = AddressSlice::of(&slice);
        let name = object.metadata.name.clone().unwrap_or_default();
        assert_eq!(name, "storage.2001-0db8-0000-0000-0000-0000-0000-0020");
        assert_eq!(object.slice(), Ok(slice));
        let mut moved = object.clone();
        moved.spec.range = "2001:db8::/124".to_owned();
        assert!(matches!(moved.slice(), Err(SliceError::Name { .. })));
        moved.spec.range = "everything".to_owned();
        assert!(matches!(moved.slice(), Err(SliceError::Range { .. })));
    }
}
