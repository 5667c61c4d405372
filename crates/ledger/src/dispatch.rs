//! The configured ledger.

use std::io;

use super::{
    ClusterLedger, EmbeddedLedger,
    error::{ExportError, ImportError, NotWritable, ReadError, WriteError},
    store::{Cursor, LedgerEvents, Store},
};
use nadmit_allocation::{Stored, Version, Write};

/// The configured ledger. An enum, so that its users need no type parameter.
#[derive(Debug)]
#[non_exhaustive]
#[allow(clippy::large_enum_variant)] // One per process.
pub enum Ledger {
    /// A file in the data directory.
    Embedded(EmbeddedLedger),
    /// AddressAllocation objects of a cluster.
    Cluster(ClusterLedger),
}

impl From<EmbeddedLedger> for Ledger {
    fn from(embedded: EmbeddedLedger) -> Self {
        Self::Embedded(embedded)
    }
}

impl From<ClusterLedger> for Ledger {
    fn from(cluster: ClusterLedger) -> Self {
        Self::Cluster(cluster)
    }
}

impl Ledger {
    /// Writes a consistent snapshot of all allocations as JSON Lines; see [`EmbeddedLedger::export`] and
    /// [`ClusterLedger::export`]. Blocks.
    ///
    /// # Errors
    /// [`ExportError`]; the output is then incomplete.
    pub fn export(&self, out: impl io::Write) -> Result<u64, ExportError> {
        match self {
            Self::Embedded(ledger) => ledger.export(out),
            Self::Cluster(ledger) => ledger.export(out),
        }
    }

    /// Creates the records of an export: atomically in a file, see [`EmbeddedLedger::import`]; one by one
    /// in a cluster, see [`ClusterLedger::import`].
    ///
    /// # Errors
    /// [`ImportError`], with the line.
    pub async fn import(
        &self,
        input: impl io::BufRead + Send + 'static,
    ) -> Result<u64, ImportError> {
        match self {
            Self::Embedded(ledger) => ledger.import(input).await,
            Self::Cluster(ledger) => ledger.import(input).await,
        }
    }
}

impl Ledger {
    /// Checks whether allocations can be recorded; see [`EmbeddedLedger::writable`]. Always succeeds for a
    /// cluster, where only a write shows it.
    ///
    /// # Errors
    /// [`NotWritable`].
    pub async fn writable(&self) -> Result<(), NotWritable> {
        match self {
            Self::Embedded(ledger) => ledger.writable().await,
            Self::Cluster(_) => Ok(()),
        }
    }
}

impl Store for Ledger {
    async fn write(&self, batch: Vec<Write>) -> Result<Vec<Version>, WriteError> {
        match self {
            Self::Embedded(ledger) => ledger.write(batch).await,
            Self::Cluster(ledger) => ledger.write(batch).await,
        }
    }

    async fn get(&self, record_name: &str) -> Result<Option<Stored>, ReadError> {
        match self {
            Self::Embedded(ledger) => ledger.get(record_name).await,
            Self::Cluster(ledger) => ledger.get(record_name).await,
        }
    }

    async fn list(&self) -> Result<(Vec<Stored>, Cursor), ReadError> {
        match self {
            Self::Embedded(ledger) => ledger.list().await,
            Self::Cluster(ledger) => ledger.list().await,
        }
    }

    fn follow(&self, from: Cursor) -> LedgerEvents {
        match self {
            Self::Embedded(ledger) => ledger.follow(from),
            Self::Cluster(ledger) => ledger.follow(from),
        }
    }
}
