//! Lists the manifests of a folder.

use std::{
    collections::{BTreeMap, HashSet},
    ffi::OsStr,
    fs, io,
    path::{Path, PathBuf},
};

use super::{SourceError, file_text::Fingerprint};

/// The suffixes of manifests.
const SUFFIXES: [&str; 3] = ["yaml", "yml", "json"];

/// The manifests of a folder and its subfolders.
///
/// Hidden files and folders are skipped. Among them are `..data` and the folder that it links to,
/// in which the kubelet stores the files of a mounted `ConfigMap`; they are read through the
/// symbolic links next to them. A file that is reachable by several paths is listed once, under the
/// first path in alphabetical order, so that loops of links end.
#[derive(Debug, Default)]
pub(super) struct FolderListing {
    /// The files by name.
    pub files: BTreeMap<String, ListedFile>,
    /// The folders that could not be read, as errors.
    pub errors: Vec<SourceError>,
    /// The paths of these folders, whose files are unknown and must not be treated as deleted.
    pub unreadable: Vec<PathBuf>,
}

/// A file in a listing.
#[derive(Debug)]
pub(super) struct ListedFile {
    pub path: PathBuf,
    /// The fingerprint; `None` if its metadata cannot be read, as for a broken link.
    pub fingerprint: Option<Fingerprint>,
}

impl FolderListing {
    /// Lists the manifests in `root`.
    ///
    /// # Errors
    /// Returns an error if `root` itself cannot be read.
    pub(super) fn of(root: &Path) -> Result<Self, SourceError> {
        let mut walk = Walk::default();
        let listed = fs::metadata(root).and_then(|found| {
            walk.seen.insert(Fingerprint::of(&found).identity());
            walk.folder(root)
        });
        match listed {
            Ok(()) => Ok(walk.listing),
            Err(error) => Err(folder_error(root, &error)),
        }
    }
}

#[derive(Default)]
struct Walk {
    listing: FolderListing,
    seen: HashSet<(u64, u64)>,
}

impl Walk {
    fn folder(&mut self, folder: &Path) -> io::Result<()> {
        let names = fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.file_name()));
        let mut names = names.collect::<io::Result<Vec<_>>>()?;
        names.sort_unstable();
        for name in names.iter().filter(|name| !is_hidden(name)) {
            self.entry(folder.join(name));
        }
        Ok(())
    }

    fn entry(&mut self, path: PathBuf) {
        match fs::metadata(&path) {
            Ok(found) if found.is_dir() => {
                if self.seen.insert(Fingerprint::of(&found).identity()) {
                    self.subfolder(path);
                }
            }
            Ok(found) if found.is_file() && is_manifest(&path) => {
                let fingerprint = Fingerprint::of(&found);
                if self.seen.insert(fingerprint.identity()) {
                    self.file(path, Some(fingerprint));
                }
            }
            Ok(_) => {}
            // Deleted since it was listed, or a broken link.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if is_manifest(&path) && fs::symlink_metadata(&path).is_ok() {
                    self.file(path, None);
                }
            }
            Err(_) if is_manifest(&path) => self.file(path, None),
            Err(error) => self.unreadable(path, &error),
        }
    }

    fn file(&mut self, path: PathBuf, fingerprint: Option<Fingerprint>) {
        let name = path.display().to_string();
        let listed = ListedFile { path, fingerprint };
        self.listing.files.insert(name, listed);
    }

    fn subfolder(&mut self, folder: PathBuf) {
        match self.folder(&folder) {
            Ok(()) => {}
            // Deleted since it was listed.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => self.unreadable(folder, &error),
        }
    }

    fn unreadable(&mut self, folder: PathBuf, error: &io::Error) {
        self.listing.errors.push(folder_error(&folder, error));
        self.listing.unreadable.push(folder);
    }
}

fn folder_error(folder: &Path, error: &io::Error) -> SourceError {
    SourceError::Folder {
        folder: folder.display().to_string(),
        reason: error.to_string(),
    }
}

fn is_hidden(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".")
}

fn is_manifest(path: &Path) -> bool {
    let suffix = path.extension().and_then(OsStr::to_str);
    suffix.is_some_and(|suffix| SUFFIXES.contains(&suffix))
}
