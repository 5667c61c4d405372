//! What keeps ledger, index and world in step, beside the requests.
//!
//! - [`Feed`] keeps the index as the ledger is.
//! - [`Housekeeper`] does without a cluster what a reconciler does in one: it adopts what the folder's
//!   pods and networks use, lets reservations take effect, and frees what the folder drops.

mod feed;
mod housekeeper;
mod metrics;
mod seen;
#[cfg(test)]
mod tests;

pub use self::{feed::Feed, housekeeper::Housekeeper};
