//! Reading a file as a text, and telling cheaply whether it changed.

use std::{
    fs::Metadata,
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use crate::{files, network::Position};

use super::SourceError;

/// The largest file that is read. An object in Kubernetes has at most 1.5 MiB.
pub(super) const MAX_BYTES: u64 = 16 << 20;

/// How long after a write another one may leave the same time stamp: file systems count time in
/// ticks, some in whole seconds.
const TICK: Duration = Duration::from_secs(2);

/// What tells a file from its earlier states without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fingerprint {
    modified: (i64, i64),
    changed: (i64, i64),
    size: u64,
    inode: u64,
    device: u64,
}

impl Fingerprint {
    /// The fingerprint of a file (of what a symbolic link leads to, if the file is one).
    pub(super) fn of(file: &Metadata) -> Self {
        Self {
            modified: (file.mtime(), file.mtime_nsec()),
            changed: (file.ctime(), file.ctime_nsec()),
            size: file.size(),
            inode: file.ino(),
            device: file.dev(),
        }
    }

    /// What it is, whatever it is called.
    pub(super) fn identity(self) -> (u64, u64) {
        (self.device, self.inode)
    }

    /// Whether a later write is bound to change the fingerprint. A file read within a tick of its
    /// last change may be written once more in that tick (git calls such files racy).
    pub(super) fn is_settled(self, read_at: SystemTime) -> bool {
        let (seconds, _) = self.modified.max(self.changed);
        let seconds = u64::try_from(seconds).unwrap_or(0);
        let since = Duration::from_secs(seconds).saturating_add(Duration::from_secs(1) + TICK);
        // A time that cannot be counted to is in the future.
        UNIX_EPOCH
            .checked_add(since)
            .is_some_and(|settled| settled < read_at)
    }
}

/// A text as it was read.
pub(super) struct Text {
    pub content: String,
    pub fingerprint: Fingerprint,
}

/// Reads the file at `path`.
///
/// # Errors
/// When it cannot be read, is too large or no UTF-8; the error calls it `name`.
pub(super) fn read(path: &Path, name: &str) -> Result<Text, SourceError> {
    let (bytes, fingerprint) = read_bytes(path).map_err(|error| SourceError::File {
        file: name.to_owned(),
        reason: error.to_string(),
    })?;
    let content = decode(bytes, name)?;
    Ok(Text {
        content,
        fingerprint,
    })
}

/// Bytes as a text.
///
/// # Errors
/// When they are too many or no UTF-8.
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
    fn no_time_stamp_and_no_clock_is_too_far_away() {
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
            assert_eq!(fingerprint.is_settled(read_at), settled, "{seconds}");
        }
    }
}
