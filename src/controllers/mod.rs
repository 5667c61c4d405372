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

mod apply;
mod certificates;
mod event_recorder;
mod event_sink;
mod folder_pods;
mod folder_reconciler;
mod gauge;
mod leader;
mod ledger_sync;
mod live_reader;
mod metrics;
mod pod_writer;
mod reconciler;
mod resync;
mod slice_sync;
mod status;
#[cfg(test)]
mod tests;

pub use self::{
    certificates::{Called, CertificateKeeper, CertificateOptions, Lives},
    event_recorder::{EventWriter, Events},
    event_sink::{Gravity, NoNotices, Notices, ObjectRef},
    folder_reconciler::Housekeeper,
    leader::{Leadership, LeaseOptions},
    ledger_sync::Feed,
    live_reader::{Live, Look},
    pod_writer::{Annotate, Annotated, ClusterPods, PodWriter},
    reconciler::{Intent, Report, Steward, StewardParts},
    resync::{Journal, Outcome, Rounds, Run},
    slice_sync::SliceFeed,
    status::StatusWriter,
};
