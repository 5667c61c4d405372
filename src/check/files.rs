//! What is read: files, the manifests in folders, and standard input.

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
};

use crate::sources::{self, ClusterObject, SourceError};

use super::CheckError;

/// How standard input is called in what is said.
const STDIN: &str = "<stdin>";

/// A file that was read.
#[derive(Debug, Clone, PartialEq)]
pub struct File {
    /// Its name, as it was reached.
    pub name: String,
    /// Its text; of one that is none, why.
    pub text: Result<String, SourceError>,
}

impl File {
    /// An object of a cluster.
    pub fn of_cluster(object: ClusterObject) -> Self {
        Self {
            name: object.name,
            text: Ok(object.text),
        }
    }
}

/// Reads files, the manifests (`*.yaml`, `*.yml`, `*.json`) in folders, and for `-` standard input.
/// What is named twice is read once. `seen` is told of each file before it is read: how many were
/// read, and of how many.
///
/// # Errors
/// When a path cannot be read. A file that is no text, or too large, is among the files.
pub fn gather(
    paths: &[PathBuf],
    mut seen: impl FnMut(usize, usize),
) -> Result<Vec<File>, CheckError> {
    let mut listed = Vec::new();
    for path in paths {
        listed.extend(files_of(path)?);
    }
    let mut known = HashSet::new();
    listed.retain(|(name, _)| known.insert(name.clone()));
    let count = listed.len();
    let mut files = Vec::new();
    for (index, (name, path)) in listed.into_iter().enumerate() {
        seen(index, count);
        let text = match path {
            Some(path) => sources::read_file(&path, &name),
            None => sources::read_stream(std::io::stdin().lock(), &name),
        };
        let text = match text {
            Err(error @ SourceError::File { .. }) => return Err(error.into()),
            other => other,
        };
        files.push(File { name, text });
    }
    Ok(files)
}

/// The files behind a path: names, and paths where it is not standard input.
fn files_of(path: &Path) -> Result<Vec<(String, Option<PathBuf>)>, CheckError> {
    if path.as_os_str() == "-" {
        return Ok(vec![(STDIN.to_owned(), None)]);
    }
    let name = path.display().to_string();
    let metadata = fs::metadata(path).map_err(|error| CheckError::Unreadable {
        path: name.clone(),
        reason: error.to_string(),
    })?;
    if !metadata.is_dir() {
        return Ok(vec![(name, Some(path.to_owned()))]);
    }
    let files = sources::files_in(path)?.into_iter();
    Ok(files.map(|(name, path)| (name, Some(path))).collect())
}
