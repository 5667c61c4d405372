//! Certificate files that nadmit creates: written atomically, keys readable by their owner only,
//! and marked, so that files created by others are never overwritten.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
};

/// First line of every file that nadmit creates. PEM readers skip text before the PEM section.
const MARK: &str = "# Made by nadmit, which remakes it when its time has come.\n";
/// File mode of keys: readable by the owner only.
pub(super) const SECRET: u32 = 0o600;
/// File mode of certificates: readable by everyone.
pub(super) const PUBLIC: u32 = 0o644;
/// Mode of certificate directories: accessible to the owner only.
const PRIVATE_DIRECTORY: u32 = 0o700;

/// Returns true if nadmit created a file with these contents.
pub(super) fn is_marked(contents: &[u8]) -> bool {
    contents.starts_with(MARK.as_bytes())
}

/// Creates a directory and its parents if absent.
pub(super) fn make_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(PRIVATE_DIRECTORY)
        .create(path)
}

/// Writes a marked file atomically: readers see the old contents or the new.
pub(super) fn write(path: &Path, pem: &[u8], mode: u32) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let new = path.with_file_name(name);
    remove_if_present(&new)?;
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&new)?;
    file.write_all(MARK.as_bytes())?;
    file.write_all(pem)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    sync_directory(path)
}

/// Removes a file that an earlier attempt may have left.
fn remove_if_present(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn sync_directory(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(directory) if directory != Path::new("") => File::open(directory)?.sync_all(),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_secret_is_replaced_whole_and_never_readable_by_others() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("deep/er/tls.key");
        make_directory(path.parent().unwrap()).unwrap();
        fs::write(path.with_file_name("tls.key.new"), "left by a crash").unwrap();
        for pem in [b"one", b"two"] {
            write(&path, pem, SECRET).unwrap();
            let contents = fs::read(&path).unwrap();
            assert!(is_marked(&contents) && contents.ends_with(pem));
            let mode = fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, SECRET);
        }
        let names = fs::read_dir(path.parent().unwrap()).unwrap().count();
        assert_eq!(names, 1, "nothing else is left behind");
    }
}
