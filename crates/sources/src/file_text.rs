//! Reads files as text, and detects cheaply whether they have changed.

use std::{
    fs::Metadata,
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use nadmit_cni::Position;
use nadmit_host::files;

use super::SourceError;

/// The maximum size of a file. An object in Kubernetes has at most 1.5 MiB.
pub(super) const MAX_BYTES: u64 = 16 << 20;

/// The period in which two writes may result in the same modification time: the resolution of file
/// systems is limited, for some to whole seconds.
const TICK: Duration = Duration::from_secs(2);

/// Metadata that distinguishes a file from its earlier states without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fingerprint {
    modified: (i64, i64),
    changed: (i64, i64),
    size: u64,
    inode: u64,
    device: u64,
}

impl Fingerprint {
    /// Returns the fingerprint of a file; for a symbolic link, that of its target.
    pub(super) fn of(file: &Metadata) -> Self {
        Self {
            modified: (file.mtime(), file.mtime_nsec()),
            changed: (file.ctime(), file.ctime_nsec()),
            size: file.size(),
            inode: file.ino(),
            device: file.dev(),
        }
    }

    /// Returns the identity of the file, independent of its path.
    pub(super) fn identity(self) -> (u64, u64) {
        (self.device, self.inode)
    }

    /// Returns true if any later write changes the fingerprint. A file that is read within a tick
    /// of its last change may be written again in the same tick (git calls such files racy).
    pub(super) fn is_stable(self, read_at: SystemTime) -> bool {
        let (seconds, _) = self.modified.max(self.changed);
        let seconds = u64::try_from(seconds).unwrap_or(0);
        let since = Duration::from_secs(seconds).saturating_add(Duration::from_secs(1) + TICK);
        // A time that overflows is in the future.
        UNIX_EPOCH
            .checked_add(since)
            .is_some_and(|settled| settled < read_at)
    }
}

/// The content of a file and the fingerprint at the time of the read.
pub(super) struct FileText {
    pub content: String,
    pub fingerprint: Fingerprint,
}

/// Reads the file at `path`.
///
/// # Errors
/// Returns an error, which calls the file `name`, if it cannot be read, is too large or is not
/// UTF-8.
pub(super) fn read(path: &Path, name: &str) -> Result<FileText, SourceError> {
    let (bytes, fingerprint) = read_bytes(path).map_err(|error| SourceError::File {
        file: name.to_owned(),
        reason: error.to_string(),
    })?;
    let content = decode(bytes, name)?;
    Ok(FileText {
        content,
        fingerprint,
    })
}

/// Decodes the bytes of a file.
///
/// # Errors
/// Returns an error if the file is too large or is not UTF-8.
pub(super) fn decode(bytes: Vec<u8>, name: &str) -> Result<String, SourceError> {
    if bytes.len() as u64 > MAX_BYTES {
        let file = name.to_owned();
        return Err(SourceError::TooLarge { file });
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let before = String::from_utf8_lossy(&error.as_bytes()[..valid]);
        SourceError::NotUtf8 {
            file: name.to_owned(),
            position: Position::of(u32::MAX, &before),
        }
    })
}

fn read_bytes(path: &Path) -> io::Result<(Vec<u8>, Fingerprint)> {
    let (file, metadata) = files::open(path)?;
    let fingerprint = Fingerprint::of(&metadata);
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    Ok((bytes, fingerprint))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extreme_times_do_not_overflow() {
        let day = Duration::from_secs(86_400);
        let before = UNIX_EPOCH - day;
        for (seconds, read_at, settled) in [
            (0, UNIX_EPOCH + day, true),
            (86_400, UNIX_EPOCH + day, false),
            (i64::MAX, UNIX_EPOCH + day, false),
            (i64::MIN, UNIX_EPOCH + day, true),
            (0, before, false),
            (i64::MAX, before, false),
        ] {
            let fingerprint = Fingerprint {
                modified: (seconds, 0),
                changed: (seconds, 0),
                size: 0,
                inode: 0,
                device: 0,
            };
            assert_eq!(fingerprint.is_stable(read_at), settled, "{seconds}");
        }
    }
}
