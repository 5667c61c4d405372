//! What there is to say of a folder: for metrics, readiness and the log.

use super::SourceError;

/// The state of a folder after a scan.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FolderStatus {
    /// How many files with manifests there are.
    pub files: usize,
    /// How many objects were read from them.
    pub objects: usize,
    /// The files with errors, in alphabetical order.
    pub faulty: Vec<FileReport>,
    /// What is wrong with no single file: folders that cannot be read, objects defined twice.
    pub errors: Vec<SourceError>,
}

/// A file with errors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileReport {
    /// The file.
    pub file: String,
    /// How many of its objects count.
    pub objects: usize,
    /// Whether these are from the last time it had no errors. If it never was without, they are
    /// what could be read.
    pub last_good: bool,
    /// What is wrong with it.
    pub errors: Vec<SourceError>,
}

impl FolderStatus {
    /// Every error.
    pub fn all_errors(&self) -> impl Iterator<Item = &SourceError> {
        let of_files = self.faulty.iter().flat_map(|report| &report.errors);
        self.errors.iter().chain(of_files)
    }
}
