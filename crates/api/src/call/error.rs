//! The meaning of an API server's response, or of its absence.

use std::{error::Error, fmt::Display, io, time::Duration};

use kube::core::{Status, response::reason};
use thiserror::Error;

/// The maximum number of nested errors to search for a cause.
const MAX_CAUSES: usize = 16;

/// An unsuccessful call to an API server.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ApiError {
    /// The object does not exist. Only the API server's own status means this: a proxy's 404, or
    /// one for a kind that is not served, does not.
    #[error("{0}")]
    NotFound(String),
    /// The object exists already.
    #[error("{0}")]
    AlreadyExists(String),
    /// The object has another `resourceVersion` or UID than the request named.
    #[error("{0}")]
    Conflict(String),
    /// The history was compacted: a watch's `resourceVersion` or a list's `continue` token is too
    /// old.
    #[error("{0}")]
    Expired(String),
    /// The API server does not serve this kind: its definition is missing.
    #[error("the API server does not serve this kind ({0})")]
    NotServed(String),
    /// Rejected permanently: a retry cannot succeed.
    #[error("the API server refuses ({code}): {message}")]
    Refused {
        /// The HTTP status: 401, 403, 422, …
        code: u16,
        /// The server's message.
        message: String,
    },
    /// Throttled (429). The request had no effect.
    #[error("the API server is too busy: {message}")]
    Throttled {
        /// The server's `Retry-After`.
        after: Option<Duration>,
        /// The server's message.
        message: String,
    },
    /// The request was not sent. It had no effect.
    #[error("the API server cannot be reached: {0}")]
    Unavailable(String),
    /// The outcome is unknown: a timeout, a lost connection, or a 5xx.
    #[error("the API server's answer is not known: {message}")]
    Uncertain {
        /// The server's `Retry-After`.
        after: Option<Duration>,
        /// A description of the failure.
        message: String,
    },
}

impl ApiError {
    /// Classifies an error of kube.
    pub fn from_kube(error: &kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => Self::from_status(status),
            kube::Error::BuildRequest(_)
            | kube::Error::HttpError(_)
            | kube::Error::Auth(_)
            | kube::Error::ProxyProtocolUnsupported { .. }
            | kube::Error::ProxyProtocolDisabled { .. }
            | kube::Error::InferConfig(_)
            | kube::Error::InferKubeconfig(_)
            | kube::Error::RustlsTls(_)
            | kube::Error::TlsRequired => Self::Unavailable(error_chain(error)),
            error if is_connect_error(error) => Self::Unavailable(error_chain(error)),
            error => Self::unknown(error_chain(error)),
        }
    }

    /// Classifies a `Status`, from a response or from a watch.
    pub fn from_status(status: &Status) -> Self {
        let message = status_message(status);
        let after = status.details.as_ref().and_then(|details| {
            let seconds = u64::from(details.retry_after_seconds);
            (seconds > 0).then(|| Duration::from_secs(seconds))
        });
        match (status.code, &*status.reason) {
            (_, reason::ALREADY_EXISTS) => Self::AlreadyExists(message),
            (_, reason::GONE | reason::EXPIRED) | (410, _) => Self::Expired(message),
            (404, reason::NOT_FOUND) if names_an_object(status) => Self::NotFound(message),
            (404, _) => Self::NotServed(message),
            (409, _) => Self::Conflict(message),
            (429, _) => Self::Throttled { after, message },
            (code @ 400..500, _) => Self::Refused { code, message },
            _ => Self::Uncertain { after, message },
        }
    }

    /// Returns the error for a request without a response in this time.
    pub fn timed_out(time: Duration) -> Self {
        Self::unknown(format!("no response within {} ms", time.as_millis()))
    }

    /// Returns the error for a response that is not what was requested.
    pub(crate) fn unreadable(error: impl Display) -> Self {
        Self::unknown(format!("what it sent cannot be read: {error}"))
    }

    fn unknown(message: String) -> Self {
        Self::Uncertain {
            after: None,
            message,
        }
    }

    /// Returns true if a retry may succeed.
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Throttled { .. } | Self::Unavailable(_) | Self::Uncertain { .. }
        )
    }

    /// The server's `Retry-After`.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Throttled { after, .. } | Self::Uncertain { after, .. } => *after,
            _ => None,
        }
    }
}

/// Returns true if the status is about an object: the 404 of a kind that is not served is not.
fn names_an_object(status: &Status) -> bool {
    let named = |details: &kube::core::response::StatusDetails| !details.name.is_empty();
    status.details.as_ref().is_some_and(named)
}

fn status_message(status: &Status) -> String {
    match &*status.message {
        "" if status.reason.is_empty() => format!("status {}", status.code),
        "" => status.reason.clone(),
        message => message.trim().to_owned(),
    }
}

/// Returns true if no connection was made.
fn is_connect_error(error: &kube::Error) -> bool {
    causes(error).any(|cause| {
        let client = cause.downcast_ref::<hyper_util::client::legacy::Error>();
        let io = cause.downcast_ref::<io::Error>();
        client.is_some_and(hyper_util::client::legacy::Error::is_connect)
            || io.is_some_and(|io| io.kind() == io::ErrorKind::ConnectionRefused)
    })
}

/// Returns the messages of an error and its causes, each once.
fn error_chain(error: &kube::Error) -> String {
    let mut all: Vec<String> = Vec::new();
    for cause in causes(error) {
        let message = cause.to_string();
        if !all.iter().any(|before| before.contains(&message)) {
            all.push(message);
        }
    }
    all.join(": ")
}

fn causes(error: &kube::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    let error: &(dyn Error + 'static) = error;
    std::iter::successors(Some(error), |error: &&(dyn Error + 'static)| {
        (*error).source()
    })
    .take(MAX_CAUSES)
}
