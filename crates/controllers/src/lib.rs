//! The controllers that keep ledger, index and cluster consistent, apart from requests.
//!
//! - [`LedgerSync`] keeps the index in step with the ledger, [`SliceSync`] its slices.
//! - [`FolderReconciler`] is the reconciler of a server without a cluster: it adopts what the folder's
//!   pods and networks use, records reservations, and frees what is removed from the folder.
//! - [`Reconciler`] is the reconciler of a cluster. It reaches the cluster through [`LiveCatalog`],
//!   [`PodWriter`] and [`EventSink`].
//! - [`LeaderElector`] elects the replica that does what is done once for all of them.
//! - [`ResyncScheduler`] runs the full resync on its schedule.
//! - [`ServedNetworks`] keeps Whereabouts's records of the addresses that nadmit gives.
//! - [`WhereaboutsRepair`] removes what Whereabouts's plugin left behind.
//! - [`StatusWriter`] writes the status of pools and reservations.
//! - [`CertificateKeeper`] keeps the server's certificate in a Secret, and its CAs in the webhooks.
//! - [`EventRecorder`] turns what the others emit ([`EventSink`]) into Kubernetes Events.
//!
//! [`LiveCatalog`]: nadmit_catalog::LiveCatalog

mod apply;
mod certificates;
mod event_recorder;
mod event_sink;
mod folder_pods;
mod folder_reconciler;
mod leader;
mod ledger_sync;
mod metrics;
mod pod_writer;
mod reconciler;
mod resync;
mod served_networks;
mod slice_sync;
mod status;
#[cfg(test)]
mod tests;
mod whereabouts_repair;

pub use self::{
    certificates::{CertificateKeeper, CertificateLifetimes, CertificateOptions, WebhookService},
    event_recorder::{EventRecorder, EventWriter},
    event_sink::{EventSink, EventType, NoopSink, ObjectRef},
    folder_reconciler::FolderReconciler,
    leader::{LeaderElector, LeaseOptions},
    ledger_sync::LedgerSync,
    pod_writer::{AnnotationPatch, ClusterPodWriter, PatchError, PodWriter},
    reconciler::{BackfillError, ReconcileError, ReconcileReport, Reconciler, ReconcilerParts},
    resync::{ResyncHistory, ResyncRun, ResyncScheduler},
    served_networks::{ServedNetworks, ServedNetworksParts},
    slice_sync::SliceSync,
    status::StatusWriter,
    whereabouts_repair::{WhereaboutsRepair, WhereaboutsRepairParts},
};
