//! A certificate and its key in a certificate directory: origin and usability.

use std::{io, path::Path};

use jiff::Timestamp;
use rustls::sign::CertifiedKey;

use super::FLAG;
use crate::tls::{
    error::{CertificateError, CertificateProblem},
    files::{self, PUBLIC, SECRET},
    load,
    pem_file::{MAX_PEM_BYTES, PemFile},
};
use nadmit_pki::{self as pki, IssuedCertificate, PrivateKey, Signer};

/// The files of a certificate and its key.
pub(super) struct PairFiles {
    pub(super) cert: PemFile,
    pub(super) key: PemFile,
    pub(super) cert_pem: Option<Vec<u8>>,
    pub(super) key_pem: Option<Vec<u8>>,
}

impl PairFiles {
    pub(super) fn read(directory: &Path, cert: &str, key: &str) -> Result<Self, CertificateError> {
        let [cert, key] = [cert, key].map(|name| PemFile::new(FLAG, directory.join(name)));
        Ok(Self {
            cert_pem: read_if_present(&cert)?,
            key_pem: read_if_present(&key)?,
            cert,
            key,
        })
    }

    /// Returns true if a file was not created by nadmit.
    pub(super) fn is_foreign(&self) -> bool {
        let mut parts = [&self.cert_pem, &self.key_pem].into_iter().flatten();
        parts.any(|pem| !files::is_marked(pem))
    }

    pub(super) fn identity(&self) -> Result<CertifiedKey, CertificateError> {
        match (&self.cert_pem, &self.key_pem) {
            (Some(cert), Some(key)) => {
                let (cert, key) = (cert.clone(), PrivateKey::new(key.clone()));
                load::identity(&self.cert, &self.key, &pki::TlsPair { cert, key })
            }
            (None, _) => Err(self
                .key
                .error(CertificateProblem::Unpaired(self.cert.path.clone()))),
            (_, None) => Err(self
                .cert
                .error(CertificateProblem::Unpaired(self.key.path.clone()))),
        }
    }

    /// Returns the pair as a CA that can sign.
    pub(super) fn signer(&self, now: Timestamp) -> Result<Signer, CertificateError> {
        let identity = self.identity()?;
        let key = PrivateKey::new(self.key_pem.clone().unwrap_or_default());
        let signer = Signer::new(&identity.cert[0], &key)
            .map_err(|error| self.cert.error(CertificateProblem::Authority(error)))?;
        if signer.certificate.not_after <= now {
            return Err(self.cert.error(CertificateProblem::AuthorityExpired));
        }
        Ok(signer)
    }

    pub(super) fn write(&self, issued: &IssuedCertificate) -> Result<(), CertificateError> {
        let files = [
            (&self.key, issued.key.expose(), SECRET),
            (&self.cert, issued.cert.as_bytes(), PUBLIC),
        ];
        for (source, pem, mode) in files {
            files::write(&source.path, pem, mode)
                .map_err(|error| source.error(CertificateProblem::Write(error)))?;
        }
        Ok(())
    }
}

fn read_if_present(source: &PemFile) -> Result<Option<Vec<u8>>, CertificateError> {
    match nadmit_host::files::read(&source.path, MAX_PEM_BYTES) {
        Ok(contents) => Ok(Some(contents)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(source.error(CertificateProblem::Read(error))),
    }
}
