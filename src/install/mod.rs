//! Putting nadmit into a cluster, looking at it there, and taking it out again.
//!
//! What is installed is what `deploy/` holds: the very files are in the binary, and [`manifests`] puts base
//! and overlay together as kustomize does. [`install`] applies them server-side in an order that locks
//! nobody out: webhooks are registered last, when replicas are there to answer. [`uninstall`] goes the other
//! way: webhooks first, and what records addresses stays unless it is asked for.
//!
//! Guarantees:
//! - Installing again changes the options that are given, and no other: [`plan`] reads the others from the
//!   objects in the cluster, and the ConfigMap `nadmit-config` keeps what an administrator has written there.
//! - What is said to be in force is: [`install`] asks the replicas which settings they go by.
//! - Nothing is deleted that nadmit's manifests do not name.

mod apply;
mod config_text;
mod error;
mod existing;
mod files;
mod multus;
mod object;
mod probe;
mod remove;
mod render;
mod replicas;
mod rollout;
mod settings;
mod settings_rollout;
mod status;
mod tls;
mod wait;
mod yaml;

pub use self::{
    apply::{HelmPolicy, InstallPlan, Installation, Wait, install, is_openshift, plan},
    error::InstallError,
    existing::{ExistingInstallation, HelmRelease},
    multus::{Isolation, IsolationUnknown, MultusObjects},
    probe::{ProbeOutcome, probe},
    remove::{RecordCounts, UninstallOptions, count_records, purge, uninstall},
    render::manifests,
    rollout::Trouble,
    settings::{Certificates, InstallSettings},
    status::{
        CertificateStatus, InstallStatus, IsolationStatus, LaterWebhook, PoolStatus, ReplicaStatus,
        ResyncStatus, WebhookStatus, status,
    },
    tls::TlsProfile,
    yaml::yaml,
};

/// nadmit's own namespace.
pub const NAMESPACE: &str = "nadmit";
/// What most of nadmit's objects are called.
const NAME: &str = "nadmit";
/// Where its settings are.
const CONFIG_MAP: &str = "nadmit-config";
/// The settings among the keys of the ConfigMap.
const SETTINGS_KEY: &str = "nadmit.yaml";

/// What happens, as it happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InstallProgress {
    /// An object is as it should be.
    Applied(String),
    /// An object is gone.
    Deleted(String),
    /// An object cannot be there, and why.
    Skipped(String, String),
    /// What is being waited for.
    Waiting(String),
    /// What an administrator should know.
    Note(String),
}

/// Who is told.
pub type ProgressFn<'t> = &'t (dyn Fn(InstallProgress) + Sync);
