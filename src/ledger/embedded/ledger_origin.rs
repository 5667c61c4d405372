//! What becomes of a ledger that is older than what was acknowledged.

use std::fmt;

use crate::ledger::OpenError;

/// The treatment of a ledger that is older than the version file beside it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OlderLedger {
    /// It is not opened.
    #[default]
    Refuse,
    /// It is used from now on. What was recorded after it is forgotten, so whoever accepts it has to
    /// adopt what is in use before anything is given.
    Accept,
    /// It can be read; nothing is written, neither to it nor beside it.
    ReadOnly,
}

/// How an open ledger came to be as it is.
#[derive(Debug)]
#[non_exhaustive]
pub enum LedgerOrigin {
    /// It was made.
    Created,
    /// It was there, and is as it was acknowledged.
    Existing,
    /// It was there, or was made, and was accepted though versions are lost.
    Accepted {
        /// The version of its last write.
        found: u64,
        /// The last version that was acknowledged, if that is known.
        known: Option<u64>,
    },
    /// It can be read only, for this reason.
    ReadOnly(OpenError),
}

impl fmt::Display for LedgerOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Created => f.write_str("the ledger is new"),
            Self::Existing => f.write_str("the ledger is as it was acknowledged"),
            Self::Accepted {
                found,
                known: Some(known),
            } => write!(
                f,
                "the ledger at version {found} is accepted in place of version {known}, which was \
                 acknowledged; what was recorded after version {found} is forgotten"
            ),
            Self::Accepted { found, known: None } => write!(
                f,
                "the ledger at version {found} is accepted; whether a later version was acknowledged \
                 is not known"
            ),
            Self::ReadOnly(reason) => write!(f, "{reason}"),
        }
    }
}
