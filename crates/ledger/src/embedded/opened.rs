//! Detects that an open file was deleted or replaced.
//!
//! A deleted or replaced file can still be written to while it is open, but what was written is lost. So
//! the path is checked before each commit.

use std::{
    fs::{self, File, Metadata},
    io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use thiserror::Error;

/// An open file, identified by device and inode.
#[derive(Debug)]
pub(super) struct OpenedFile {
    path: PathBuf,
    file: File,
    device_and_inode: DeviceAndInode,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct DeviceAndInode {
    device: u64,
    inode: u64,
}

/// Reason that a path does not lead to the open file.
#[derive(Debug, Error)]
pub(super) enum Displaced {
    /// The path does not exist.
    #[error(
        "{}: deleted while nadmit has it open, so nothing is recorded any more; move the file back, \
         or restore it from a copy or an export and restart nadmit",
        path.display()
    )]
    Deleted { path: PathBuf },
    /// The path leads to another file.
    #[error(
        "{}: replaced while nadmit has the former file open, so nothing is recorded any more; move the \
         former file back, or restart nadmit to use the new one",
        path.display()
    )]
    Replaced { path: PathBuf },
    /// The path cannot be read.
    #[error("{}: {source}; nothing is recorded while nadmit cannot find the file", path.display())]
    Inaccessible {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

impl OpenedFile {
    /// Opens the file at `path` for reading. While it is open, its inode is not reused.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Self::of(path, File::open(path)?)
    }

    /// Wraps a file that was opened at `path`.
    pub(super) fn of(path: &Path, file: File) -> io::Result<Self> {
        let device_and_inode = DeviceAndInode::of(&file.metadata()?);
        Ok(Self {
            path: path.to_owned(),
            file,
            device_and_inode,
        })
    }

    /// Returns the open file.
    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// Checks that the path still leads to this file.
    pub(super) fn check(&self) -> Result<(), Displaced> {
        let path = || self.path.clone();
        match fs::metadata(&self.path) {
            Ok(found) if DeviceAndInode::of(&found) == self.device_and_inode => Ok(()),
            Ok(_) => Err(Displaced::Replaced { path: path() }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(Displaced::Deleted { path: path() })
            }
            Err(source) => Err(Displaced::Inaccessible {
                path: path(),
                source,
            }),
        }
    }
}

impl DeviceAndInode {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_file_is_known_again_and_no_other_is() {
        let folder = tempfile::tempdir().unwrap();
        let (path, aside) = (folder.path().join("file"), folder.path().join("aside"));
        fs::write(&path, "one").unwrap();
        let opened = OpenedFile::open(&path).unwrap();
        assert!(opened.check().is_ok());
        fs::rename(&path, &aside).unwrap();
        assert!(matches!(opened.check(), Err(Displaced::Deleted { .. })));
        fs::write(&path, "one").unwrap();
        assert!(matches!(opened.check(), Err(Displaced::Replaced { .. })));
        fs::rename(&aside, &path).unwrap();
        assert!(opened.check().is_ok(), "put back");
        // A deleted file's inode is not used again while it is open.
        fs::remove_file(&path).unwrap();
        fs::write(&path, "two").unwrap();
        assert!(matches!(opened.check(), Err(Displaced::Replaced { .. })));
    }
}
