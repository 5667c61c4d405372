//! The input: files, manifests in folders, and standard input.

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
};

use crate::sources::{self, ClusterObject, SourceError};

use super::CheckError;

/// The name of standard input in the output.
const STDIN: &str = "<stdin>";

/// An input file.
#[derive(Debug, Clone, PartialEq)]
pub struct File {
    /// The path through which the file was found.
    pub name: String,
    /// The file's text, or the reason why it has none.
    pub text: Result<String, SourceError>,
}

impl File {
    /// Returns the file of a cluster's object.
    pub fn of_cluster(object: ClusterObject) -> Self {
        Self {
            name: object.name,
            text: Ok(object.text),
        }
    }
}

/// Reads files, the manifests (`*.yaml`, `*.yml`, `*.json`) in folders, and for `-` standard input.
/// A file that is named twice is read once. `progress` is called before each file with the number
/// of files read and the total.
///
/// # Errors
/// If a path cannot be read. A file that is not text, or is too large, is among the returned files.
pub fn gather(
    paths: &[PathBuf],
    mut progress: impl FnMut(usize, usize),
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
        progress(index, count);
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

/// Returns the files at a path: names, and paths except for standard input.
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
