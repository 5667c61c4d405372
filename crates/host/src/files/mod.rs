//! Reads regular files of bounded size.
//!
//! A named pipe would block and a device never ends, so neither is read. Files are opened without
//! blocking, because a path may change between check and open.

use std::{
    fs::{self, File, FileType, Metadata, OpenOptions},
    io::{self, Read as _},
    os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _},
    path::Path,
};

use rustix::fs::OFlags;

/// Flag that keeps opening a named pipe from blocking.
const NONBLOCK: i32 = OFlags::NONBLOCK.bits() as i32;

/// Opens a regular file.
///
/// # Errors
/// Fails if it cannot be opened or is not a regular file; the error says what it is.
pub fn open(path: &Path) -> io::Result<(File, Metadata)> {
    is_regular(fs::metadata(path)?.file_type())?;
    let mut options = OpenOptions::new();
    let file = options.read(true).custom_flags(NONBLOCK).open(path)?;
    // Checked again on the open file, which may be another one.
    let metadata = file.metadata()?;
    is_regular(metadata.file_type())?;
    Ok((file, metadata))
}

/// Reads a regular file of at most `max_bytes` bytes.
///
/// # Errors
/// Fails like [`open`], or if the file is larger.
pub fn read(path: &Path, max_bytes: u64) -> io::Result<Vec<u8>> {
    let (file, _) = open(path)?;
    let mut bytes = Vec::new();
    file.take(max_bytes.saturating_add(1))
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max_bytes {
        return Err(io::Error::other(format!(
            "it is larger than {} KiB",
            max_bytes >> 10
        )));
    }
    Ok(bytes)
}

fn is_regular(kind: FileType) -> io::Result<()> {
    let other = match kind {
        kind if kind.is_file() => return Ok(()),
        kind if kind.is_dir() => "a directory",
        kind if kind.is_fifo() => "a named pipe",
        kind if kind.is_socket() => "a socket",
        kind if kind.is_char_device() || kind.is_block_device() => "a device",
        _ => "something else",
    };
    Err(io::Error::other(format!(
        "it is {other}, and not a regular file"
    )))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn only_regular_files_of_a_bounded_size_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("file"), "content").unwrap();
        std::os::unix::fs::symlink("file", path("link")).unwrap();
        for name in ["file", "link"] {
            assert_eq!(read(&path(name), 7).unwrap(), b"content");
        }
        let made = Command::new("mkfifo").arg(path("pipe")).status();
        let _socket = std::os::unix::net::UnixListener::bind(path("socket")).unwrap();
        let mut cases = vec![
            (path("file"), "larger than 0 KiB"),
            (folder.path().to_owned(), "it is a directory, and not"),
            (path("socket"), "it is a socket, and not"),
            ("/dev/zero".into(), "it is a device, and not"),
            (path("absent"), "No such file"),
        ];
        if made.is_ok_and(|status| status.success()) {
            cases.push((path("pipe"), "it is a named pipe, and not"));
        }
        for (path, expected) in cases {
            let error = read(&path, 6).unwrap_err().to_string();
            assert!(error.contains(expected), "{}: {error}", path.display());
        }
    }
}
