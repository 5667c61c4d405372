//! The file: made, opened, locked, and refused with words.
//!
//! A new file is made whole under another name and put in its place at once, so that an empty or a
//! half-made `allocations.redb` is always a damaged one, never mistaken for new.
//!
//! A file that is there is tried on an [`Overlay`] first, and compared with the version file, so that
//! one that is refused stays as it is.

use std::{
    any::Any,
    fs, io,
    os::unix::fs::DirBuilderExt as _,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::Arc,
};

use redb::{
    Builder, Database, DatabaseError, ReadableDatabase as _, StorageError, backends::FileBackend,
};
use tempfile::NamedTempFile;

use super::{
    opened::OpenedFile,
    overlay::Overlay,
    table::{ALLOCATIONS, META, SCHEMA, SCHEMA_KEY, VERSION_KEY},
    version_file::{self, VersionFile, VersionRecord},
    writer::newest,
};
use crate::{
    allocation::Version,
    ledger::{LedgerOrigin, OlderLedger, OpenError},
};

/// Its name in the data directory.
pub(super) const FILE_NAME: &str = "allocations.redb";
/// How much of the file is kept in memory, in bytes: some 200,000 records.
const CACHE_BYTES: usize = 64 << 20;

/// An open ledger, and what lies beside it.
#[derive(Debug)]
pub(super) struct OpenedLedger {
    pub(super) database: Database,
    pub(super) last: Version,
    pub(super) origin: LedgerOrigin,
    /// What is compared and written with each commit; absent where nothing may be written.
    pub(super) beside: Option<CommitFiles>,
}

/// What is compared and written with each commit.
#[derive(Debug)]
pub(super) struct CommitFiles {
    pub(super) opened: Arc<OpenedFile>,
    pub(super) version_file: VersionFile,
}

/// Opens the file in `directory`, making both where they are not there yet. Reads all of it: whatever
/// is not as it was written is found here.
///
/// # Errors
/// [`OpenError`]; a file that is there was left as it is.
pub(super) fn open(directory: &Path, older: OlderLedger) -> Result<OpenedLedger, OpenError> {
    let path = directory.join(FILE_NAME);
    let recorded = read_version_file(directory)?;
    let is_new = match fs::symlink_metadata(&path) {
        Ok(_) => false,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            create_unless_lost(directory, &path, &recorded, older)?;
            true
        }
        Err(source) => return Err(OpenError::File { path, source }),
    };
    let OverlayLedger {
        database,
        last: found,
    } = open_on_overlay(&path)?;
    let error = staleness_error(&path, found, &recorded);
    match (error, older) {
        (Some(error), OlderLedger::Refuse) => Err(error),
        (Some(error), OlderLedger::ReadOnly) => Ok(OpenedLedger {
            database,
            last: found,
            origin: LedgerOrigin::ReadOnly(error),
            beside: None,
        }),
        (error, _) => {
            // It has the lock.
            drop(database);
            let origin = origin(is_new, found, &recorded, error.as_ref());
            open_to_write(directory, &path, origin)
        }
    }
}

/// What the version file says.
fn read_version_file(directory: &Path) -> Result<VersionRecord, OpenError> {
    let path = directory.join(version_file::FILE_NAME);
    match version_file::read(&path) {
        // What is wrong with the directory is said of the directory.
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => Ok(VersionRecord::Absent),
        read => read.map_err(|source| OpenError::File { path, source }),
    }
}

/// Makes a ledger where there is none, unless one was there.
fn create_unless_lost(
    directory: &Path,
    path: &Path,
    recorded: &VersionRecord,
    older: OlderLedger,
) -> Result<(), OpenError> {
    let first = match recorded {
        VersionRecord::Absent => Version(0),
        VersionRecord::Version(known) if *known == Version(0) || older == OlderLedger::Accept => {
            *known
        }
        VersionRecord::Damaged(_) if older == OlderLedger::Accept => Version(0),
        VersionRecord::Version(known) => {
            return Err(OpenError::Missing {
                path: path.to_owned(),
                known: known.0,
            });
        }
        VersionRecord::Damaged(reason) => {
            return Err(OpenError::VersionFile {
                path: directory.join(version_file::FILE_NAME),
                reason: reason.clone(),
            });
        }
    };
    create(directory, path, first)
}

/// Why a ledger whose last write has the version `found` is older than one that was acknowledged, or
/// may be.
fn staleness_error(path: &Path, found: Version, recorded: &VersionRecord) -> Option<OpenError> {
    match recorded {
        VersionRecord::Version(known) if found < *known => Some(OpenError::Older {
            path: path.to_owned(),
            found: found.0,
            known: known.0,
        }),
        VersionRecord::Absent | VersionRecord::Version(_) => None,
        VersionRecord::Damaged(reason) => Some(OpenError::VersionFile {
            path: path.with_file_name(version_file::FILE_NAME),
            reason: reason.clone(),
        }),
    }
}

/// How a ledger that may be used came to be so; `error` is why it was not to be.
fn origin(
    is_new: bool,
    found: Version,
    recorded: &VersionRecord,
    error: Option<&OpenError>,
) -> LedgerOrigin {
    let known = match recorded {
        VersionRecord::Version(known) if *known > Version(0) => Some(known.0),
        _ => None,
    };
    match (is_new, error) {
        (true, None) if known.is_none() => LedgerOrigin::Created,
        (false, None) => LedgerOrigin::Existing,
        (is_new, _) => LedgerOrigin::Accepted {
            found: if is_new { 0 } else { found.0 },
            known,
        },
    }
}

/// Opens a file that may be used.
fn open_to_write(
    directory: &Path,
    path: &Path,
    origin: LedgerOrigin,
) -> Result<OpenedLedger, OpenError> {
    let in_file = |source| OpenError::File {
        path: path.to_owned(),
        source,
    };
    let opened = OpenedFile::open(path).map_err(in_file)?;
    let database = open_existing(path)?;
    opened
        .check()
        .map_err(|error| in_file(io::Error::other(error)))?;
    if let LedgerOrigin::Accepted {
        known: Some(known), ..
    } = origin
    {
        // Versions go on from what was acknowledged, so that none is given twice.
        raise_version(&database, Version(known))
            .map_err(|error| damaged(path, error.to_string()))?;
    }
    let last = last_version(path, &database)?;
    let beside = directory.join(version_file::FILE_NAME);
    // Before anything of it is told: what is told is acknowledged.
    let version_file = VersionFile::open(&beside, last).map_err(|source| OpenError::File {
        path: beside,
        source,
    })?;
    Ok(OpenedLedger {
        database,
        last,
        origin,
        beside: Some(CommitFiles {
            opened: Arc::new(opened),
            version_file,
        }),
    })
}

/// Makes `known` the version of the last write, unless that is newer.
fn raise_version(database: &Database, known: Version) -> Result<(), redb::Error> {
    if newest(database)? >= known {
        return Ok(());
    }
    let transaction = database.begin_write()?;
    transaction.open_table(META)?.insert(VERSION_KEY, known.0)?;
    Ok(transaction.commit()?)
}

fn last_version(path: &Path, database: &Database) -> Result<Version, OpenError> {
    newest(database).map_err(|error| damaged(path, error.to_string()))
}

/// A ledger as opening it would make it.
struct OverlayLedger {
    database: Database,
    last: Version,
}

/// Opens a file without changing it.
fn open_on_overlay(path: &Path) -> Result<OverlayLedger, OpenError> {
    check_is_ledger_file(path)?;
    let file = fs::File::options()
        .read(true)
        .write(true)
        .open(path)
        .map_err(|source| OpenError::File {
            path: path.to_owned(),
            source,
        })?;
    catch_panics(path, || {
        let opened = Overlay::new(file).and_then(|overlay| {
            builder()
                .set_check_integrity_on_open(true)
                .create_with_backend(overlay)
        });
        let database = opened.map_err(|error| open_error(path, error))?;
        check_schema(path, &database)?;
        let last = last_version(path, &database)?;
        Ok(OverlayLedger { database, last })
    })
}

/// Opens a file that is there.
///
/// # Errors
/// [`OpenError`].
pub(super) fn open_existing(path: &Path) -> Result<Database, OpenError> {
    check_is_ledger_file(path)?;
    catch_panics(path, || {
        let database = builder()
            .set_check_integrity_on_open(true)
            .open(path)
            .map_err(|error| open_error(path, error))?;
        check_schema(path, &database)?;
        Ok(database)
    })
}

/// Opens a file: the library checks every page, but on some it may still panic.
fn catch_panics<T>(
    path: &Path,
    open: impl FnOnce() -> Result<T, OpenError>,
) -> Result<T, OpenError> {
    catch_unwind(AssertUnwindSafe(open))
        .unwrap_or_else(|panic| Err(damaged(path, panic_message(panic.as_ref()))))
}

/// What a panic says.
pub(super) fn panic_message(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_else(|| "it cannot be read".to_owned())
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE_BYTES);
    builder
}

fn create(directory: &Path, path: &Path, first: Version) -> Result<(), OpenError> {
    let no_directory = |source| OpenError::Directory {
        path: directory.to_owned(),
        source,
    };
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(no_directory)?;
    // Readable for its owner alone, and gone if this fails half-way.
    let new = NamedTempFile::new_in(directory).map_err(no_directory)?;
    initialize(&new, first).map_err(|error| open_error(path, error))?;
    match new.persist_noclobber(path) {
        Ok(_) => {}
        // Another process was faster; whether its file can be had is seen when it is opened.
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(no_directory(error.error)),
    }
    // The name, too, is to survive a crash of the machine.
    fs::File::open(directory)
        .and_then(|directory| directory.sync_all())
        .map_err(no_directory)
}

/// Makes a ledger without records, whose first write has the version behind `first`.
fn initialize(file: &NamedTempFile, first: Version) -> Result<(), DatabaseError> {
    let database = builder().create_with_backend(FileBackend::new(file.reopen()?)?)?;
    let filled: Result<(), redb::Error> = (|| {
        let transaction = database.begin_write()?;
        {
            transaction.open_table(ALLOCATIONS)?;
            let mut meta = transaction.open_table(META)?;
            meta.insert(SCHEMA_KEY, SCHEMA)?;
            meta.insert(VERSION_KEY, first.0)?;
        }
        Ok(transaction.commit()?)
    })();
    filled.map_err(|error| DatabaseError::Storage(StorageError::Io(io::Error::other(error))))?;
    database.close()
}

/// An empty file would be taken for a new one, anything else that is no file for an I/O error.
fn check_is_ledger_file(path: &Path) -> Result<(), OpenError> {
    let metadata = fs::metadata(path).map_err(|source| OpenError::File {
        path: path.to_owned(),
        source,
    })?;
    if !metadata.is_file() {
        return Err(damaged(path, "it is not a regular file".to_owned()));
    }
    if metadata.len() == 0 {
        return Err(damaged(path, "it is empty".to_owned()));
    }
    Ok(())
}

fn check_schema(path: &Path, database: &Database) -> Result<(), OpenError> {
    let schema: Result<Option<u64>, redb::Error> = (|| {
        let transaction = database.begin_read()?;
        transaction.open_table(ALLOCATIONS)?;
        let meta = transaction.open_table(META)?;
        Ok(meta.get(SCHEMA_KEY)?.map(|schema| schema.value()))
    })();
    match schema {
        Ok(Some(SCHEMA)) => Ok(()),
        Ok(Some(found)) if found > SCHEMA => Err(OpenError::Newer {
            path: path.to_owned(),
            found,
            known: SCHEMA,
        }),
        Ok(found) => Err(damaged(
            path,
            found.map_or("it has no schema".to_owned(), |found| {
                format!("its schema is {found}, which never was")
            }),
        )),
        Err(error) => Err(damaged(path, error.to_string())),
    }
}

fn open_error(path: &Path, error: DatabaseError) -> OpenError {
    let path: PathBuf = path.to_owned();
    match error {
        DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch => {
            OpenError::InUse { path }
        }
        DatabaseError::Storage(StorageError::Io(source)) if !is_corruption(&source) => {
            OpenError::File { path, source }
        }
        DatabaseError::Storage(StorageError::Io(source)) => damaged(&path, source.to_string()),
        other => damaged(&path, other.to_string()),
    }
}

/// Whether the library says by this error that the content is wrong, or too short.
fn is_corruption(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof
    )
}

fn damaged(path: &Path, reason: String) -> OpenError {
    OpenError::Damaged {
        path: path.to_owned(),
        reason,
    }
}
