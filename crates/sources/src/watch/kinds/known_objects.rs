//! The kinds of which the catalog keeps a few fields of each object.

use std::{error::Error, fmt};

use thiserror::Error;

use crate::{cluster::kinds::ClusterKind, watch::progress::ObjectKey};
use nadmit_catalog::Catalog;

/// The objects of a kind of which the catalog keeps a few fields, and whether all are known.
pub(super) trait KnownObjects {
    /// The kind as the API serves it.
    const KIND: &'static ClusterKind;

    /// The fields that the catalog keeps of an object.
    type Content: Send + 'static;

    /// Decodes an object.
    fn decode(json: &str) -> Result<Self::Content, DecodeError>;

    /// Returns the parts of a decoded object that cannot be read, and that the catalog leaves out.
    fn problems(_: &Self::Content) -> Vec<String> {
        Vec::new()
    }

    /// Adds, replaces or, with `None`, removes an object; returns true if that changes the catalog.
    fn set(catalog: &mut Catalog, key: &ObjectKey, content: Option<Self::Content>) -> bool;

    /// Sets whether all objects are known; returns true if that changes the catalog.
    fn set_known(catalog: &mut Catalog, known: bool) -> bool;
}

/// The reason why an object cannot be decoded.
#[derive(Debug, Error)]
pub(in super::super) enum DecodeError {
    /// The JSON is not as expected.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// A field without which the object means nothing is missing or invalid.
    #[error(transparent)]
    Content(Box<dyn Error + Send + Sync>),
}

/// A decoded object.
pub(in super::super) struct DecodedContent {
    pub set: SetContent,
    /// The parts that cannot be read.
    pub problems: Vec<String>,
}

/// The functions of [`KnownObjects`], without its types.
pub(in super::super) struct KnownObjectsTable {
    pub decode: fn(&str) -> Result<DecodedContent, DecodeError>,
    pub remove: fn(&mut Catalog, &ObjectKey) -> bool,
    pub set_known: fn(&mut Catalog, bool) -> bool,
}

impl KnownObjectsTable {
    pub(super) const fn of<O: KnownObjects>() -> Self {
        Self {
            decode: |json| {
                let content = O::decode(json)?;
                let problems = O::problems(&content);
                let set =
                    |catalog: &mut Catalog, key: &ObjectKey| O::set(catalog, key, Some(content));
                Ok(DecodedContent {
                    set: SetContent(Box::new(set)),
                    problems,
                })
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
