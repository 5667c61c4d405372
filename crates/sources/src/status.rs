//! The status of a folder, for metrics, readiness and the log.

use super::SourceError;

/// The state of a folder after a scan.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FolderStatus {
    /// The number of manifest files.
    pub files: usize,
    /// The number of objects read from them.
    pub objects: usize,
    /// The files with errors, in alphabetical order.
    pub faulty: Vec<FileReport>,
    /// Errors that concern no single file: folders that cannot be read, objects defined twice.
    pub errors: Vec<SourceError>,
}

/// A file with errors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileReport {
    pub file: String,
    /// The number of its objects in the catalog.
    pub objects: usize,
    /// True if these are from the last read without errors. If there never was one, they are the
    /// objects that could be read.
    pub last_good: bool,
    pub errors: Vec<SourceError>,
}

impl FolderStatus {
    /// Returns all errors.
    pub fn all_errors(&self) -> impl Iterator<Item = &SourceError> {
        let of_files = self.faulty.iter().flat_map(|report| &report.errors);
        self.errors.iter().chain(of_files)
    }
}
