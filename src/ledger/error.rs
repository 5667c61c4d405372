//! What can go wrong with a ledger, in words that say what to do.

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use thiserror::Error;

use crate::allocation::Stored;

/// Why a batch was not written, or may not have been.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum WriteError {
    /// A record that was to be created is there already. Nothing was written.
    ///
    /// Its `networkName` may be another than that of the record to create, if the names of the two
    /// collide: compare them before taking this record for one's own.
    #[error(
        "{} of {} is allocated to {} already; take another address",
        .0.allocation.address, .0.allocation.space, .0.allocation.holder
    )]
    Exists(Box<Stored>),
    /// The record does not have the version that was named. Nothing was written.
    #[error(
        "record {name} {}; decide again by what it is now",
        describe_current(current.as_deref())
    )]
    Changed {
        /// The record's name.
        name: String,
        /// The record as it is now; `None` if it is gone.
        current: Option<Box<Stored>>,
    },
    /// It is not known whether the batch was written; if it was, then whole.
    #[error("the batch may or may not have been written: {reason}; repeat it under the same names")]
    Uncertain {
        /// What happened.
        reason: String,
    },
    /// Nothing was written, and others would not be at this time.
    #[error("nothing was written: {reason}")]
    Unavailable {
        /// What happened, and what to do.
        reason: String,
    },
}

/// Why a ledger cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ReadError {
    /// Not at this time.
    #[error("the allocations cannot be read: {reason}")]
    Unavailable {
        /// What happened, and what to do.
        reason: String,
    },
    /// What is stored is no record.
    #[error(
        "record {name} cannot be read: {reason}; stop nadmit, move the file away and import the last export (`nadmit import --accept-older-ledger`)"
    )]
    Damaged {
        /// The record's name.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// Why a follower cannot go on.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FollowError {
    /// The history behind the cursor is not kept any more, or is another ledger's.
    #[error("the history from there on is not known any more: list anew and follow from that list")]
    Expired,
}

/// Why an embedded ledger cannot be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The data directory cannot be used.
    #[error("{}: {source}; make it a directory that nadmit may write to, or choose another with --data-dir", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file cannot be used.
    #[error("{}: {source}; let nadmit read and write it, or choose another directory with --data-dir", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Another process has it.
    #[error(
        "{}: another process uses it; stop that one, ask it through its admin.sock in the same directory, or choose another directory with --data-dir",
        path.display()
    )]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// A later nadmit wrote it.
    #[error(
        "{}: its schema is {found}, this nadmit knows {known}; use the nadmit that wrote it, or export there and import here",
        path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its schema.
        found: u64,
        /// The newest that this nadmit knows.
        known: u64,
    },
    /// The file is not as it was written.
    #[error(
        "{}: damaged: {reason}; it was left as it is: restore it from a copy, or move it away and import the last export (`nadmit import --accept-older-ledger`)",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// What was acknowledged is not in it.
    #[error(
        "{}: older than what was acknowledged: it is at version {found}, and version {known} was acknowledged, so addresses that it does not know may be in use; it is a copy of before, or its newest commit cannot be read, and it was left as it is: put the newest file back, or start once with --accept-older-ledger, which adopts what pods carry before anything is given",
        path.display()
    )]
    Older {
        /// The file.
        path: PathBuf,
        /// The version of its last write.
        found: u64,
        /// The last version that was acknowledged.
        known: u64,
    },
    /// There is none where one was.
    #[error(
        "{}: missing, though its version {known} was acknowledged, so addresses that nothing records may be in use: put the file back, or start once with --accept-older-ledger, which adopts what pods carry before anything is given",
        path.display()
    )]
    Missing {
        /// The file.
        path: PathBuf,
        /// The last version that was acknowledged.
        known: u64,
    },
    /// The version file says nothing.
    #[error(
        "{}: damaged: {reason}, so whether the ledger beside it is the newest is not known: put the newest files back, or start once with --accept-older-ledger, which adopts what pods carry before anything is given",
        path.display()
    )]
    VersionFile {
        /// The version file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

/// Why nothing can be recorded at this time.
#[derive(Debug, Clone, Error)]
pub enum NotWritable {
    /// The last write failed, or the next one would.
    #[error("{reason}")]
    Refused {
        /// What happened, and what to do.
        reason: String,
    },
    /// The directory takes no file.
    #[error("{}: {source}; make room there, and let nadmit write to it", path.display())]
    Disk {
        /// The directory.
        path: PathBuf,
        /// What the system says.
        source: Arc<io::Error>,
    },
    /// The disk does not answer.
    #[error("the disk has not answered for more than {} s", waited.as_secs())]
    Slow {
        /// For how long.
        waited: Duration,
    },
}

/// Why an export ended.
#[derive(Debug, Error)]
pub enum ExportError {
    /// The allocations cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The export cannot be written; what was written of it is not whole.
    #[error("the export cannot be written: {0}; what is there of it is not whole")]
    Write(#[source] io::Error),
}

/// Why an import was refused. Nothing of it was written, unless it says that this is not known, or how
/// much was.
#[derive(Debug, Error)]
pub enum ImportError {
    /// The input cannot be read.
    #[error("line {line}: {source}; nothing was imported")]
    Read {
        /// The line, from 1.
        line: u64,
        /// What the system says.
        source: io::Error,
    },
    /// A line is not what it has to be.
    #[error("line {line}: {reason}; nothing was imported")]
    Line {
        /// The line, from 1.
        line: u64,
        /// What is wrong, and what is expected.
        reason: String,
    },
    /// A later nadmit wrote it.
    #[error(
        "line 1: the export's schema is {found}, this nadmit knows {known}; import it with the nadmit that wrote it; nothing was imported"
    )]
    Newer {
        /// The export's schema.
        found: u64,
        /// The newest that this nadmit knows.
        known: u64,
    },
    /// Two lines are of one record.
    #[error(
        "line {line}: {name} was on line {first} already; remove one of them; nothing was imported"
    )]
    Twice {
        /// The later line.
        line: u64,
        /// The earlier one.
        first: u64,
        /// The record's name.
        name: String,
    },
    /// The ledger has a record of that name.
    #[error("line {line}: {error}, or import into an empty data directory; nothing was imported")]
    Exists {
        /// The line, from 1.
        line: u64,
        /// The record that is there.
        error: WriteError,
    },
    /// The export is not whole.
    #[error(
        "the first line promises {promised} records, {found} are there: the export was cut off or edited; nothing was imported"
    )]
    Incomplete {
        /// What the header says.
        promised: u64,
        /// The lines that are there.
        found: u64,
    },
    /// The ledger did not take it.
    #[error(transparent)]
    Write(WriteError),
    /// The ledger takes records one by one, and did not take this one.
    #[error(
        "line {line}: {error}; {imported} records of the export are there now: import it again when that is mended"
    )]
    Partly {
        /// The line, from 1.
        line: u64,
        /// Why not.
        error: WriteError,
        /// How many records were created, or were there already as the export has them.
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
