//! PEM files of certificates, keys and CAs.

use std::path::PathBuf;

use super::error::{CertificateError, CertificateProblem};
use nadmit_host::files;

/// Maximum size of a PEM file, in bytes: larger than a bundle of all public CAs.
pub(super) const MAX_PEM_BYTES: u64 = 1 << 20;

/// A PEM file with the flag that names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PemFile {
    pub(super) flag: &'static str,
    pub(super) path: PathBuf,
}

impl PemFile {
    pub(super) fn new(flag: &'static str, path: impl Into<PathBuf>) -> Self {
        Self {
            flag,
            path: path.into(),
        }
    }

    pub(super) fn error(&self, problem: CertificateProblem) -> CertificateError {
        CertificateError::new(self.flag, &self.path, problem)
    }

    pub(super) fn read(&self) -> Result<Vec<u8>, CertificateError> {
        files::read(&self.path, MAX_PEM_BYTES)
            .map_err(|error| self.error(CertificateProblem::Read(error)))
    }
}
