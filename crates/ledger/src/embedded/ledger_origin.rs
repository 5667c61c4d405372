//! The treatment of a ledger that lacks acknowledged writes, and the origin of an open ledger.

use std::fmt;

use crate::OpenError;

/// Treatment of a ledger that is older than its version file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OlderLedger {
    /// Opening it fails.
    #[default]
    Refuse,
    /// The ledger is used. Records written after its version are lost, so the caller must adopt the
    /// addresses in use before anything is allocated.
    Accept,
    /// The ledger can be read; nothing is written, neither to it nor to the version file.
    ReadOnly,
}

/// Origin of an open ledger.
#[derive(Debug)]
#[non_exhaustive]
pub enum LedgerOrigin {
    /// The ledger was created.
    Created,
    /// The ledger existed and has all acknowledged writes.
    Existing,
    /// The ledger existed or was created, and was accepted although acknowledged versions are lost.
    Accepted {
        /// Version of its last write.
        found: u64,
        /// Last acknowledged version, if known.
        known: Option<u64>,
    },
    /// The ledger is read-only, for this reason.
    ReadOnly(OpenError),
}

impl fmt::Display for LedgerOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Created => f.write_str("the ledger is new"),
            Self::Existing => f.write_str("the ledger has all acknowledged writes"),
            Self::Accepted {
                found,
                known: Some(known),
            } => write!(
                f,
                "the ledger at version {found} is accepted although version {known} was acknowledged; \
                 records written after version {found} are lost"
            ),
            Self::Accepted { found, known: None } => write!(
                f,
                "the ledger at version {found} is accepted; it is unknown whether a later version was \
                 acknowledged"
            ),
            Self::ReadOnly(reason) => write!(f, "{reason}"),
        }
    }
}
