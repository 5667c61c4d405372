//! Installs nadmit in a cluster, reports its status, and uninstalls it.
//!
//! The manifests are the files of `deploy/`, which are embedded in the binary; [`manifests`] combines base
//! and overlay like kustomize. [`install`] applies them server-side in an order that blocks no pods:
//! webhooks are registered last, when replicas are ready. [`uninstall`] goes the other way: webhooks first;
//! pools, reservations and allocations stay unless [`purge`] deletes them.
//!
//! Guarantees:
//! - A repeated installation changes only the given options: [`plan`] reads the others from the objects in
//!   the cluster, and keeps the content of the ConfigMap `nadmit-config`.
//! - Reported settings are in effect: [`install`] asks the replicas which settings they use.
//! - Only objects of nadmit's manifests are deleted.
//!
//! kustomize and helm install the same files of `deploy/`. They are other programs, and they neither wait
//! for replicas before they register webhooks nor ask which settings are in effect.

mod apply;
mod config_text;
mod error;
mod existing;
mod files;
mod multus;
mod object;
mod probe;
mod release;
mod remove;
mod render;
mod replicas;
mod rights;
mod rollout;
mod settings;
mod settings_rollout;
mod status;
mod tls;
mod wait;
mod whereabouts;
mod yaml;

pub use self::{
    apply::{HelmPolicy, InstallPlan, Installation, Wait, install, is_openshift, plan},
    error::InstallError,
    existing::{ExistingInstallation, HelmRelease},
    multus::{Isolation, IsolationUnknown, MultusObjects},
    probe::{ProbeOutcome, probe},
    release::{KeptAddress, ReleaseError, ReleasedAddress, count_replicas, release_whereabouts},
    remove::{RecordCounts, UninstallOptions, count_records, purge, uninstall},
    render::manifests,
    rollout::Trouble,
    settings::{Certificates, InstallSettings},
    status::{
        CertificateStatus, InstallStatus, IsolationStatus, LaterWebhook, PoolNotReady, PoolStatus,
        ReplicaStatus, ResyncStatus, WebhookStatus, status,
    },
    tls::TlsProfile,
    whereabouts::WhereaboutsStatus,
    yaml::yaml,
};

/// nadmit's own namespace.
pub const NAMESPACE: &str = "nadmit";
/// Name of most of nadmit's objects.
const NAME: &str = "nadmit";
/// Name of the ConfigMap with the settings.
const CONFIG_MAP: &str = "nadmit-config";
/// Key of the settings in the ConfigMap.
const SETTINGS_KEY: &str = "nadmit.yaml";

/// A step of an installation, reported when it happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InstallProgress {
    /// An object was applied.
    Applied(String),
    /// An object was deleted.
    Deleted(String),
    /// An object was skipped, with the reason.
    Skipped(String, String),
    /// The installation waits for this.
    Waiting(String),
    /// A note for the administrator.
    Note(String),
}

/// Callback for the steps of an installation.
pub type ProgressFn<'t> = &'t (dyn Fn(InstallProgress) + Sync);
