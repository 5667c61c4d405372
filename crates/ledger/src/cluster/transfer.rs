//! Export and import in the format of the embedded ledger, so that records can be moved between a file and
//! a cluster.

use std::{io, thread};

use futures_util::future::join_all;

use super::ClusterLedger;
use crate::{
    ExportError, ImportError, ReadError, Store as _, WriteError,
    embedded::{parse_export, write_export},
};
use nadmit_allocation::{Allocation, Write};

/// Number of records that are created concurrently.
const CONCURRENCY: usize = 32;
/// Number of the first record's line, after the header.
const FIRST_RECORD_LINE: u64 = 2;

impl ClusterLedger {
    /// Writes a consistent snapshot of all allocations as JSON Lines, a header first, and returns their
    /// number. Blocks: do not call it on a runtime's threads.
    ///
    /// # Errors
    /// [`ExportError`]; the output is then incomplete.
    pub fn export(&self, out: impl io::Write) -> Result<u64, ExportError> {
        let unavailable = |reason: String| {
            let reason = format!("{reason}; try again");
            ExportError::Read(ReadError::Unavailable { reason })
        };
        // A separate runtime, because the caller may be blocking its own.
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

    /// Creates the records of an export and returns their number. Records that already exist with the
    /// exported content count, so an import may be repeated. All lines are read into memory first.
    ///
    /// Not atomic: the API server has no transactions. Records that were created before an error stay.
    ///
    /// # Errors
    /// [`ImportError`] with the line; [`ImportError::Partly`] has the number of imported records.
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
