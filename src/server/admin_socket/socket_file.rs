//! The socket's file: made so that nobody else can connect, ever, and taken away at the end.

use std::{
    fs,
    io::{self, ErrorKind},
    os::unix::{
        fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _},
        net::UnixStream,
    },
    path::{Path, PathBuf},
};

use tokio::net::UnixListener;

use super::AdminSocketError;

/// The longest path that every Unix has room for in a socket's address, in bytes.
const MAX_PATH_BYTES: usize = 103;

/// A socket's file that is ours: dropped, it is removed, unless another took its place.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    identity: (u64, u64),
}

/// Binds `name` in `directory`.
///
/// # Errors
/// [`AdminSocketError`].
pub(super) fn bind(
    directory: &Path,
    name: &str,
) -> Result<(UnixListener, SocketFile), AdminSocketError> {
    let path = directory.join(name);
    check_replaceable(&path)?;
    let system_error = |source: io::Error| AdminSocketError::System {
        path: path.clone(),
        source,
    };
    // A directory of our own (0700): until its mode is set, nobody else reaches the socket. Its name
    // is short, for the whole path must be.
    let hidden = tempfile::Builder::new()
        .prefix(".s")
        .rand_bytes(6)
        .tempdir_in(directory)
        .map_err(system_error)?;
    let made = hidden.path().join("s");
    if path.as_os_str().len().max(made.as_os_str().len()) > MAX_PATH_BYTES {
        return Err(AdminSocketError::TooLong { path });
    }
    let listener = UnixListener::bind(&made).map_err(system_error)?;
    fs::set_permissions(&made, fs::Permissions::from_mode(0o600)).map_err(system_error)?;
    let identity = identity(&made).map_err(system_error)?;
    fs::rename(&made, &path).map_err(system_error)?;
    Ok((listener, SocketFile { path, identity }))
}

/// A socket that nobody listens on was left behind, and may be replaced.
fn check_replaceable(path: &Path) -> Result<(), AdminSocketError> {
    let path = path.to_owned();
    match fs::symlink_metadata(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(AdminSocketError::System { path, source }),
        Ok(metadata) if !metadata.file_type().is_socket() => {
            return Err(AdminSocketError::NotASocket { path });
        }
        Ok(_) => {}
    }
    match UnixStream::connect(&path) {
        Ok(_) => Err(AdminSocketError::InUse { path }),
        Err(error) if is_dead(&error) => Ok(()),
        Err(source) => Err(AdminSocketError::System { path, source }),
    }
}

fn is_dead(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionRefused | ErrorKind::NotFound
    )
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let metadata = fs::symlink_metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|found| found == self.identity) {
            // Whoever comes next replaces it, if it stays.
            let _ = fs::remove_file(&self.path);
        }
    }
}
