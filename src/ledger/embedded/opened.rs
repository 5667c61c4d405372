//! Whether a path still leads to the file that is open.
//!
//! A file that was deleted or replaced can be written to for as long as it is open, and nobody finds
//! what was written. So the path is looked up before each commit.

use std::{
    fs::{self, File, Metadata},
    io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use thiserror::Error;

/// A file that stays the same one, by device and inode.
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

/// Why a path does not lead to the file that is open.
#[derive(Debug, Error)]
pub(super) enum Displaced {
    /// Nothing is there.
    #[error(
        "{}: deleted while nadmit has it open, so nothing is recorded any more; put the file back, \
         or restore it from a copy or an export and restart nadmit",
        path.display()
    )]
    Deleted { path: PathBuf },
    /// Another file is there.
    #[error(
        "{}: replaced while nadmit has the former file open, so nothing is recorded any more; put the \
         former file back, or restart nadmit to use the new one",
        path.display()
    )]
    Replaced { path: PathBuf },
    /// The system does not say.
    #[error("{}: {source}; nothing is recorded while nadmit cannot find the file", path.display())]
    Inaccessible {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

impl OpenedFile {
    /// Opens what is at `path` for reading. Kept open, its inode is not given to another file.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Self::of(path, File::open(path)?)
    }

    /// A file that was opened at `path`.
    pub(super) fn of(path: &Path, file: File) -> io::Result<Self> {
        let device_and_inode = DeviceAndInode::of(&file.metadata()?);
        Ok(Self {
            path: path.to_owned(),
            file,
            device_and_inode,
        })
    }

    /// The open file.
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
