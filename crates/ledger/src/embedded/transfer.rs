//! Export and import as JSON Lines, for other tools, machines and versions.
//!
//! The first line is a header, `{"kind":"nadmit.io/allocations","schema":1,"records":2}`; every further
//! line is an allocation. Versions are not exported: an import assigns new ones.

use std::{
    cell::RefCell,
    collections::HashMap,
    io::{self, BufRead, BufWriter, Read as _, Write as _},
};

use serde::{Deserialize, Serialize};

use super::{EmbeddedLedger, shared::closed_message, table::SCHEMA};
use crate::{ExportError, ImportError, WriteError};
use nadmit_allocation::{Allocation, Write};

/// Value of `kind` in the header.
const KIND: &str = "nadmit.io/allocations";
/// Longest accepted line, in bytes; records are much shorter.
const MAX_LINE_BYTES: u64 = 64 << 10;

#[derive(Debug, Serialize, Deserialize)]
struct ExportHeader {
    kind: String,
    schema: u64,
    /// Number of lines that follow, so that a truncated export is detected.
    records: u64,
}

impl EmbeddedLedger {
    /// Writes a consistent snapshot of all allocations as JSON Lines, a header first, and returns their
    /// number. Does not block writes. Blocks the caller: do not call it on a runtime's threads.
    ///
    /// # Errors
    /// [`ExportError`]; the output is then incomplete.
    pub fn export(&self, out: impl io::Write) -> Result<u64, ExportError> {
        // Both closures write, one after the other.
        let out = RefCell::new(BufWriter::new(out));
        let mut count = 0;
        self.shared.scan(
            |records, _| {
                let header = ExportHeader {
                    kind: KIND.to_owned(),
                    schema: SCHEMA,
                    records,
                };
                write_line(&mut *out.borrow_mut(), &header)
            },
            |stored| {
                count += 1;
                write_line(&mut *out.borrow_mut(), &stored.allocation)
            },
        )?;
        out.into_inner().flush().map_err(ExportError::Write)?;
        Ok(count)
    }

    /// Creates the records of an export, all or none, and returns their number. All lines are read into
    /// memory first. As with a write, dropping the future does not revert anything.
    ///
    /// # Errors
    /// [`ImportError`] with the line. Nothing was imported, unless it is [`WriteError::Uncertain`].
    pub async fn import(&self, input: impl BufRead + Send + 'static) -> Result<u64, ImportError> {
        let allocations = tokio::task::spawn_blocking(move || parse_export(input))
            .await
            .unwrap_or_else(|_| {
                Err(ImportError::Write(WriteError::Unavailable {
                    reason: closed_message(),
                }))
            })?;
        let count = allocations.len() as u64;
        let batch = allocations.into_iter().map(Write::Create).collect();
        let refused = match self.submit(batch).await {
            Ok(_) => return Ok(count),
            Err(refused) => refused,
        };
        Err(match refused.error {
            error @ WriteError::Exists(_) => ImportError::Exists {
                // The header is the first line.
                line: refused.index as u64 + 2,
                error,
            },
            error => ImportError::Write(error),
        })
    }
}

/// Writes an export of these records and returns their number.
///
/// # Errors
/// When they cannot be written.
pub(crate) fn write_export(
    out: impl io::Write,
    records: &[Allocation],
) -> Result<u64, ExportError> {
    let mut out = BufWriter::new(out);
    let header = ExportHeader {
        kind: KIND.to_owned(),
        schema: SCHEMA,
        records: records.len() as u64,
    };
    write_line(&mut out, &header)?;
    for record in records {
        write_line(&mut out, record)?;
    }
    out.flush().map_err(ExportError::Write)?;
    Ok(records.len() as u64)
}

fn write_line(out: &mut impl io::Write, value: &impl Serialize) -> Result<(), ExportError> {
    serde_json::to_writer(&mut *out, value).map_err(|error| ExportError::Write(error.into()))?;
    out.write_all(b"\n").map_err(ExportError::Write)
}

/// Parses the allocations of an export.
///
/// # Errors
/// [`ImportError`] with the line.
pub(crate) fn parse_export(mut input: impl BufRead) -> Result<Vec<Allocation>, ImportError> {
    let header = read_header(&mut input)?;
    let mut allocations = Vec::new();
    let mut lines = HashMap::new();
    let mut number = 1;
    while let Some(text) = read_line(&mut input, number + 1)? {
        number += 1;
        let allocation: Allocation =
            serde_json::from_slice(&text).map_err(|error| ImportError::Line {
                line: number,
                reason: format!("no allocation: {error}"),
            })?;
        let name = allocation.record_name();
        if let Some(first) = lines.insert(name.clone(), number) {
            return Err(ImportError::Twice {
                line: number,
                first,
                name,
            });
        }
        allocations.push(allocation);
    }
    let found = number - 1;
    if found != header.records {
        return Err(ImportError::Incomplete {
            promised: header.records,
            found,
        });
    }
    Ok(allocations)
}

fn read_header(input: &mut impl BufRead) -> Result<ExportHeader, ImportError> {
    let text = read_line(input, 1)?.unwrap_or_default();
    let refused = |reason: String| ImportError::Line {
        line: 1,
        reason: format!("no header of an export, which has the kind {KIND:?}: {reason}"),
    };
    let header: ExportHeader =
        serde_json::from_slice(&text).map_err(|error| refused(error.to_string()))?;
    if header.kind != KIND {
        return Err(refused(format!("its kind is {:?}", header.kind)));
    }
    match header.schema {
        SCHEMA => Ok(header),
        found if found > SCHEMA => Err(ImportError::Newer {
            found,
            known: SCHEMA,
        }),
        found => Err(refused(format!("its schema is {found}"))),
    }
}

/// Reads the next line without its line ending; `None` at the end of the input.
fn read_line(input: &mut impl BufRead, number: u64) -> Result<Option<Vec<u8>>, ImportError> {
    let mut text = Vec::new();
    let read = input
        .by_ref()
        .take(MAX_LINE_BYTES)
        .read_until(b'\n', &mut text)
        .map_err(|source| ImportError::Read {
            line: number,
            source,
        })?;
    if read == 0 {
        return Ok(None);
    }
    if text.last() == Some(&b'\n') {
        text.pop();
    } else if read as u64 == MAX_LINE_BYTES {
        return Err(ImportError::Line {
            line: number,
            reason: format!("longer than {MAX_LINE_BYTES} bytes, which no allocation is"),
        });
    }
    Ok(Some(text))
}
