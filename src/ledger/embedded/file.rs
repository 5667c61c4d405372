//! The file: made, opened, locked, and refused with words.
//!
//! A new file is made whole under another name and put in its place at once, so that an empty or a
//! half-made `allocations.redb` is always a damaged one, never mistaken for new.

use std::{
    any::Any,
    fs, io,
    os::unix::fs::DirBuilderExt as _,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

use redb::{
    Builder, Database, DatabaseError, ReadableDatabase as _, StorageError, backends::FileBackend,
};
use tempfile::NamedTempFile;

use super::table::{ALLOCATIONS, META, SCHEMA, SCHEMA_KEY, VERSION_KEY};
use crate::ledger::OpenError;

/// Its name in the data directory.
pub(super) const FILE_NAME: &str = "allocations.redb";
/// How much of the file is kept in memory, in bytes: some 200,000 records.
const CACHE: usize = 64 << 20;

/// Opens the file in `directory`, making both where they are not there yet. Reads all of it: whatever
/// is not as it was written is found here.
///
/// # Errors
/// [`OpenError`]; a file that is there was left as it is.
pub(super) fn open(directory: &Path) -> Result<Database, OpenError> {
    let path = directory.join(FILE_NAME);
    match fs::symlink_metadata(&path) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => create(directory, &path)?,
        Err(source) => return Err(OpenError::File { path, source }),
    }
    open_existing(&path)
}

/// Opens a file that is there.
///
/// # Errors
/// [`OpenError`].
pub(super) fn open_existing(path: &Path) -> Result<Database, OpenError> {
    refuse_what_is_no_ledger(path)?;
    // The library checks every page, but on some it may still panic.
    catch_unwind(AssertUnwindSafe(|| {
        let database = builder()
            .set_check_integrity_on_open(true)
            .open(path)
            .map_err(|error| in_words(path, error))?;
        check_schema(path, &database)?;
        Ok(database)
    }))
    .unwrap_or_else(|panic| Err(damaged(path, panic_text(panic.as_ref()))))
}

/// What a panic says.
pub(super) fn panic_text(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_else(|| "it cannot be read".to_owned())
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE);
    builder
}

fn create(directory: &Path, path: &Path) -> Result<(), OpenError> {
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
    fill(&new).map_err(|error| in_words(path, error))?;
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

/// Makes a ledger without records.
fn fill(file: &NamedTempFile) -> Result<(), DatabaseError> {
    let database = builder().create_with_backend(FileBackend::new(file.reopen()?)?)?;
    let filled: Result<(), redb::Error> = (|| {
        let transaction = database.begin_write()?;
        {
            transaction.open_table(ALLOCATIONS)?;
            let mut meta = transaction.open_table(META)?;
            meta.insert(SCHEMA_KEY, SCHEMA)?;
            meta.insert(VERSION_KEY, 0)?;
        }
        Ok(transaction.commit()?)
    })();
    filled.map_err(|error| DatabaseError::Storage(StorageError::Io(io::Error::other(error))))?;
    database.close()
}

/// An empty file would be taken for a new one, anything else that is no file for an I/O error.
fn refuse_what_is_no_ledger(path: &Path) -> Result<(), OpenError> {
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

fn in_words(path: &Path, error: DatabaseError) -> OpenError {
    let path: PathBuf = path.to_owned();
    match error {
        DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch => {
            OpenError::InUse { path }
        }
        DatabaseError::Storage(StorageError::Io(source)) if !is_of_content(&source) => {
            OpenError::File { path, source }
        }
        DatabaseError::Storage(StorageError::Io(source)) => damaged(&path, source.to_string()),
        other => damaged(&path, other.to_string()),
    }
}

/// Whether the library says by this error that the content is wrong, or too short.
fn is_of_content(error: &io::Error) -> bool {
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
