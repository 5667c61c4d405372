//! Tables of the file and the encoding of records.
//!
//! `allocations`: record name to version (8 bytes, big-endian) and allocation as JSON, in the form of
//! exports. `meta`: the schema, and the version of the last write.

use redb::{Database, ReadableDatabase as _, ReadableTable, StorageError, TableDefinition};

use crate::ReadError;
use nadmit_allocation::{Stored, Version};

/// Maps record names to version and allocation.
pub(super) const ALLOCATIONS: TableDefinition<'static, &str, &[u8]> =
    TableDefinition::new("allocations");
/// Holds [`SCHEMA_KEY`] and [`VERSION_KEY`].
pub(super) const META: TableDefinition<'static, &str, u64> = TableDefinition::new("meta");

/// Key of the schema in [`META`].
pub(super) const SCHEMA_KEY: &str = "schema";
/// Key of the last write's version in [`META`].
pub(super) const VERSION_KEY: &str = "version";

/// Schema that this nadmit writes, and the newest that it reads.
pub(super) const SCHEMA: u64 = 1;

#[derive(Debug)]
pub(super) enum LookupError {
    /// The file cannot be read.
    Storage(StorageError),
    /// The record cannot be decoded.
    Damaged(ReadError),
}

/// Encodes a record.
pub(super) fn encode(stored: &Stored) -> Vec<u8> {
    let mut bytes = stored.version.0.to_be_bytes().to_vec();
    // Writing strings and numbers to memory cannot fail.
    let _ = serde_json::to_writer(&mut bytes, &stored.allocation);
    bytes
}

/// Decodes the record of this name.
///
/// # Errors
/// [`ReadError::Damaged`] if the bytes are not a record, or a record of another name.
pub(super) fn decode(name: &str, bytes: &[u8]) -> Result<Stored, ReadError> {
    let damaged = |reason: String| ReadError::Damaged {
        name: name.to_owned(),
        reason,
    };
    let (version, json) = bytes
        .split_first_chunk::<8>()
        .ok_or_else(|| damaged("it is too short".to_owned()))?;
    let stored = Stored {
        allocation: serde_json::from_slice(json).map_err(|error| damaged(error.to_string()))?,
        version: Version(u64::from_be_bytes(*version)),
    };
    let found = stored.allocation.record_name();
    if found != name {
        return Err(damaged(format!("it holds that of {found}")));
    }
    Ok(stored)
}

/// Reads the record of this name from a table.
///
/// # Errors
/// [`LookupError`] if it cannot be read.
pub(super) fn lookup(
    table: &impl ReadableTable<&'static str, &'static [u8]>,
    name: &str,
) -> Result<Option<Stored>, LookupError> {
    match table.get(name).map_err(LookupError::Storage)? {
        Some(bytes) => decode(name, bytes.value())
            .map(Some)
            .map_err(LookupError::Damaged),
        None => Ok(None),
    }
}

/// Reads the version of the last write.
///
/// # Errors
/// redb's error if it cannot be read.
pub(super) fn last_version(
    meta: &impl ReadableTable<&'static str, u64>,
) -> Result<Version, StorageError> {
    let version = meta.get(VERSION_KEY)?;
    Ok(Version(version.map_or(0, |version| version.value())))
}

/// Version of the last committed write.
///
/// # Errors
/// [`redb::Error`] if it cannot be read.
pub(super) fn newest(database: &Database) -> Result<Version, redb::Error> {
    let transaction = database.begin_read()?;
    Ok(last_version(&transaction.open_table(META)?)?)
}
