//! What keeps ledger, index and world in step, beside the requests.
//!
//! - [`Feed`] keeps the index as the ledger is, [`SliceFeed`] its slices.
//! - [`Housekeeper`] does without a cluster what a reconciler does in one: it adopts what the folder's
//!   pods and networks use, lets reservations take effect, and frees what the folder drops.
//! - [`Steward`] is the reconciler of a cluster. What it needs of the world comes through [`Live`],
//!   [`PodWriter`] and [`Notices`].
//! - [`Leadership`] says which replica does what is done once for all of them.
//! - [`Rounds`] calls for the full comparison on its schedule.
//! - [`StatusWriter`] writes what there is to say of pools and reservations into their status.
//! - [`CertificateKeeper`] keeps the server's certificate in a Secret, and the webhooks' trust in it.
//! - [`Events`] takes what any of them tells people ([`Notices`]), and makes Events of it.

mod carry_out;
mod certificates;
mod events;
mod feed;
mod housekeeper;
mod leader;
mod live;
mod metrics;
mod notices;
mod numbers;
mod pod_writer;
mod schedule;
mod seen;
mod slice_feed;
mod status;
mod steward;
#[cfg(test)]
mod tests;

pub use self::{
    certificates::{Called, CertificateKeeper, CertificateOptions, Lives},
    events::{EventWriter, Events},
    feed::Feed,
    housekeeper::Housekeeper,
    leader::{Leadership, LeaseOptions},
    live::{Live, Look},
    notices::{Gravity, NoNotices, Notices, ObjectRef},
    pod_writer::{Annotate, Annotated, ClusterPods, PodWriter},
    schedule::{Journal, Outcome, Rounds, Run},
    slice_feed::SliceFeed,
    status::StatusWriter,
    steward::{Intent, Report, Steward, StewardParts},
};
