//! Creates, opens, checks and locks the ledger file.
//!
//! A new file is completed under a temporary name and then renamed, so that an empty or incomplete
//! `allocations.redb` is always a damaged one, never mistaken for new.
//!
//! An existing file is first opened on an [`Overlay`] and compared with the version file, so that a refused
//! file stays unchanged.

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
    table::{self, ALLOCATIONS, META, SCHEMA, SCHEMA_KEY, VERSION_KEY},
    version_file::{self, VersionFile, VersionRecord},
};
use crate::{LedgerOrigin, OlderLedger, OpenError};
use nadmit_allocation::Version;

/// Name of the ledger file in the data directory.
pub(super) const FILE_NAME: &str = "allocations.redb";
/// Size of the cache, in bytes; holds about 200,000 records.
const CACHE_BYTES: usize = 64 << 20;

/// An open ledger with its companion files.
#[derive(Debug)]
pub(super) struct OpenedLedger {
    pub(super) database: Database,
    pub(super) last: Version,
    pub(super) origin: LedgerOrigin,
    /// Files that are checked and written with each commit; `None` if the ledger is read-only.
    pub(super) commit_files: Option<CommitFiles>,
}

/// Files that are checked and written with each commit; `None` if the ledger is read-only.
#[derive(Debug)]
pub(super) struct CommitFiles {
    pub(super) opened: Arc<OpenedFile>,
    pub(super) version_file: VersionFile,
}

/// Opens the file in `directory`, creating both if they do not exist. Reads the whole file, so that any
/// corruption is found here.
///
/// # Errors
/// [`OpenError`]; an existing file was left unchanged.
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
            commit_files: None,
        }),
        (error, _) => {
            // The database holds the lock.
            drop(database);
            let origin = origin(is_new, found, &recorded, error.as_ref());
            open_to_write(directory, &path, origin)
        }
    }
}

fn read_version_file(directory: &Path) -> Result<VersionRecord, OpenError> {
    let path = directory.join(version_file::FILE_NAME);
    match version_file::read(&path) {
        // An error of the directory is reported when the directory is used.
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => Ok(VersionRecord::Absent),
        read => read.map_err(|source| OpenError::File { path, source }),
    }
}

/// Creates a ledger, unless the version file shows that one was lost.
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

/// Returns the error of a ledger, last written at version `found`, that lacks acknowledged writes or may
/// lack some.
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

/// Returns the origin of a ledger that may be used; `error` is the accepted reason against it.
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

/// Opens a file for reading and writing.
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
        // Versions continue after the acknowledged one, so that none is used twice.
        raise_version(&database, Version(known))
            .map_err(|error| damaged(path, error.to_string()))?;
    }
    let last = last_version(path, &database)?;
    let version_path = directory.join(version_file::FILE_NAME);
    // Before anything is read from it: whatever is read counts as acknowledged.
    let version_file =
        VersionFile::open(&version_path, last).map_err(|source| OpenError::File {
            path: version_path,
            source,
        })?;
    Ok(OpenedLedger {
        database,
        last,
        origin,
        commit_files: Some(CommitFiles {
            opened: Arc::new(opened),
            version_file,
        }),
    })
}

/// Raises the version of the last write to `known`, unless it is newer.
fn raise_version(database: &Database, known: Version) -> Result<(), redb::Error> {
    if table::newest(database)? >= known {
        return Ok(());
    }
    let transaction = database.begin_write()?;
    transaction.open_table(META)?.insert(VERSION_KEY, known.0)?;
    Ok(transaction.commit()?)
}

fn last_version(path: &Path, database: &Database) -> Result<Version, OpenError> {
    table::newest(database).map_err(|error| damaged(path, error.to_string()))
}

/// A ledger opened on an overlay.
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

/// Opens an existing file.
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

/// Opens a file, turning panics into errors: redb checks every page, but may still panic on some.
fn catch_panics<T>(
    path: &Path,
    open: impl FnOnce() -> Result<T, OpenError>,
) -> Result<T, OpenError> {
    catch_unwind(AssertUnwindSafe(open))
        .unwrap_or_else(|panic| Err(damaged(path, panic_message(panic.as_ref()))))
}

/// Returns the message of a panic.
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
    // Readable only for its owner, and deleted if this fails half-way.
    let new = NamedTempFile::new_in(directory).map_err(no_directory)?;
    initialize(&new, first).map_err(|error| open_error(path, error))?;
    match new.persist_noclobber(path) {
        Ok(_) => {}
        // Another process was faster; opening shows whether its file can be used.
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(no_directory(error.error)),
    }
    // The directory entry must survive a crash, too.
    fs::File::open(directory)
        .and_then(|directory| directory.sync_all())
        .map_err(no_directory)
}

/// Creates an empty ledger whose first write gets the version after `first`.
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

/// Checks that the path is a regular file with content: redb would initialize an empty one and report an
/// I/O error for anything else.
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
                format!("its schema is {found}, which does not exist")
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

/// Returns whether redb reports by this error that the content is corrupt or too short.
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
