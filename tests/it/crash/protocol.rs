//! The writer's reports to its parent, one line of JSON each.

use nadmit::allocation::{
    Address, Allocation, Holder, NetworkRef, Space, Timestamp, Version, Write,
};
use serde::{Deserialize, Serialize};

/// A report.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum WriterReport {
    /// The ledger is open.
    Ready,
    /// The batch will be written next.
    Asked {
        /// The batch number, unique in all rounds.
        batch: i64,
        /// The writer task.
        task: u8,
        /// The writes of the batch.
        writes: Vec<Op>,
    },
    /// The batch was written, with these versions.
    Written { batch: i64, versions: Vec<u64> },
    /// The batch was refused: nothing was written.
    Refused { batch: i64 },
    /// A violation that the writer noticed.
    Wrong(String),
}

/// A write; addresses are `192.0.2.<last>`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) enum Op {
    Create(u8),
    Update(u8, u64),
    Delete(u8, u64),
}

impl Op {
    pub(super) fn last(self) -> u8 {
        match self {
            Self::Create(last) | Self::Update(last, _) | Self::Delete(last, _) => last,
        }
    }

    pub(super) fn write(self, task: u8, batch: i64) -> Write {
        let allocation = allocation(self.last(), task, batch);
        match self {
            Self::Create(_) => Write::Create(allocation),
            Self::Update(_, version) => Write::Update(allocation, Version(version)),
            Self::Delete(_, version) => Write::Delete(allocation, Version(version)),
        }
    }
}

/// Returns an allocation whose holder encodes the task, and whose time encodes the batch.
fn allocation(last: u8, task: u8, batch: i64) -> Allocation {
    Allocation {
        address: Address::Ip([192, 0, 2, last].into()),
        space: Space::default(),
        pool: "storage".into(),
        network: NetworkRef {
            namespace: "db".into(),
            name: "storage-net".into(),
        },
        interface: "net1".into(),
        holder: holder(task),
        pod: None,
        mac: None,
        former_nodes: Vec::new(),
        taken: None,
        reservation: None,
        since: Timestamp(batch),
    }
}

pub(super) fn holder(task: u8) -> Holder {
    Holder::Pod {
        namespace: "db".into(),
        name: format!("writer-{task}").into(),
    }
}

/// Pseudo-random numbers from a seed (splitmix64).
pub(super) struct CrashRng(pub(super) u64);

impl CrashRng {
    /// Returns a number below `end`.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % end
    }
}
