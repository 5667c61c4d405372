//! Errors of a pass of the certificate keeper.

use std::fmt::Write as _;

use thiserror::Error;

use nadmit_api::call::ApiError;
use nadmit_pki::IssueError;

/// The failure of a pass.
#[derive(Debug, Error)]
pub(super) enum CertificateError {
    /// The Secret or a webhook configuration cannot be read.
    #[error("{object} cannot be read: {source}")]
    Read {
        /// The name of the Secret, or the path of the configuration.
        object: String,
        /// The API server's response.
        source: ApiError,
    },
    /// The Secret cannot be written.
    #[error("{object} cannot be written: {source}")]
    Write {
        /// The name of the Secret.
        object: String,
        /// The API server's response.
        source: ApiError,
    },
    /// A webhook configuration cannot be patched.
    #[error("{path} cannot be patched: {source}")]
    Patch {
        /// The path of the configuration.
        path: String,
        /// The API server's response.
        source: ApiError,
    },
    /// Other replicas wrote the Secret between each read and write.
    #[error("{secret} kept changing")]
    KeptChanging {
        /// The name of the Secret.
        secret: String,
    },
    /// A certificate cannot be created.
    #[error("{secret}: {source}")]
    Renewal {
        /// The name of the Secret.
        secret: String,
        /// The reason.
        source: RenewalError,
    },
    /// Another component manages the Secret, and its certificate is not valid.
    #[error(
        "{secret} has no valid certificate, and no ca.key, so another component has to renew the \
         certificate; to let nadmit create one, delete the Secret"
    )]
    ExternalInvalid {
        /// The name of the Secret.
        secret: String,
    },
    /// The Secret has no certificate that callers would accept.
    #[error("{secret} has no usable certificate")]
    NothingToServe {
        /// The name of the Secret.
        secret: String,
    },
    /// Several steps of the pass failed.
    #[error("{}", joined(.0))]
    Several(Vec<Self>),
}

/// The failure to create keys and certificates.
#[derive(Debug, Error)]
pub(super) enum RenewalError {
    /// The cryptography failed.
    #[error(transparent)]
    Issue(#[from] IssueError),
    /// The names or the validity of the new certificate do not fit.
    #[error("clients would not trust the new certificate")]
    Untrusted,
    /// The plan names no CA that could sign.
    #[error("no CA can sign the certificate")]
    NoSigner,
    /// The new CA cannot be parsed.
    #[error("nadmit cannot read the CA that it created")]
    UnreadableCa,
    /// The new certificate cannot be parsed.
    #[error("nadmit cannot read the certificate that it created")]
    UnreadableCertificate,
}

impl CertificateError {
    /// Returns the errors of a pass as one; `None` for a pass without errors.
    pub(super) fn of(mut errors: Vec<Self>) -> Option<Self> {
        match errors.len() {
            0 | 1 => errors.pop(),
            _ => Some(Self::Several(errors)),
        }
    }
}

fn joined(errors: &[CertificateError]) -> String {
    let mut text = String::new();
    for (number, error) in errors.iter().enumerate() {
        let separator = if number == 0 { "" } else { "; " };
        // Writing to a String cannot fail.
        let _ = write!(text, "{separator}{error}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_errors_of_a_pass_are_joined() {
        let changing = || CertificateError::KeptChanging {
            secret: "the Secret nadmit/nadmit-tls".to_owned(),
        };
        let patch = CertificateError::Patch {
            path: "/apis/x".to_owned(),
            source: ApiError::Conflict("changed".to_owned()),
        };
        let text = |errors| CertificateError::of(errors).map(|error| error.to_string());
        assert_eq!(text(Vec::new()), None);
        let one = "the Secret nadmit/nadmit-tls kept changing";
        assert_eq!(text(vec![changing()]).as_deref(), Some(one));
        assert_eq!(
            text(vec![changing(), patch]),
            Some(format!("{one}; /apis/x cannot be patched: changed"))
        );
    }
}
