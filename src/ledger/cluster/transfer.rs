//! Export and import, in the format of the embedded ledger's: so records go from a file into a
//! cluster and back.

use std::{io, thread};

use futures_util::future::join_all;

use super::ClusterLedger;
use crate::{
    allocation::{Allocation, Write},
    ledger::{
        ExportError, ImportError, ReadError, Store as _, WriteError,
        embedded::{parse_export, write_export},
    },
};

/// How many records are created side by side.
const CONCURRENCY: usize = 32;
/// The line of the first record; the header is before it.
const FIRST_RECORD_LINE: u64 = 2;

impl ClusterLedger {
    /// Writes all allocations of one moment as JSON Lines, a header first, and returns how many.
    /// Blocks: not for a runtime's own threads.
    ///
    /// # Errors
    /// [`ExportError`]; what was written until then is not whole.
    pub fn export(&self, out: impl io::Write) -> Result<u64, ExportError> {
        let unavailable = |reason: String| {
            let reason = format!("{reason}; try again");
            ExportError::Read(ReadError::Unavailable { reason })
        };
        // A runtime of its own, for the caller's may be the one that waits here.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| unavailable(error.to_string()))?;
        let listed = thread::scope(|scope| {
            scope
                .spawn(|| runtime.block_on(self.list()))
                .join()
                .map_err(|_| unavailable("the list broke off".to_owned()))
        })?;
        let (records, _) = listed?;
        let records: Vec<Allocation> = records.into_iter().map(|one| one.allocation).collect();
        write_export(out, &records)
    }

    /// Creates the records of an export, and returns how many. Records that are there already as the
    /// export has them count, so that an import may be repeated. They are held in memory until all
    /// are read.
    ///
    /// Not all or none: the API server knows no transactions. What was created before an error stays.
    ///
    /// # Errors
    /// [`ImportError`], with the line; [`ImportError::Partly`] says how much was imported.
    pub async fn import(
        &self,
        input: impl io::BufRead + Send + 'static,
    ) -> Result<u64, ImportError> {
        let parsed = tokio::task::spawn_blocking(move || parse_export(input)).await;
        let allocations = parsed.unwrap_or_else(|error| {
            let reason = format!("{error}; try again");
            Err(ImportError::Write(WriteError::Unavailable { reason }))
        })?;
        let (mut imported, mut line) = (0, FIRST_RECORD_LINE);
        for part in allocations.chunks(CONCURRENCY) {
            let writes = part.iter().cloned().map(Write::Create);
            let outcomes = join_all(writes.map(|write| self.write(vec![write]))).await;
            let mut failed = None;
            for outcome in outcomes {
                match outcome {
                    Ok(_) => imported += 1,
                    Err(error) => failed = failed.or(Some((line, error))),
                }
                line += 1;
            }
            if let Some((line, error)) = failed {
                return Err(ImportError::Partly {
                    line,
                    error,
                    imported,
                });
            }
        }
        Ok(imported)
    }
}
