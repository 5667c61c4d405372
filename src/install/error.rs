//! Errors of installing, uninstalling and reading the status.

use std::time::Duration;

use thiserror::Error;

use super::Trouble;
use crate::sources::with_causes;

/// An error with its remedy.
#[derive(Debug, Error)]
pub enum InstallError {
    /// A file of `deploy/` is invalid: a bug in this program.
    #[error("deploy/{file} in this nadmit is invalid: {reason}; report this bug")]
    Manifest {
        /// Path of the file.
        file: String,
        /// Problem.
        reason: String,
    },
    /// The API server is too old for the manifests.
    #[error(
        "the API server is Kubernetes {found}; nadmit needs {least} (match conditions, \
         ValidatingAdmissionPolicy); upgrade the cluster"
    )]
    TooOld {
        /// Version of the API server.
        found: String,
        /// Oldest supported version.
        least: &'static str,
    },
    /// The API server refused a request, or could not be reached.
    #[error("cannot {what}: {reason}{}", advice(*.code, reason))]
    Refused {
        /// The request, such as `apply Namespace nadmit`.
        what: String,
        /// Message of the API server.
        reason: String,
        /// HTTP status code; 0 without a response.
        code: u16,
    },
    /// An expected state was not reached in time.
    #[error("{what} after {} s: {last}; {help}", waited.as_secs())]
    Timeout {
        /// The expected state that is missing.
        what: String,
        /// Time waited.
        waited: Duration,
        /// Last observed state.
        last: String,
        /// Remedy.
        help: &'static str,
    },
    /// The API server, or a replica behind it, did not respond in time.
    #[error("cannot {what}: no response within {} s", waited.as_secs())]
    NoAnswer {
        /// The request.
        what: String,
        /// Time waited.
        waited: Duration,
    },
    /// The rollout is stuck.
    #[error(
        "the rollout of Deployment nadmit/nadmit fails: {trouble}; {serving}; set an image that the nodes can \
         pull (nadmit install --image), or fix the cause and run kubectl rollout restart -n nadmit \
         deployment/nadmit"
    )]
    Rollout {
        /// Cause.
        trouble: Box<Trouble>,
        /// Description of the replicas that serve meanwhile.
        serving: String,
    },
    #[error(
        "namespace nadmit is being deleted and accepts no objects; wait until kubectl get namespace nadmit \
         does not find it, then install again"
    )]
    Terminating,
    /// The existing installation is managed by Helm.
    #[error(
        "Helm release {name} in namespace {namespace} manages nadmit in this cluster; {instead}"
    )]
    ManagedByHelm {
        /// Name of the release.
        name: String,
        /// Namespace of the release.
        namespace: String,
        /// Remedy.
        instead: String,
    },
    /// The records of Whereabouts have no interface, so its plugin would not find an address by its pod.
    #[error(
        "the CRD ippools.whereabouts.cni.cncf.io has no ifname (Whereabouts before v0.8.0), so nadmit cannot serve \
         its networks; upgrade Whereabouts with its CRDs, or use --whereabouts observe"
    )]
    OldWhereabouts,
    /// The settings in the cluster, combined with the given options, are invalid.
    #[error(
        "ConfigMap nadmit/nadmit-config has invalid settings: {0}; fix them with kubectl edit -n nadmit configmap nadmit-config"
    )]
    Settings(String),
}

impl InstallError {
    /// Converts an error of a call to the API server.
    pub(super) fn of(what: impl Into<String>, error: &kube::Error) -> Self {
        let (reason, code) = match error {
            kube::Error::Api(status) => (status.message.clone(), status.code),
            other => (with_causes(other), 0),
        };
        Self::Refused {
            what: what.into(),
            reason,
            code,
        }
    }
}

fn advice(code: u16, reason: &str) -> &'static str {
    match code {
        // The API server reports a terminating namespace as forbidden.
        403 if reason.contains("is being terminated") => {
            "; wait until kubectl get namespace nadmit does not find it, then install again"
        }
        401 | 403 => "; run this as a cluster administrator",
        0 => "; check that the cluster is reachable",
        _ => "",
    }
}
