//! A storage backend that keeps writes in memory and leaves the file unchanged.
//!
//! Opening a ledger after a crash repairs it and may revert its newest commit. That is tried on an overlay
//! first, so that a refused file stays unchanged.

use std::{
    collections::BTreeMap,
    fs::File,
    io,
    ops::Bound,
    sync::{Mutex, MutexGuard, PoisonError},
};

use redb::{BackendError, StorageBackend, backends::FileBackend};

const BLOCK_BYTES: u64 = 4096;

/// A file opened for reading, with its locks, and the blocks written over it.
#[derive(Debug)]
pub(super) struct Overlay {
    file: FileBackend,
    state: Mutex<OverlayState>,
}

#[derive(Debug)]
struct OverlayState {
    len: u64,
    /// Length of the part of the file that is visible.
    file_len: u64,
    blocks: BTreeMap<u64, Vec<u8>>,
}

impl Overlay {
    /// Creates an overlay on a file.
    ///
    /// # Errors
    /// The operating system's, or redb's.
    pub(super) fn new(file: File) -> Result<Self, redb::DatabaseError> {
        let len = file.metadata()?.len();
        Ok(Self {
            file: FileBackend::new(file)?,
            state: Mutex::new(OverlayState {
                len,
                file_len: len,
                blocks: BTreeMap::new(),
            }),
        })
    }

    fn lock(&self) -> MutexGuard<'_, OverlayState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the current content of a block.
    fn block(&self, state: &OverlayState, number: u64) -> io::Result<Vec<u8>> {
        if let Some(block) = state.blocks.get(&number) {
            return Ok(block.clone());
        }
        let start = number * BLOCK_BYTES;
        let mut block = vec![0; BLOCK_BYTES as usize];
        let there = state.file_len.saturating_sub(start).min(BLOCK_BYTES) as usize;
        self.file.read(start, &mut block[..there])?;
        Ok(block)
    }
}

/// Splits `len` bytes from `offset` by blocks: for each part the block number, the offset in the block, and
/// the range of the bytes.
fn block_parts(
    offset: u64,
    len: usize,
) -> impl Iterator<Item = (u64, usize, std::ops::Range<usize>)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        if done >= len {
            return None;
        }
        let at = offset + done as u64;
        let inside = (at % BLOCK_BYTES) as usize;
        let count = (BLOCK_BYTES as usize - inside).min(len - done);
        let range = done..done + count;
        done += count;
        Some((at / BLOCK_BYTES, inside, range))
    })
}

impl StorageBackend for Overlay {
    fn len(&self) -> io::Result<u64> {
        Ok(self.lock().len)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.lock();
        let end = offset.checked_add(out.len() as u64);
        if end.is_none_or(|end| end > state.len) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        for (number, inside, range) in block_parts(offset, out.len()) {
            let count = range.len();
            let block = self.block(&state, number)?;
            out[range].copy_from_slice(&block[inside..inside + count]);
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.lock();
        state.len = len;
        state.file_len = state.file_len.min(len);
        let _ = state.blocks.split_off(&len.div_ceil(BLOCK_BYTES));
        if let Some(last) = state.blocks.get_mut(&(len / BLOCK_BYTES)) {
            last[(len % BLOCK_BYTES) as usize..].fill(0);
        }
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.lock();
        for (number, inside, range) in block_parts(offset, data.len()) {
            let mut block = self.block(&state, number)?;
            block[inside..inside + range.len()].copy_from_slice(&data[range]);
            state.blocks.insert(number, block);
        }
        state.len = state.len.max(offset + data.len() as u64);
        Ok(())
    }

    fn close(&self) -> io::Result<()> {
        self.file.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.try_lock_range(start, end)
    }

    fn try_lock_shared_range(
        &self,
        start: Bound<u64>,
        end: Bound<u64>,
    ) -> Result<bool, BackendError> {
        self.file.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.query_lock_range(start, end)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn all(overlay: &Overlay) -> Vec<u8> {
        let mut out = vec![0; usize::try_from(overlay.len().unwrap()).unwrap()];
        overlay.read(0, &mut out).unwrap();
        out
    }

    #[test]
    fn it_reads_as_written_and_the_file_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let content: Vec<u8> = (0..10_000_u32).map(|number| number as u8).collect();
        fs::write(&path, &content).unwrap();
        let file = File::options().read(true).write(true).open(&path).unwrap();
        let overlay = Overlay::new(file).unwrap();
        let mut expected = content.clone();
        assert_eq!(all(&overlay), expected);
        overlay.write(4000, &[1; 5000]).unwrap();
        expected[4000..9000].fill(1);
        assert_eq!(all(&overlay), expected);
        overlay.set_len(4100).unwrap();
        overlay.set_len(12_000).unwrap();
        expected.truncate(4100);
        expected.resize(12_000, 0);
        assert_eq!(all(&overlay), expected);
        let mut beyond = [0; 2];
        assert!(overlay.read(11_999, &mut beyond).is_err());
        assert_eq!(fs::read(&path).unwrap(), content);
    }
}
