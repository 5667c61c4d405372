//! Why something was not done.

use thiserror::Error;

use super::Trouble;
use crate::sources::with_causes;

/// What went wrong, and what to do about it.
#[derive(Debug, Error)]
pub enum InstallError {
    /// A file of `deploy/` that cannot be put together: a mistake in this program.
    #[error("deploy/{file} in this nadmit is broken: {reason}; please report it")]
    Manifest {
        /// Which.
        file: String,
        /// Why.
        reason: String,
    },
    /// An API server that is too old for the manifests.
    #[error(
        "the API server is Kubernetes {found}, and nadmit's manifests need {least} (match conditions, \
         ValidatingAdmissionPolicy); upgrade the cluster"
    )]
    TooOld {
        /// Its version.
        found: String,
        /// The oldest that will do.
        least: &'static str,
    },
    /// The API server refused.
    #[error("cannot {what}: {reason}{}", advice(*.code, reason))]
    Refused {
        /// What was asked: `apply Namespace nadmit`.
        what: String,
        /// Its words.
        reason: String,
        /// Its status code; 0 if it did not answer.
        code: u16,
    },
    /// What has to come did not come.
    #[error("{what} after {seconds} s: {last}; {help}")]
    Timeout {
        /// What was waited for.
        what: String,
        /// For how long.
        seconds: u64,
        /// How it was last.
        last: String,
        /// What to look at.
        help: &'static str,
    },
    /// The API server, or a replica behind it, did not answer in time.
    #[error("cannot {what}: no answer within {seconds} s")]
    NoAnswer {
        /// What was asked.
        what: String,
        /// For how long.
        seconds: u64,
    },
    /// The rollout does not go on.
    #[error(
        "the rollout of Deployment nadmit/nadmit fails: {trouble}; {serving}; name an image that the nodes can \
         pull with nadmit install --image, or mend what is said here and run kubectl rollout restart -n nadmit \
         deployment/nadmit"
    )]
    Rollout {
        /// What keeps it.
        trouble: Box<Trouble>,
        /// What serves meanwhile.
        serving: String,
    },
    /// The namespace is on its way out.
    #[error(
        "namespace nadmit is being deleted, and takes no objects until it is gone; see kubectl get namespace \
         nadmit, and install again then"
    )]
    Terminating,
    /// What is there belongs to Helm.
    #[error(
        "nadmit in this cluster belongs to Helm release {name} in namespace {namespace}: {instead}"
    )]
    ManagedByHelm {
        /// The release.
        name: String,
        /// Its namespace.
        namespace: String,
        /// What to do instead.
        instead: String,
    },
    /// The settings in the cluster, with what is to be set, make no sense.
    #[error(
        "the settings in ConfigMap nadmit/nadmit-config: {0}; mend them with kubectl edit -n nadmit configmap nadmit-config"
    )]
    Settings(String),
}

impl InstallError {
    /// Of a call to the API server.
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
        // An API server says it with the code of what is forbidden.
        403 if reason.contains("is being terminated") => {
            "; wait until kubectl get namespace nadmit finds it no more, and install again"
        }
        401 | 403 => "; this takes a cluster administrator",
        0 => "; see that the cluster can be reached",
        _ => "",
    }
}
