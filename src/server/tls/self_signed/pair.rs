//! A certificate and its key in a certificate directory: whose they are and what they are good for.

use std::{fs, io, path::Path};

use jiff::Timestamp;
use rcgen::{Issuer, KeyPair};
use rustls::{
    pki_types::{PrivateKeyDer, pem::PemObject},
    sign::CertifiedKey,
};
use x509_parser::parse_x509_certificate;

use super::FLAG;
use crate::server::tls::{
    error::{CertificateError, Problem},
    files::{self, PUBLIC, SECRET},
    issue::Issued,
    load::{self, Source},
};

/// A certificate and its key, as they lie in the directory.
pub(super) struct Pair {
    pub(super) cert: Source,
    pub(super) key: Source,
    pub(super) cert_pem: Option<Vec<u8>>,
    pub(super) key_pem: Option<Vec<u8>>,
}

/// What can sign, and until when.
pub(super) struct Signer {
    pub(super) issuer: Issuer<'static, KeyPair>,
    pub(super) end: Timestamp,
}

/// What a certificate says of itself.
pub(super) struct Terms {
    pub(super) begin: i64,
    pub(super) end: i64,
    is_authority: bool,
}

impl Pair {
    pub(super) fn read(directory: &Path, cert: &str, key: &str) -> Result<Self, CertificateError> {
        let [cert, key] = [cert, key].map(|name| Source::new(FLAG, directory.join(name)));
        Ok(Self {
            cert_pem: read_if_present(&cert)?,
            key_pem: read_if_present(&key)?,
            cert,
            key,
        })
    }

    /// Whether somebody else made a part of it.
    pub(super) fn is_foreign(&self) -> bool {
        let mut parts = [&self.cert_pem, &self.key_pem].into_iter().flatten();
        parts.any(|pem| !files::is_marked(pem))
    }

    pub(super) fn identity(&self) -> Result<CertifiedKey, CertificateError> {
        match (&self.cert_pem, &self.key_pem) {
            (Some(cert), Some(key)) => load::identity(&self.cert, cert, &self.key, key),
            (None, _) => Err(self.key.error(Problem::Alone(self.cert.path.clone()))),
            (_, None) => Err(self.cert.error(Problem::Alone(self.key.path.clone()))),
        }
    }

    /// The same as a CA that can sign.
    pub(super) fn signer(&self, now: Timestamp) -> Result<Signer, CertificateError> {
        let unusable = |reason: String| self.cert.error(Problem::Authority(reason));
        let identity = self.identity()?;
        let cert = &identity.cert[0];
        let terms = Terms::of(cert).ok_or_else(|| unusable("it cannot be read".to_owned()))?;
        if !terms.is_authority {
            return Err(unusable("it is no CA".to_owned()));
        }
        if terms.end <= now.as_second() {
            return Err(unusable("it has expired".to_owned()));
        }
        let key = self.key_pem.as_deref().unwrap_or_default();
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| self.key.error(Problem::NoKey))?;
        let key = KeyPair::try_from(&key).map_err(|error| unusable(error.to_string()))?;
        let issuer = Issuer::from_ca_cert_der(cert, key);
        Ok(Signer {
            issuer: issuer.map_err(|error| unusable(error.to_string()))?,
            end: Timestamp::from_second(terms.end).unwrap_or(Timestamp::MAX),
        })
    }

    pub(super) fn write(&self, issued: &Issued) -> Result<(), CertificateError> {
        let files = [
            (&self.key, &issued.key, SECRET),
            (&self.cert, &issued.cert, PUBLIC),
        ];
        for (source, pem, mode) in files {
            files::write(&source.path, pem, mode)
                .map_err(|error| source.error(Problem::Write(error)))?;
        }
        Ok(())
    }
}

impl Terms {
    pub(super) fn of(cert: &[u8]) -> Option<Self> {
        let (_, cert) = parse_x509_certificate(cert).ok()?;
        Some(Self {
            begin: cert.validity().not_before.timestamp(),
            end: cert.validity().not_after.timestamp(),
            is_authority: cert.is_ca(),
        })
    }
}

fn read_if_present(source: &Source) -> Result<Option<Vec<u8>>, CertificateError> {
    match fs::read(&source.path) {
        Ok(contents) => Ok(Some(contents)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(source.error(Problem::Read(error))),
    }
}
