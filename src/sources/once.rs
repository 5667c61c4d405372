//! Manifests read once, for who looks at them and goes: which files there are, what is in them, and
//! the catalog that they make together.

use std::{
    io::Read as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    catalog::Catalog,
    manifests::{Located, Manifest},
};

use super::{SourceError, listing::Listing, objects::Objects, text};

/// The manifests in a folder and in the folders in it, each with its name, in alphabetical order.
///
/// # Errors
/// When a folder cannot be read.
pub fn files_in(folder: &Path) -> Result<Vec<(String, PathBuf)>, SourceError> {
    let listing = Listing::of(folder)?;
    if let Some(error) = listing.errors.into_iter().next() {
        return Err(error);
    }
    let files = listing.files.into_iter();
    Ok(files.map(|(name, listed)| (name, listed.path)).collect())
}

/// The content of the file at `path`, which the errors call `name`.
///
/// # Errors
/// When it cannot be read, is too large or no UTF-8.
pub fn read_file(path: &Path, name: &str) -> Result<String, SourceError> {
    let file = std::fs::File::open(path).map_err(|error| unreadable(name, &error))?;
    read_stream(file, name)
}

/// The same of what a stream gives until its end.
///
/// # Errors
/// As of a file.
pub fn read_stream(stream: impl std::io::Read, name: &str) -> Result<String, SourceError> {
    let mut bytes = Vec::new();
    let mut limited = stream.take(text::MAX_BYTES + 1);
    let read = limited.read_to_end(&mut bytes);
    read.map_err(|error| unreadable(name, &error))?;
    text::decode(bytes, name)
}

fn unreadable(name: &str, error: &std::io::Error) -> SourceError {
    SourceError::File {
        file: name.to_owned(),
        reason: error.to_string(),
    }
}

/// The catalog of these objects, each of them with the name of its file; and what of them says
/// nothing to a catalog. Of two definitions of an object the later counts.
pub fn catalog_of<'a>(
    files: impl IntoIterator<Item = (&'a str, Vec<Located<Manifest>>)>,
) -> (Catalog, Vec<SourceError>) {
    let mut remarks = Vec::new();
    let files = files.into_iter();
    let objects: Vec<Objects> = files
        .map(|(file, manifests)| Objects::of(manifests, file, &mut remarks))
        .collect();
    (
        super::scan::catalog(objects.iter(), &Arc::default()),
        remarks,
    )
}
