//! The version file: the last version that was acknowledged, beside the ledger.
//!
//! redb falls back one commit when it cannot read the newest one, and a file that was restored from a
//! copy looks like any other. Both would give addresses again that were given before. So this file is
//! written after each commit and before its answers: the ledger is never older than what it says,
//! unless something was lost. A crash in between leaves the ledger newer by commits that nobody was
//! told of.
//!
//! It has two slots in blocks of their own, written in turns: a write that is torn destroys the older
//! of the two. A slot is written in place, which costs one wait for the disk; a new file under another
//! name would cost three.

use std::{
    fs::{self, File},
    io::{self, Read as _, Write as _},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;

use super::opened::OpenedFile;
use crate::allocation::Version;

/// Its name in the data directory.
pub(super) const FILE_NAME: &str = "allocations.version";
/// Where slots begin: a device writes no more than this at once.
const BLOCK_BYTES: usize = 4096;
const SLOTS: usize = 2;
/// The first words of a slot; another format has other ones.
const FORMAT: &str = "nadmit-ledger-version-1";

/// The content of a version file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum VersionRecord {
    /// There is no such file: the ledger is of release 0.1.0, or new.
    Absent,
    /// The last version that was acknowledged.
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
    /// The slot that does not hold the newest version.
    next: usize,
}

/// Reads the version file at `path`.
///
/// # Errors
/// The system's.
pub(super) fn read(path: &Path) -> io::Result<VersionRecord> {
    match fs::metadata(path) {
        Ok(found) if found.is_file() => {}
        Ok(_) => return Ok(VersionRecord::Damaged("it is not a regular file".to_owned())),
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
    /// Opens the version file at `path`, or makes it, and makes `version` durable in it.
    ///
    /// # Errors
    /// The system's.
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

    /// Makes a new file, in the place of what is there, whole and durable.
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

    /// Makes `version` durable, unless it is older than what is there. Made anew where the file was
    /// deleted or replaced: the ledger, which is checked first, is there.
    ///
    /// # Errors
    /// The system's; what was there before counts.
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

/// A slot that was read.
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

/// The text of a slot: format, version, checksum of the two.
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

    /// Whatever part of a slot was written when the machine stopped, the version before it counts.
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
            assert_eq!(found, VersionRecord::Version(Version(expected)), "{written}");
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
