//! Creates the socket file so that other users can never connect, and removes it on drop.

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

/// Longest socket path that every Unix supports, in bytes.
const MAX_PATH_BYTES: usize = 103;

/// A socket file of this process. Dropping it removes the file unless another file has replaced it.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    identity: (u64, u64),
}

/// Binds the socket `name` in `directory`.
///
/// # Errors
/// Returns an [`AdminSocketError`].
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
    // The socket is created in a private directory (0700), so other users cannot reach it before
    // its mode is set. The directory name is short because the whole path must fit into a socket
    // address.
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

/// Returns an error unless the path is free or a socket without a listener, which may be replaced.
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
            // A leftover file is replaced at the next start.
            let _ = fs::remove_file(&self.path);
        }
    }
}
