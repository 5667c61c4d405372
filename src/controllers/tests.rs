//! The housekeeper and the feed on a real ledger.
