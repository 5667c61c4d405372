//! Errors about certificates: the file, the problem, and the flag that names the file.

use std::{
    error::Error,
    io,
    path::{Path, PathBuf},
};

use thiserror::Error;

use nadmit_pki::SignerError;

/// Error about a certificate or key that cannot be used.
#[derive(Debug, Error)]
#[error("{}{problem}", location(*flag, path))]
pub struct CertificateError {
    flag: Option<&'static str>,
    path: PathBuf,
    problem: CertificateProblem,
}

/// The problem with a certificate or key.
#[derive(Debug, Error)]
pub(super) enum CertificateProblem {
    #[error("cannot be read ({0}); make it readable, or name another with the flag")]
    Read(#[source] io::Error),
    #[error("cannot be written ({0}); make the directory writable, or name another with the flag")]
    Write(#[source] io::Error),
    #[error("holds no PEM certificate; put the certificate there, with those that lead to its CA")]
    NoCertificate,
    #[error("holds no PEM private key; put the key there, unencrypted")]
    NoKey,
    #[error("is not a certificate that can be used ({0}); replace it")]
    Certificate(String),
    #[error("is not a key that can be used ({0}); replace it")]
    Key(#[source] rustls::Error),
    #[error("does not fit the key in {}; replace one of them", .0.display())]
    Mismatch(PathBuf),
    #[error("is there without {}; add it, or move both away to have them made", .0.display())]
    Unpaired(PathBuf),
    #[error("was not made by nadmit and cannot sign ({0}); move it away to have a CA made")]
    Authority(#[source] SignerError),
    #[error(
        "was not made by nadmit and cannot sign (it has expired); move it away to have a CA made"
    )]
    AuthorityExpired,
    #[error("cannot hold a certificate for \"{name}\" ({reason}); name hosts or addresses")]
    Name { name: String, reason: String },
    #[error("the TLS library failed: {0}")]
    Library(Box<dyn Error + Send + Sync>),
}

impl CertificateError {
    pub(super) fn new(flag: &'static str, path: &Path, problem: CertificateProblem) -> Self {
        Self {
            flag: Some(flag),
            path: path.to_owned(),
            problem,
        }
    }

    /// Creates an error that no file caused.
    pub(super) fn library(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self {
            flag: None,
            path: PathBuf::new(),
            problem: CertificateProblem::Library(error.into()),
        }
    }
}

fn location(flag: Option<&'static str>, path: &Path) -> String {
    flag.map_or(String::new(), |flag| format!("{flag}: {} ", path.display()))
}
