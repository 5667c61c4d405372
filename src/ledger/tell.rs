//! What the outcome of a write tells an index.

use super::error::WriteError;
use crate::allocation::{Index, Stored, Version, Write};

/// Makes the index know of each record what the outcome of writing these says of it. What is not
/// known, or could not be written, says nothing.
pub fn tell(index: &mut Index, writes: &[Write], outcome: &Result<Vec<Version>, WriteError>) {
    match outcome {
        Ok(versions) => {
            for (write, version) in writes.iter().zip(versions) {
                written(index, write, *version);
            }
        }
        Err(WriteError::Exists(theirs)) => index.apply((**theirs).clone()),
        Err(WriteError::Changed {
            current: Some(current),
            ..
        }) => index.apply((**current).clone()),
        Err(WriteError::Changed {
            name,
            current: None,
        }) => {
            let mut records = writes.iter().map(Write::allocation);
            if let Some(gone) = records.find(|record| record.record_name() == *name) {
                index.forget(&gone.space, gone.address);
            }
        }
        Err(WriteError::Uncertain { .. } | WriteError::Unavailable { .. }) => {}
    }
}

fn written(index: &mut Index, write: &Write, version: Version) {
    match write {
        Write::Create(record) | Write::Update(record, _) => index.apply(Stored {
            allocation: record.clone(),
            version,
        }),
        Write::Delete(record, _) => index.apply_gone(&record.space, record.address, version),
    }
}
