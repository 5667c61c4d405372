//! Handles read and write responses that arrive after the watch has delivered newer revisions.
//!
//! The watch delivers every write in order. Responses to reads and writes arrive independently and may
//! describe a record that has been deleted since. Applying such a stale response would resurrect the
//! record, and no later event would correct it: its address would stay allocated without a record.
//! Responses at or below the observed revision are therefore ignored unless the record is still known.

use super::{Index, entries::IndexEntry};
use crate::{Address, Space, Stored, Version};

impl Index {
    /// Records that the watch has delivered every write up to this version.
    pub fn observe_revision(&mut self, version: Version) {
        self.observed_revision = self.observed_revision.max(version);
    }

    /// Returns the latest known version of a record.
    pub fn version_of(&self, space: &Space, address: Address) -> Option<Version> {
        let recorded = self.entry(space, address).and_then(IndexEntry::recorded);
        recorded.map(|stored| stored.version)
    }

    /// Applies a record from a read or write response, which may be stale.
    pub fn apply_response(&mut self, stored: Stored) {
        let allocation = &stored.allocation;
        let known = self.version_of(&allocation.space, allocation.address);
        if known.is_some() || !self.is_compacted(stored.version) {
            self.apply(stored);
        }
    }

    /// Applies a full list of records as of this version that was read independently of the watch.
    pub fn apply_list_response(&mut self, all: Vec<Stored>, version: Version) {
        self.prune(&all, version);
        for stored in all {
            self.apply_response(stored);
        }
    }

    /// Returns true if a record of this version that is not known must have been deleted: the watch has
    /// already passed its version.
    pub(super) fn is_compacted(&self, version: Version) -> bool {
        version <= self.observed_revision
    }
}
