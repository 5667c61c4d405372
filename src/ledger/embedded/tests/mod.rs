//! The embedded ledger, by its behaviour.
