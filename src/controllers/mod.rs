//! What keeps ledger, index and world in step, beside the requests.
//!
//! - [`Feed`] keeps the index as the ledger is.
//! - [`Housekeeper`] does without a cluster what a reconciler does in one: it adopts what the folder's
//!   pods and networks use, lets reservations take effect, and frees what the folder drops.
//! - [`Leadership`] says which replica does what is done once for all of them.
//! - [`Rounds`] calls for the full comparison on its schedule.
//! - [`StatusWriter`] writes what there is to say of pools and reservations into their status.
//! - [`Events`] takes what any of them tells people ([`Notices`]), and makes Events of it.

mod events;
mod feed;
mod housekeeper;
mod leader;
mod metrics;
mod notices;
mod numbers;
mod schedule;
mod seen;
mod status;
#[cfg(test)]
mod tests;

pub use self::{
    events::{EventWriter, Events},
    feed::Feed,
    housekeeper::Housekeeper,
    leader::{Leadership, LeaseOptions},
    notices::{Gravity, NoNotices, Notices, ObjectRef},
    schedule::{Journal, Outcome, Rounds, Run},
    status::StatusWriter,
};
