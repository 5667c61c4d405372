//! Errors of ledgers. Every message says what to do.

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use thiserror::Error;

use nadmit_allocation::Stored;

/// Error of a write: the batch was not written, or may not have been.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum WriteError {
    /// A record to create exists already. Nothing was written.
    ///
    /// Record names can collide: compare the `networkName` before taking this record for the caller's own.
    #[error(
        "{} of {} is allocated to {} already; take another address",
        .0.allocation.address, .0.allocation.space, .0.allocation.holder
    )]
    Exists(Box<Stored>),
    /// The record does not have the expected version. Nothing was written.
    #[error(
        "record {name} {}; decide again by what it is now",
        describe_current(current.as_deref())
    )]
    Changed {
        /// Name of the record.
        name: String,
        /// Current content of the record; `None` if it was deleted.
        current: Option<Box<Stored>>,
    },
    /// It is unknown whether the batch was written. If it was, all of it was.
    #[error("the batch may or may not have been written: {reason}; repeat it under the same names")]
    Uncertain {
        /// Cause.
        reason: String,
    },
    /// Nothing was written, and other writes would fail now, too.
    #[error("nothing was written: {reason}")]
    Unavailable {
        /// Cause and remedy.
        reason: String,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ReadError {
    /// The ledger cannot be read now.
    #[error("the allocations cannot be read: {reason}")]
    Unavailable {
        /// Cause and remedy.
        reason: String,
    },
    /// The stored data is not a valid record.
    #[error(
        "record {name} cannot be read: {reason}; stop nadmit, move the file away and import the last export (`nadmit import --accept-older-ledger`)"
    )]
    Damaged {
        /// Name of the record.
        name: String,
        /// Damage that was found.
        reason: String,
    },
}

/// Error that ends a stream of events.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FollowError {
    /// The history after the cursor is no longer kept, or the cursor belongs to another ledger.
    #[error(
        "the ledger does not have the history after the cursor any more: list again and follow from the new list"
    )]
    Expired,
}

/// Error when an embedded ledger is opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The data directory cannot be used.
    #[error("{}: {source}; make it a directory that nadmit may write to, or choose another with --data-dir", path.display())]
    Directory {
        /// Path of the directory.
        path: PathBuf,
        /// Error of the operating system.
        source: io::Error,
    },
    /// The file cannot be used.
    #[error("{}: {source}; let nadmit read and write it, or choose another directory with --data-dir", path.display())]
    File {
        /// Path of the ledger file.
        path: PathBuf,
        /// Error of the operating system.
        source: io::Error,
    },
    /// Another process has the file open.
    #[error(
        "{}: another process uses it; stop that one, ask it through its admin.sock in the same directory, or choose another directory with --data-dir",
        path.display()
    )]
    InUse {
        /// Path of the ledger file.
        path: PathBuf,
    },
    /// A later nadmit wrote it.
    #[error(
        "{}: its schema is {found}, this nadmit reads {known}; use the release of nadmit that wrote the file, or export there and import here",
        path.display()
    )]
    Newer {
        /// Path of the ledger file.
        path: PathBuf,
        /// Schema of the file.
        found: u64,
        /// Newest schema that this nadmit supports.
        known: u64,
    },
    /// The file is corrupt.
    #[error(
        "{}: damaged: {reason}; it was left as it is: restore it from a copy, or move it away and import the last export (`nadmit import --accept-older-ledger`)",
        path.display()
    )]
    Damaged {
        /// Path of the ledger file.
        path: PathBuf,
        /// Damage that was found.
        reason: String,
    },
    /// The file lacks acknowledged writes.
    #[error(
        "{}: older than what was acknowledged: it is at version {found}, and version {known} was acknowledged, so addresses that it does not contain may be in use; the file is an old copy, or its newest commit cannot be read (the file was left as it is): restore the newest file, or start once with --accept-older-ledger, which adopts the addresses of pods before nadmit assigns any",
        path.display()
    )]
    Older {
        /// Path of the ledger file.
        path: PathBuf,
        /// The version of its last write.
        found: u64,
        /// The last version that was acknowledged.
        known: u64,
    },
    /// The file is missing although a version was acknowledged.
    #[error(
        "{}: missing, though its version {known} was acknowledged, so addresses without a record may be in use: restore the file, or start once with --accept-older-ledger, which adopts the addresses of pods before nadmit assigns any",
        path.display()
    )]
    Missing {
        /// Path of the ledger file.
        path: PathBuf,
        /// The last version that was acknowledged.
        known: u64,
    },
    /// The version file cannot be read.
    #[error(
        "{}: damaged: {reason}, so nadmit cannot tell whether the allocation file is the newest: restore the newest files, or start once with --accept-older-ledger, which adopts the addresses of pods before nadmit assigns any",
        path.display()
    )]
    VersionFile {
        /// Path of the version file.
        path: PathBuf,
        /// Damage that was found.
        reason: String,
    },
}

/// Reason that nothing can be recorded now.
#[derive(Debug, Clone, Error)]
pub enum NotWritable {
    /// The last write failed, or the next one would.
    #[error("{reason}")]
    Refused {
        /// Cause and remedy.
        reason: String,
    },
    /// No file can be created in the directory.
    #[error("{}: {source}; make room there, and let nadmit write to it", path.display())]
    Disk {
        /// Path of the directory.
        path: PathBuf,
        /// Error of the operating system.
        source: Arc<io::Error>,
    },
    /// The disk does not respond.
    #[error("the disk has not answered for more than {} s", waited.as_secs())]
    Slow {
        /// Time waited.
        waited: Duration,
    },
}

#[derive(Debug, Error)]
pub enum ExportError {
    /// The allocations cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The export cannot be written; the output is incomplete.
    #[error("the export cannot be written: {0}; the part that was written is incomplete")]
    Write(#[source] io::Error),
}

/// Error of an import. Nothing was written unless the variant says otherwise.
#[derive(Debug, Error)]
pub enum ImportError {
    /// The input cannot be read.
    #[error("line {line}: {source}; nothing was imported")]
    Read {
        /// Line number, from 1.
        line: u64,
        /// Error of the operating system.
        source: io::Error,
    },
    /// A line is invalid.
    #[error("line {line}: {reason}; nothing was imported")]
    Line {
        /// Line number, from 1.
        line: u64,
        /// Problem, and the expected form.
        reason: String,
    },
    /// A later nadmit wrote it.
    #[error(
        "line 1: the export's schema is {found}, this nadmit reads {known}; import the export with the release of nadmit that wrote it; nothing was imported"
    )]
    Newer {
        /// Schema of the export.
        found: u64,
        /// Newest schema that this nadmit supports.
        known: u64,
    },
    /// Two lines describe the same record.
    #[error(
        "line {line}: {name} was on line {first} already; remove one of them; nothing was imported"
    )]
    Twice {
        /// Number of the later line.
        line: u64,
        /// Number of the earlier line.
        first: u64,
        /// Name of the record.
        name: String,
    },
    /// The ledger already has a record of that name.
    #[error("line {line}: {error}, or import into an empty data directory; nothing was imported")]
    Exists {
        /// Line number, from 1.
        line: u64,
        /// Error with the existing record.
        error: WriteError,
    },
    /// The number of lines differs from the header's.
    #[error(
        "the first line announces {promised} records, but the export has {found}: it was cut off or edited; nothing was imported"
    )]
    Incomplete {
        /// Number of records in the header.
        promised: u64,
        /// Number of records found.
        found: u64,
    },
    /// The write failed.
    #[error(transparent)]
    Write(WriteError),
    /// Creating this record failed; a cluster's ledger creates the records of an import one by one.
    #[error(
        "line {line}: {error}; {imported} records of the export were imported: import the export again after you fix the cause"
    )]
    Partly {
        /// Line number, from 1.
        line: u64,
        error: WriteError,
        /// Number of records that were created or already existed with the exported content.
        imported: u64,
    },
}

fn describe_current(current: Option<&Stored>) -> String {
    match current {
        None => "is gone".to_owned(),
        Some(stored) => format!(
            "was changed: it has version {} and is held by {}",
            stored.version.0, stored.allocation.holder
        ),
    }
}
