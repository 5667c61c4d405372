//! The codes of findings, and their levels.

/// The effect of a finding on the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AuditLevel {
    /// A fact that two objects show, and that harms a pod or will.
    Deny,
    /// Worth a look: harmless so far, or shown by one object alone.
    Warn,
}

impl AuditLevel {
    /// Returns the name in output.
    pub fn name(self) -> &'static str {
        match self {
            Self::Deny => "deny",
            Self::Warn => "warn",
        }
    }
}

/// The code of a finding. The order is that of output: conflicts first, then records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AuditCode {
    /// Two live pods have one address on one L2 segment.
    DuplicateAddress,
    /// Records give one address to two live pods.
    ConflictingRecords,
    /// Two live pods or virtual machines have one MAC on one L2 segment.
    SharedMac,
    /// Two allocators assign addresses of one range.
    TwoAllocators,
    /// A live pod has an address of a range that no `IPPool` records.
    MissingEntry,
    /// A live pod has an address that it requested by `ips`, which Whereabouts does not record.
    UntrackedAddress,
    /// A record and the network-status of its pod disagree.
    Drift,
    /// An `IPPool` has an entry for a pod that does not use the address.
    LeakedEntry,
    /// A reservation has no pod, or no entry in an `IPPool`.
    OrphanedReservation,
    /// An entry has no reservation, though its network uses overlapping ranges.
    MissingReservation,
    /// An allocation is held by a pod that does not exist.
    LeakedAllocation,
    /// A claim has other addresses than its interface.
    ClaimMismatch,
    /// A claim is of a virtual machine that does not exist.
    OrphanedClaim,
    /// A `NodeSlicePool` has no slice left.
    ExhaustedSlice,
    /// A node that does not exist has a slice.
    SliceOfMissingNode,
    /// No network uses an `IPPool`.
    UnusedPool,
    /// An object cannot be read.
    UnreadableRecord,
}

impl AuditCode {
    /// All codes.
    pub const ALL: [Self; 17] = [
        Self::DuplicateAddress,
        Self::ConflictingRecords,
        Self::SharedMac,
        Self::TwoAllocators,
        Self::MissingEntry,
        Self::UntrackedAddress,
        Self::Drift,
        Self::LeakedEntry,
        Self::OrphanedReservation,
        Self::MissingReservation,
        Self::LeakedAllocation,
        Self::ClaimMismatch,
        Self::OrphanedClaim,
        Self::ExhaustedSlice,
        Self::SliceOfMissingNode,
        Self::UnusedPool,
        Self::UnreadableRecord,
    ];

    /// Returns the text of the code, which is stable.
    pub fn name(self) -> &'static str {
        match self {
            Self::DuplicateAddress => "duplicate-address",
            Self::ConflictingRecords => "conflicting-records",
            Self::SharedMac => "shared-mac",
            Self::TwoAllocators => "two-allocators",
            Self::MissingEntry => "missing-entry",
            Self::UntrackedAddress => "untracked-address",
            Self::Drift => "drift",
            Self::LeakedEntry => "leaked-entry",
            Self::OrphanedReservation => "orphaned-reservation",
            Self::MissingReservation => "missing-reservation",
            Self::LeakedAllocation => "leaked-allocation",
            Self::ClaimMismatch => "claim-mismatch",
            Self::OrphanedClaim => "orphaned-claim",
            Self::ExhaustedSlice => "exhausted-slice",
            Self::SliceOfMissingNode => "slice-of-missing-node",
            Self::UnusedPool => "unused-pool",
            Self::UnreadableRecord => "unreadable-record",
        }
    }

    /// Returns the level, unless the evidence of a finding is weaker.
    pub fn level(self) -> AuditLevel {
        match self {
            Self::DuplicateAddress
            | Self::ConflictingRecords
            | Self::SharedMac
            | Self::TwoAllocators
            | Self::MissingEntry
            | Self::UntrackedAddress
            | Self::Drift
            | Self::LeakedEntry
            | Self::OrphanedReservation
            | Self::ClaimMismatch => AuditLevel::Deny,
            Self::MissingReservation
            | Self::LeakedAllocation
            | Self::OrphanedClaim
            | Self::ExhaustedSlice
            | Self::SliceOfMissingNode
            | Self::UnusedPool
            | Self::UnreadableRecord => AuditLevel::Warn,
        }
    }
}
