//! Why a cluster was not read.

use std::{error::Error, fmt::Write as _};

use thiserror::Error;

use super::access::with_causes;

/// What stands between nadmit and a cluster, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ClusterError {
    /// A kubeconfig that cannot be read or makes no sense.
    #[error(
        "{file} cannot be used: {reason}; name another with --kubeconfig FILE or in KUBECONFIG"
    )]
    Kubeconfig {
        /// Which.
        file: String,
        /// Why not.
        reason: String,
    },
    /// A pod that has nothing to log in with.
    #[error(
        "this pod cannot log in to its cluster: {reason}; mount the token of its ServiceAccount \
         (automountServiceAccountToken: true), or name a kubeconfig with --kubeconfig FILE"
    )]
    Pod {
        /// Why not.
        reason: String,
    },
    /// A context that the kubeconfig does not have.
    #[error("{file} {}; {}", missing(.context), choose(.known))]
    Context {
        /// The kubeconfig.
        file: String,
        /// The context; empty if none was named.
        context: String,
        /// Those that there are.
        known: Vec<String>,
    },
    /// Certificates, keys or tokens that cannot be used.
    #[error(
        "cannot log in to {server}: {reason}; with a kubeconfig, see the user of its context, or choose \
         another with --context; in a pod, see the token of its ServiceAccount"
    )]
    Credentials {
        /// The API server.
        server: String,
        /// Why not.
        reason: String,
    },
    /// Nobody answers.
    #[error(
        "cannot reach the API server {server}: {reason}; with a kubeconfig, see that the cluster runs and \
         that it has its address (`server`), or choose another with --context; in a pod, see that \
         its node and the NetworkPolicies let it get there"
    )]
    Unreachable {
        /// The API server.
        server: String,
        /// Why not.
        reason: String,
    },
    /// Somebody answers, but not who should.
    #[error(
        "the certificate of the API server {server} is not accepted: {reason}; with a kubeconfig, see \
         certificate-authority-data and `server` of its cluster; in a pod, see the ca.crt of its \
         ServiceAccount"
    )]
    Tls {
        /// The API server.
        server: String,
        /// Why not.
        reason: String,
    },
    /// The API server does not know who asks.
    #[error(
        "the API server {server} does not know who asks (401): with a kubeconfig, log in again, as its \
         credentials are wrong or have expired; in a pod, see that its ServiceAccount is there and \
         start the pod anew, as its token is that of one that was deleted, or has expired"
    )]
    Unauthorized {
        /// The API server.
        server: String,
    },
    /// Who asks may not.
    #[error(
        "may not list {resource} {} (403): give who asks {role}; the API server says: {message}",
        place(.namespace.as_deref())
    )]
    Forbidden {
        /// The resource with its group: `network-attachment-definitions.k8s.cni.cncf.io`.
        resource: String,
        /// The namespace, if not all of them.
        namespace: Option<String>,
        /// The role that is enough.
        role: &'static str,
        /// The API server's words.
        message: String,
    },
    /// The server itself may not.
    #[error(
        "may not list and watch {resource} (403): add to nadmit's ClusterRole the rule {rule}; the API \
         server says: {message}"
    )]
    NotAllowed {
        /// The resource with its group.
        resource: String,
        /// The rule of RBAC that is missing.
        rule: String,
        /// The API server's words.
        message: String,
    },
    /// Nothing came back in time.
    #[error("the API server {server} did not list {resource} within {seconds} s; try again")]
    Timeout {
        /// The API server.
        server: String,
        /// The resource.
        resource: String,
        /// How long was waited.
        seconds: u64,
    },
    /// Another answer than a list.
    #[error("the API server {server} gave no list of {resource}: {reason}")]
    Answer {
        /// The API server.
        server: String,
        /// The resource.
        resource: String,
        /// What it gave.
        reason: String,
    },
    /// A namespace that there is not.
    #[error("there is no namespace {namespace:?} in the cluster: name another with --namespace")]
    NoNamespace {
        /// The namespace.
        namespace: String,
    },
}

impl ClusterError {
    /// Why a request got no answer from the API server.
    pub(super) fn of(error: &kube::Error, server: &str, resource: &str) -> Self {
        let (server, resource) = (server.to_owned(), resource.to_owned());
        let reason = with_causes(error);
        match error {
            kube::Error::Auth(_) => Self::Credentials { server, reason },
            kube::Error::Service(cause) => match innermost(&**cause) {
                reason if is_tls(&**cause) => Self::Tls { server, reason },
                reason => Self::Unreachable { server, reason },
            },
            kube::Error::HyperError(cause) => Self::Unreachable {
                server,
                reason: innermost(cause),
            },
            _ => Self::Answer {
                server,
                resource,
                reason,
            },
        }
    }
}

/// The errors behind an error, and what I/O errors wrap, which they do not name as their source.
fn chain<'e>(error: &'e (dyn Error + 'static)) -> Vec<&'e (dyn Error + 'static)> {
    let mut found = vec![error];
    let mut at = error;
    while found.len() < 16 {
        let wrapped = at
            .downcast_ref::<std::io::Error>()
            .and_then(std::io::Error::get_ref);
        let next: Option<&(dyn Error + 'static)> = match wrapped {
            Some(inner) => Some(inner),
            None => at.source(),
        };
        let Some(next) = next else { break };
        found.push(next);
        at = next;
    }
    found
}

fn innermost(error: &(dyn Error + 'static)) -> String {
    chain(error)
        .last()
        .map_or_else(String::new, ToString::to_string)
}

fn is_tls(error: &(dyn Error + 'static)) -> bool {
    chain(error).iter().any(|error| error.is::<rustls::Error>())
}

fn missing(context: &str) -> String {
    match context {
        "" => "has no current context".to_owned(),
        _ => format!("has no context {context:?}"),
    }
}

fn choose(known: &[String]) -> String {
    let mut said = "choose one with --context".to_owned();
    if !known.is_empty() {
        // Writing to a String cannot fail.
        let _ = write!(said, ": it has {}", known.join(", "));
    }
    said
}

fn place(namespace: Option<&str>) -> String {
    match namespace {
        Some(namespace) => format!("in namespace {namespace}"),
        None => "in the whole cluster".to_owned(),
    }
}
