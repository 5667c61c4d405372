//! The version file: the last acknowledged version, stored next to the ledger.
//!
//! redb falls back one commit when it cannot read the newest one, and a file that was restored from a copy
//! looks like any other. In both cases addresses that are in use would be allocated again. So this file is
//! written after each commit and before its acknowledgements: a ledger that is older than this file lost
//! something. A crash in between leaves the ledger newer, by commits that were not acknowledged.
//!
//! The file has two slots in separate blocks, written alternately: a torn write destroys the older slot.
//! Slots are overwritten in place, which costs one sync; replacing the file by a new one would cost three.

use std::{
    fs::{self, File},
    io::{self, Read as _, Write as _},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;

use super::opened::OpenedFile;
use nadmit_allocation::Version;

/// Name of the version file in the data directory.
pub(super) const FILE_NAME: &str = "allocations.version";
/// Size of a slot's block; a device does not write more than this atomically.
const BLOCK_BYTES: usize = 4096;
const SLOTS: usize = 2;
/// Prefix of a slot, which identifies the format.
const FORMAT: &str = "nadmit-ledger-version-1";

/// Content of a version file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum VersionRecord {
    /// The file does not exist: the ledger is of release 0.1.0, or new.
    Absent,
    /// The last acknowledged version.
    Version(Version),
    /// Neither slot can be read.
    Damaged(String),
}

/// An open version file.
#[derive(Debug)]
pub(super) struct VersionFile {
    path: PathBuf,
    opened: OpenedFile,
    version: Version,
    /// Index of the slot with the older version, which is written next.
    next: usize,
}

/// Reads the version file at `path`.
///
/// # Errors
/// The operating system's.
pub(super) fn read(path: &Path) -> io::Result<VersionRecord> {
    match fs::metadata(path) {
        Ok(found) if found.is_file() => {}
        Ok(_) => {
            return Ok(VersionRecord::Damaged(
                "it is not a regular file".to_owned(),
            ));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(VersionRecord::Absent),
        Err(error) => return Err(error),
    }
    let newest = newest_slot(&File::open(path)?)?;
    Ok(newest.map_or_else(
        || VersionRecord::Damaged("it holds no version".to_owned()),
        |slot| VersionRecord::Version(slot.version),
    ))
}

impl VersionFile {
    /// Opens or creates the version file at `path`, and makes `version` durable in it.
    ///
    /// # Errors
    /// The operating system's.
    pub(super) fn open(path: &Path, version: Version) -> io::Result<Self> {
        if !matches!(read(path)?, VersionRecord::Version(_)) {
            return Self::create(path, version);
        }
        let file = File::options().read(true).write(true).open(path)?;
        let Some(newest) = newest_slot(&file)? else {
            return Self::create(path, version);
        };
        let mut opened = Self {
            path: path.to_owned(),
            opened: OpenedFile::of(path, file)?,
            version: newest.version,
            next: (newest.number + 1) % SLOTS,
        };
        opened.advance(version)?;
        Ok(opened)
    }

    /// Creates a complete and durable file, atomically replacing an existing one.
    fn create(path: &Path, version: Version) -> io::Result<Self> {
        let directory = path.parent().unwrap_or(Path::new("."));
        let mut new = NamedTempFile::new_in(directory)?;
        let mut content = encode(version);
        content.resize(BLOCK_BYTES, 0);
        new.write_all(&content.repeat(SLOTS))?;
        new.as_file().sync_all()?;
        let file = new.persist(path).map_err(|error| error.error)?;
        File::open(directory)?.sync_all()?;
        Ok(Self {
            path: path.to_owned(),
            opened: OpenedFile::of(path, file)?,
            version,
            next: 0,
        })
    }

    /// Makes `version` durable, unless the file has a newer one. Recreates the file if it was deleted or
    /// replaced; the ledger file has been checked before.
    ///
    /// # Errors
    /// The operating system's; the previous version then still applies.
    pub(super) fn advance(&mut self, version: Version) -> io::Result<()> {
        if self.opened.check().is_err() {
            *self = Self::create(&self.path, version.max(self.version))?;
            return Ok(());
        }
        if version <= self.version {
            return Ok(());
        }
        let file = self.opened.file();
        file.write_all_at(&encode(version), (self.next * BLOCK_BYTES) as u64)?;
        file.sync_data()?;
        self.version = version;
        self.next = (self.next + 1) % SLOTS;
        Ok(())
    }
}

/// A valid slot.
#[derive(Debug, Clone, Copy)]
struct VersionSlot {
    number: usize,
    version: Version,
}

fn newest_slot(file: &File) -> io::Result<Option<VersionSlot>> {
    let mut content = Vec::new();
    file.take((BLOCK_BYTES * SLOTS) as u64)
        .read_to_end(&mut content)?;
    let slots = content.chunks(BLOCK_BYTES).enumerate();
    let read = slots.filter_map(|(number, block)| {
        let version = parse(block)?;
        Some(VersionSlot { number, version })
    });
    Ok(read.max_by_key(|slot| slot.version))
}

/// Encodes a slot: format, version, and the checksum of the two.
fn encode(version: Version) -> Vec<u8> {
    let text = format!("{FORMAT} {:020}", version.0);
    format!("{text} {}\n", checksum(&text)).into_bytes()
}

fn parse(block: &[u8]) -> Option<Version> {
    let line = block.split(|byte| *byte == b'\n').next()?;
    let (text, sum) = std::str::from_utf8(line).ok()?.rsplit_once(' ')?;
    if sum != checksum(text) {
        return None;
    }
    let digits = text.strip_prefix(FORMAT)?.trim_start();
    digits.parse().ok().map(Version)
}

fn checksum(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    digest[..8]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(path: &Path) -> VersionRecord {
        read(path).unwrap()
    }

    #[test]
    fn versions_grow_and_are_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE_NAME);
        assert_eq!(version(&path), VersionRecord::Absent);
        let mut file = VersionFile::open(&path, Version(3)).unwrap();
        assert_eq!(version(&path), VersionRecord::Version(Version(3)));
        for next in [4, 9, 10, u64::MAX] {
            file.advance(Version(next)).unwrap();
            assert_eq!(version(&path), VersionRecord::Version(Version(next)));
        }
        file.advance(Version(5)).unwrap();
        assert_eq!(version(&path), VersionRecord::Version(Version(u64::MAX)));
        drop(file);
        VersionFile::open(&path, Version(1)).unwrap();
        assert_eq!(version(&path), VersionRecord::Version(Version(u64::MAX)));
    }

    /// If only a part of a slot was written, the previous version applies.
    #[test]
    fn a_torn_write_leaves_the_version_before_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE_NAME);
        let mut file = VersionFile::open(&path, Version(41)).unwrap();
        file.advance(Version(42)).unwrap();
        let before = fs::read(&path).unwrap();
        file.advance(Version(143)).unwrap();
        let after = fs::read(&path).unwrap();
        for written in 0..encode(Version(0)).len() {
            let mut torn = before.clone();
            for block in 0..SLOTS {
                let place = block * BLOCK_BYTES..block * BLOCK_BYTES + written;
                torn[place.clone()].copy_from_slice(&after[place]);
            }
            fs::write(&path, &torn).unwrap();
            let found = version(&path);
            let whole = torn == after;
            let expected = if whole { 143 } else { 42 };
            assert_eq!(
                found,
                VersionRecord::Version(Version(expected)),
                "{written}"
            );
        }
        fs::write(&path, vec![0; 2 * BLOCK_BYTES]).unwrap();
        assert!(matches!(version(&path), VersionRecord::Damaged(_)));
    }

    #[test]
    fn no_flipped_bit_makes_another_version() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE_NAME);
        let mut file = VersionFile::open(&path, Version(41)).unwrap();
        file.advance(Version(42)).unwrap();
        let whole = fs::read(&path).unwrap();
        for at in
            (0..encode(Version(0)).len()).chain(BLOCK_BYTES..BLOCK_BYTES + encode(Version(0)).len())
        {
            for bit in 0..8 {
                let mut bytes = whole.clone();
                bytes[at] ^= 1 << bit;
                fs::write(&path, &bytes).unwrap();
                let found = version(&path);
                let known = [41, 42].map(|known| VersionRecord::Version(Version(known)));
                assert!(known.contains(&found), "byte {at}: {found:?}");
            }
        }
    }

    #[test]
    fn a_deleted_file_is_recreated() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE_NAME);
        let mut file = VersionFile::open(&path, Version(7)).unwrap();
        fs::remove_file(&path).unwrap();
        file.advance(Version(8)).unwrap();
        assert_eq!(version(&path), VersionRecord::Version(Version(8)));
        fs::write(&path, "anything").unwrap();
        file.advance(Version(9)).unwrap();
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert!(matches!(version(&path), VersionRecord::Damaged(_)));
        assert!(file.advance(Version(10)).is_err());
    }
}
