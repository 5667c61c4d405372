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
    #[error("cannot be read ({0}); make the file readable, or use another file")]
    Read(#[source] io::Error),
    #[error("cannot be written ({0}); make the directory writable, or use another directory")]
    Write(#[source] io::Error),
    #[error("contains no PEM certificate; write the certificate and its chain into the file")]
    NoCertificate,
    #[error("contains no PEM private key; write the unencrypted key into the file")]
    NoKey,
    #[error("is not a usable certificate ({0}); replace the file")]
    Certificate(String),
    #[error("is not a usable key ({0}); replace the file")]
    Key(#[source] rustls::Error),
    #[error("does not match the key in {}; replace one of the files", .0.display())]
    Mismatch(PathBuf),
    #[error("exists without {}; add that file, or move both away, then nadmit creates both", .0.display())]
    Unpaired(PathBuf),
    #[error(
        "was not created by nadmit and cannot sign ({0}); move the file away, then nadmit creates a CA"
    )]
    Authority(#[source] SignerError),
    #[error(
        "was not created by nadmit and cannot sign (it has expired); move the file away, then nadmit \
         creates a CA"
    )]
    AuthorityExpired,
    #[error("cannot contain a certificate for \"{name}\" ({reason}); use host names or addresses")]
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
