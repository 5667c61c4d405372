//! From the bytes of PEM files to what rustls shows and asks for.

use std::{fs, path::PathBuf};

use rustls::{
    Error, InconsistentKeys,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    sign::CertifiedKey,
};
use x509_parser::parse_x509_certificate;

use super::{
    client::Verifier,
    error::{CertificateError, Problem},
    provider,
};
use crate::server::options::{Certificates, Identity};

/// The certificate in a certificate directory.
pub(super) const TLS_CERT: &str = "tls.crt";
/// Its key.
pub(super) const TLS_KEY: &str = "tls.key";

/// A file, with the flag that names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) flag: &'static str,
    pub(super) path: PathBuf,
}

/// The files that make up what is shown and asked for.
#[derive(Debug, Clone)]
pub(super) struct Sources {
    cert: Source,
    key: Source,
    client_ca: Option<Source>,
}

/// What they contain.
#[derive(PartialEq, Eq)]
pub(super) struct Contents {
    cert: Vec<u8>,
    key: Vec<u8>,
    client_ca: Option<Vec<u8>>,
}

/// What that means.
pub(super) struct Loaded {
    pub(super) identity: CertifiedKey,
    /// When the certificate expires, in seconds since the epoch.
    pub(super) expiry: i64,
    pub(super) client: Option<Verifier>,
}

impl Source {
    pub(super) fn new(flag: &'static str, path: impl Into<PathBuf>) -> Self {
        Self {
            flag,
            path: path.into(),
        }
    }

    pub(super) fn error(&self, problem: Problem) -> CertificateError {
        CertificateError::new(self.flag, &self.path, problem)
    }

    pub(super) fn read(&self) -> Result<Vec<u8>, CertificateError> {
        fs::read(&self.path).map_err(|error| self.error(Problem::Read(error)))
    }
}

impl Sources {
    pub(super) fn new(certificates: &Certificates) -> Self {
        let [cert, key] = match &certificates.identity {
            Identity::Directory { path, .. } => {
                [TLS_CERT, TLS_KEY].map(|name| Source::new("--cert-dir", path.join(name)))
            }
            Identity::Files { cert, key } => [
                Source::new("--tls-cert", cert),
                Source::new("--tls-key", key),
            ],
        };
        let client_ca = certificates.client_ca.as_ref();
        Self {
            cert,
            key,
            client_ca: client_ca.map(|path| Source::new("--client-ca", path)),
        }
    }

    pub(super) fn read(&self) -> Result<Contents, CertificateError> {
        Ok(Contents {
            cert: self.cert.read()?,
            key: self.key.read()?,
            client_ca: self.client_ca.as_ref().map(Source::read).transpose()?,
        })
    }

    pub(super) fn load(&self, contents: &Contents) -> Result<Loaded, CertificateError> {
        let identity = identity(&self.cert, &contents.cert, &self.key, &contents.key)?;
        let expiry = expiry(&self.cert, &identity)?;
        let client = self.client_ca.as_ref().zip(contents.client_ca.as_ref());
        Ok(Loaded {
            identity,
            expiry,
            client: client
                .map(|(source, pem)| Verifier::new(source, certificates(source, pem)?))
                .transpose()?,
        })
    }
}

/// A certificate with the key that fits it.
pub(super) fn identity(
    cert: &Source,
    cert_pem: &[u8],
    key: &Source,
    key_pem: &[u8],
) -> Result<CertifiedKey, CertificateError> {
    let chain = certificates(cert, cert_pem)?;
    let der = PrivateKeyDer::from_pem_slice(key_pem).map_err(|_| key.error(Problem::NoKey))?;
    let signer = provider()
        .key_provider
        .load_private_key(der)
        .map_err(|error| key.error(Problem::Key(error)))?;
    let identity = CertifiedKey::new(chain, signer);
    match identity.keys_match() {
        Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(identity),
        Err(Error::InconsistentKeys(_)) => Err(cert.error(Problem::Mismatch(key.path.clone()))),
        Err(error) => Err(cert.error(Problem::Certificate(error.to_string()))),
    }
}

/// All certificates of a PEM file; at least one.
pub(super) fn certificates(
    source: &Source,
    pem: &[u8],
) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match chain {
        Ok(chain) if !chain.is_empty() => Ok(chain),
        Ok(_) | Err(_) => Err(source.error(Problem::NoCertificate)),
    }
}

fn expiry(source: &Source, identity: &CertifiedKey) -> Result<i64, CertificateError> {
    let unusable = |error: String| source.error(Problem::Certificate(error));
    let leaf = identity
        .end_entity_cert()
        .map_err(|error| unusable(error.to_string()))?;
    let (_, parsed) = parse_x509_certificate(leaf).map_err(|error| unusable(error.to_string()))?;
    Ok(parsed.validity().not_after.timestamp())
}
