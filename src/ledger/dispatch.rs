//! The ledger that was configured.

use super::{
    EmbeddedLedger,
    error::{ReadError, WriteError},
    store::{Cursor, Events, Store},
};
use crate::allocation::{Stored, Version, Write};

/// The ledger that was configured. An enum, so that who uses it needs no type parameter.
#[derive(Debug)]
#[non_exhaustive]
pub enum Ledger {
    /// A file in the data directory.
    Embedded(EmbeddedLedger),
}

impl From<EmbeddedLedger> for Ledger {
    fn from(embedded: EmbeddedLedger) -> Self {
        Self::Embedded(embedded)
    }
}

impl Store for Ledger {
    async fn write(&self, batch: Vec<Write>) -> Result<Vec<Version>, WriteError> {
        match self {
            Self::Embedded(ledger) => ledger.write(batch).await,
        }
    }

    async fn get(&self, record_name: &str) -> Result<Option<Stored>, ReadError> {
        match self {
            Self::Embedded(ledger) => ledger.get(record_name).await,
        }
    }

    async fn list(&self) -> Result<(Vec<Stored>, Cursor), ReadError> {
        match self {
            Self::Embedded(ledger) => ledger.list().await,
        }
    }

    fn follow(&self, from: Cursor) -> Events {
        match self {
            Self::Embedded(ledger) => ledger.follow(from),
        }
    }
}
