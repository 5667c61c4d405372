//! What keeps ledger, index and world in step, beside the requests.
//!
//! - [`LedgerSync`] keeps the index as the ledger is, [`SliceSync`] its slices.
//! - [`FolderReconciler`] does without a cluster what a reconciler does in one: it adopts what the folder's
//!   pods and networks use, lets reservations take effect, and frees what the folder drops.
//! - [`Reconciler`] is the reconciler of a cluster. What it needs of the world comes through [`LiveReader`],
//!   [`PodWriter`] and [`EventSink`].
//! - [`LeaderElector`] says which replica does what is done once for all of them.
//! - [`ResyncScheduler`] calls for the full comparison on its schedule.
//! - [`StatusWriter`] writes what there is to say of pools and reservations into their status.
//! - [`CertificateKeeper`] keeps the server's certificate in a Secret, and the webhooks' trust in it.
//! - [`EventRecorder`] takes what any of them tells people ([`EventSink`]), and makes Events of it.

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
    certificates::{CertificateKeeper, CertificateLifetimes, CertificateOptions, WebhookService},
    event_recorder::{EventRecorder, EventWriter},
    event_sink::{EventSink, EventType, NoopSink, ObjectRef},
    folder_reconciler::FolderReconciler,
    leader::{LeaderElector, LeaseOptions},
    ledger_sync::LedgerSync,
    live_reader::{LiveReader, ReadTarget},
    pod_writer::{AnnotationPatch, ClusterPodWriter, PatchOutcome, PodWriter},
    reconciler::{PlannedAction, ReconcileReport, Reconciler, ReconcilerParts},
    resync::{ResyncHistory, ResyncResult, ResyncRun, ResyncScheduler},
    slice_sync::SliceSync,
    status::StatusWriter,
};
