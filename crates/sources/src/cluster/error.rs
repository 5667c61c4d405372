//! Errors of reading a cluster.

use std::time::Duration;
use std::{error::Error, fmt::Write as _};

use thiserror::Error;

use super::access::with_causes;

/// An error of reading a cluster, with its remedy.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ClusterError {
    /// A kubeconfig cannot be read or is invalid.
    #[error(
        "{file} cannot be used: {reason}; name another with --kubeconfig FILE or in KUBECONFIG"
    )]
    Kubeconfig {
        /// The kubeconfig.
        file: String,
        reason: String,
    },
    /// A pod has no credentials.
    #[error(
        "this pod cannot log in to its cluster: {reason}; mount the token of its ServiceAccount \
         (automountServiceAccountToken: true), or name a kubeconfig with --kubeconfig FILE"
    )]
    ServiceAccount { reason: String },
    /// The kubeconfig does not have the context.
    #[error("{file} {}; {}", missing(.context), choose(.known))]
    UnknownContext {
        /// The kubeconfig.
        file: String,
        /// The context; empty if none was named.
        context: String,
        /// The existing contexts.
        known: Vec<String>,
    },
    /// Certificates, keys or tokens cannot be used.
    #[error(
        "cannot log in to {server}: {reason}; with a kubeconfig, check the user of its context, or \
         choose another with --context; in a pod, check the token of its ServiceAccount"
    )]
    Credentials {
        /// The API server.
        server: String,
        reason: String,
    },
    /// The API server cannot be reached.
    #[error(
        "cannot reach the API server {server}: {reason}; with a kubeconfig, check that the cluster runs \
         and that `server` is its address, or choose another with --context; in a pod, check that the \
         node and the NetworkPolicies allow the connection"
    )]
    Unreachable {
        /// The API server.
        server: String,
        reason: String,
    },
    #[error(
        "the certificate of the API server {server} is not accepted: {reason}; with a kubeconfig, check \
         certificate-authority-data and `server` of its cluster; in a pod, check the ca.crt of its \
         ServiceAccount"
    )]
    Tls {
        /// The API server.
        server: String,
        reason: String,
    },
    /// The token or certificate is wrong, expired, or of a deleted ServiceAccount.
    #[error(
        "the API server {server} does not accept the credentials (401): with a kubeconfig, log in again, \
         because its credentials are wrong or have expired; in a pod, check that its ServiceAccount \
         exists and restart the pod, because its token has expired or its ServiceAccount was deleted"
    )]
    Unauthorized {
        /// The API server.
        server: String,
    },
    /// The caller lacks permission to list a resource (403).
    #[error(
        "may not list {resource} {} (403): give your user {role}; the API server reports: {message}",
        scope(.namespace.as_deref())
    )]
    Forbidden {
        /// The resource with its group: `network-attachment-definitions.k8s.cni.cncf.io`.
        resource: String,
        /// The namespace; `None` for all namespaces.
        namespace: Option<String>,
        /// The role that grants the permission.
        role: &'static str,
        /// The message of the API server.
        message: String,
    },
    /// nadmit itself lacks permission to list and watch a resource (403).
    #[error(
        "nadmit may not list and watch {resource} (403): add the rule {rule} to nadmit's ClusterRole; the \
         API server reports: {message}"
    )]
    WatchForbidden {
        /// The resource with its group.
        resource: String,
        /// The missing RBAC rule.
        rule: String,
        /// The message of the API server.
        message: String,
    },
    /// The API server did not respond in time.
    #[error("the API server {server} did not list {resource} within {} s; try again", timeout.as_secs())]
    Timeout {
        /// The API server.
        server: String,
        resource: String,
        timeout: Duration,
    },
    /// The response is not a valid list.
    #[error("the API server {server} returned no valid list of {resource}: {reason}")]
    InvalidResponse {
        /// The API server.
        server: String,
        resource: String,
        reason: String,
    },
    /// The namespace does not exist.
    #[error("namespace {namespace:?} does not exist in the cluster: name another with --namespace")]
    NoNamespace { namespace: String },
}

impl ClusterError {
    /// Converts the error of a request.
    pub(super) fn from_kube(error: &kube::Error, server: &str, resource: &str) -> Self {
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
            _ => Self::InvalidResponse {
                server,
                resource,
                reason,
            },
        }
    }
}

/// Returns an error with its chain of causes, including the errors wrapped by I/O errors, which do
/// not return them as their source.
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
    let mut text = "choose one with --context".to_owned();
    if !known.is_empty() {
        // Writing to a String cannot fail.
        let _ = write!(text, ": it has {}", known.join(", "));
    }
    text
}

fn scope(namespace: Option<&str>) -> String {
    match namespace {
        Some(namespace) => format!("in namespace {namespace}"),
        None => "in the whole cluster".to_owned(),
    }
}
