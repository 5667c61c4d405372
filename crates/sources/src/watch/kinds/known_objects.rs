//! The kinds of which the catalog keeps a few fields of each object.

use std::fmt;

use crate::{cluster::kinds::ClusterKind, watch::progress::ObjectKey};
use nadmit_catalog::Catalog;

/// The objects of a kind of which the catalog keeps a few fields, and whether all are known.
pub(super) trait KnownObjects {
    /// The kind as the API serves it.
    const KIND: &'static ClusterKind;

    /// The fields that the catalog keeps of an object.
    type Content: Send + 'static;

    /// Decodes an object.
    fn decode(json: &str) -> serde_json::Result<Self::Content>;

    /// Adds, replaces or, with `None`, removes an object; returns true if that changes the catalog.
    fn set(catalog: &mut Catalog, key: &ObjectKey, content: Option<Self::Content>) -> bool;

    /// Sets whether all objects are known; returns true if that changes the catalog.
    fn set_known(catalog: &mut Catalog, known: bool) -> bool;
}

/// The functions of [`KnownObjects`], without its types.
pub(in super::super) struct KnownObjectsTable {
    pub decode: fn(&str) -> serde_json::Result<SetContent>,
    pub remove: fn(&mut Catalog, &ObjectKey) -> bool,
    pub set_known: fn(&mut Catalog, bool) -> bool,
}

impl KnownObjectsTable {
    pub(super) const fn of<O: KnownObjects>() -> Self {
        Self {
            decode: |json| {
                let content = O::decode(json)?;
                let set =
                    |catalog: &mut Catalog, key: &ObjectKey| O::set(catalog, key, Some(content));
                Ok(SetContent(Box::new(set)))
            },
            remove: |catalog, key| O::set(catalog, key, None),
            set_known: O::set_known,
        }
    }
}

/// A change of the catalog to the content of a decoded object.
pub(in super::super) struct SetContent(Box<SetFn>);

type SetFn = dyn FnOnce(&mut Catalog, &ObjectKey) -> bool + Send;

impl SetContent {
    /// Applies the change; returns true if the catalog differs.
    pub(in super::super) fn apply(self, catalog: &mut Catalog, key: &ObjectKey) -> bool {
        (self.0)(catalog, key)
    }
}

impl fmt::Debug for SetContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SetContent")
    }
}
