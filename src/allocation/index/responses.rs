//! What was read of a ledger, and comes when the ledger has told more already.
//!
//! Who follows a ledger tells the index every write in its order. Beside that there are answers: to
//! reads, to writes. They take another way, and one of them may be about a record that has gone since;
//! nothing would ever tell the index so once more, and an address would be held by nobody, or be given
//! though nothing records it. So an answer about a record whose end the ledger has told is ignored.

use super::{Index, entries::IndexEntry};
use crate::allocation::{Address, Space, Stored, Version};

impl Index {
    /// Who follows the ledger has told everything up to this write.
    pub fn told(&mut self, version: Version) {
        self.observed_revision = self.observed_revision.max(version);
    }

    /// The version of a record, as far as is known.
    pub fn version_of(&self, space: &Space, address: Address) -> Option<Version> {
        let recorded = self.entry(space, address).and_then(IndexEntry::recorded);
        recorded.map(|stored| stored.version)
    }

    /// The ledger had this under a name when it was asked, which may be a while ago.
    pub fn hear(&mut self, stored: Stored) {
        let allocation = &stored.allocation;
        let known = self.version_of(&allocation.space, allocation.address);
        if known.is_some() || !self.is_compacted(stored.version) {
            self.apply(stored);
        }
    }

    /// The ledger had exactly these records, as of this version, when it was asked by somebody else than
    /// who follows it.
    pub fn refresh(&mut self, all: Vec<Stored>, version: Version) {
        self.prune(&all, version);
        for stored in all {
            self.hear(stored);
        }
    }

    /// Whether a record of this version, if it is not known, is gone.
    pub(super) fn is_compacted(&self, version: Version) -> bool {
        version <= self.observed_revision
    }
}
