//! Reads manifests once, for commands that do not watch: lists files, reads them, and builds a
//! catalog.

use std::{
    io::Read as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use nadmit_catalog::{Catalog, PoolDerivation};
use nadmit_manifests::{Located, Manifest};

use super::{SourceError, file_text, listing::FolderListing, objects::FileObjects};

/// Returns the manifests in a folder and its subfolders, with their names, in alphabetical order.
///
/// # Errors
/// Returns an error if a folder cannot be read.
pub fn files_in(folder: &Path) -> Result<Vec<(String, PathBuf)>, SourceError> {
    let listing = FolderListing::of(folder)?;
    if let Some(error) = listing.errors.into_iter().next() {
        return Err(error);
    }
    let files = listing.files.into_iter();
    Ok(files.map(|(name, listed)| (name, listed.path)).collect())
}

/// Returns the content of the file at `path`, which errors call `name`.
///
/// # Errors
/// Returns an error if it cannot be read, is too large or is not UTF-8.
pub fn read_file(path: &Path, name: &str) -> Result<String, SourceError> {
    let file = std::fs::File::open(path).map_err(|error| unreadable(name, &error))?;
    read_stream(file, name)
}

/// Returns the content of a stream up to its end, which errors call `name`.
///
/// # Errors
/// Returns an error if it cannot be read, is too large or is not UTF-8.
pub fn read_stream(stream: impl std::io::Read, name: &str) -> Result<String, SourceError> {
    let mut bytes = Vec::new();
    let mut limited = stream.take(file_text::MAX_BYTES + 1);
    let read = limited.read_to_end(&mut bytes);
    read.map_err(|error| unreadable(name, &error))?;
    file_text::decode(bytes, name)
}

fn unreadable(name: &str, error: &std::io::Error) -> SourceError {
    SourceError::File {
        file: name.to_owned(),
        reason: error.to_string(),
    }
}

/// Builds the catalog of these objects, which are grouped by file name; also returns errors that
/// concern only the catalog. The later of two definitions of an object is in effect.
pub fn catalog_of<'a>(
    files: impl IntoIterator<Item = (&'a str, Vec<Located<Manifest>>)>,
) -> (Catalog, Vec<SourceError>) {
    let mut errors = Vec::new();
    let files = files.into_iter();
    let objects: Vec<FileObjects> = files
        .map(|(file, manifests)| FileObjects::of(manifests, file, &mut errors))
        .collect();
    (
        super::scan::catalog(objects.iter(), &Arc::default(), PoolDerivation::default()),
        errors,
    )
}
