//! Loads certificates and client CAs from PEM into rustls types.

use std::{future::pending, path::PathBuf, sync::Arc};

use jiff::Timestamp;
use rustls::{
    pki_types::{CertificateDer, pem::PemObject},
    sign::CertifiedKey,
};
use tokio::sync::watch::Receiver;

use super::{
    client::ClientVerifier,
    error::{CertificateError, CertificateProblem},
    pem_file::PemFile,
    source::{CertificateSource, ServerCertificates},
};
use nadmit_pki::{Certificate, PrivateKey, TlsPair, TlsPairError};

/// File name of the certificate in a certificate directory.
pub(super) const TLS_CERT: &str = "tls.crt";
/// File name of the private key in a certificate directory.
pub(super) const TLS_KEY: &str = "tls.key";

/// Sources of the server certificate and of the client CAs.
#[derive(Debug, Clone)]
pub(super) struct PemSources {
    cert: PemFile,
    key: PemFile,
    /// Delivers certificate and key if they are not in files.
    managed: Option<Receiver<Option<Arc<TlsPair>>>>,
    client_ca: Option<PemFile>,
}

/// The PEM contents of the sources.
#[derive(PartialEq, Eq)]
pub(super) struct PemContents {
    /// `None` until a managed certificate has been delivered.
    pair: Option<TlsPair>,
    client_ca: Option<Vec<u8>>,
}

/// Certificates parsed from PEM.
pub(super) struct LoadedCertificates {
    pub(super) served: Option<ServedCertificate>,
    pub(super) client: Option<ClientVerifier>,
}

/// The certificate that the server presents.
pub(super) struct ServedCertificate {
    pub(super) identity: CertifiedKey,
    /// Expiry of the certificate.
    pub(super) expiry: Timestamp,
}

impl PemSources {
    pub(super) fn new(certificates: &ServerCertificates) -> Self {
        let [cert, key] = match &certificates.source {
            CertificateSource::Directory { path, .. } => {
                [TLS_CERT, TLS_KEY].map(|name| PemFile::new("--cert-dir", path.join(name)))
            }
            CertificateSource::Files { cert, key } => [
                PemFile::new("--tls-cert", cert),
                PemFile::new("--tls-key", key),
            ],
            CertificateSource::Secret { secret, .. } => [TLS_CERT, TLS_KEY]
                .map(|name| PemFile::new("--tls-secret", PathBuf::from(secret).join(name))),
        };
        let managed = match &certificates.source {
            CertificateSource::Secret { pair, .. } => Some(pair.clone()),
            CertificateSource::Directory { .. } | CertificateSource::Files { .. } => None,
        };
        let client_ca = certificates.client_ca.as_ref();
        Self {
            cert,
            key,
            managed,
            client_ca: client_ca.map(|path| PemFile::new("--client-ca", path)),
        }
    }

    /// Returns true if a controller maintains certificate and key.
    pub(super) fn are_managed(&self) -> bool {
        self.managed.is_some()
    }

    /// Waits until another certificate is delivered; forever if it is in files.
    pub(super) async fn changed(&mut self) {
        let changed = match &mut self.managed {
            Some(managed) => managed.changed().await.is_ok(),
            None => false,
        };
        if !changed {
            pending::<()>().await;
        }
    }

    pub(super) fn read(&self) -> Result<PemContents, CertificateError> {
        let pair = match &self.managed {
            Some(managed) => managed.borrow().as_deref().cloned(),
            None => Some(TlsPair {
                cert: self.cert.read()?,
                key: PrivateKey::new(self.key.read()?),
            }),
        };
        Ok(PemContents {
            pair,
            client_ca: self.client_ca.as_ref().map(PemFile::read).transpose()?,
        })
    }

    pub(super) fn load(
        &self,
        contents: &PemContents,
    ) -> Result<LoadedCertificates, CertificateError> {
        let served = contents.pair.as_ref().map(|pair| {
            let identity = identity(&self.cert, &self.key, pair)?;
            let expiry = expiry(&self.cert, &identity)?;
            Ok(ServedCertificate { identity, expiry })
        });
        let client = self.client_ca.as_ref().zip(contents.client_ca.as_ref());
        Ok(LoadedCertificates {
            served: served.transpose()?,
            client: client
                .map(|(source, pem)| ClientVerifier::new(source, certificates(source, pem)?))
                .transpose()?,
        })
    }
}

/// Parses a certificate chain and its private key.
pub(super) fn identity(
    cert: &PemFile,
    key: &PemFile,
    pair: &TlsPair,
) -> Result<CertifiedKey, CertificateError> {
    pair.identity().map_err(|wrong| match wrong {
        TlsPairError::NoCertificate => cert.error(CertificateProblem::NoCertificate),
        TlsPairError::NoKey => key.error(CertificateProblem::NoKey),
        TlsPairError::Key(error) => key.error(CertificateProblem::Key(error)),
        TlsPairError::Certificate(error) => {
            cert.error(CertificateProblem::Certificate(error.to_string()))
        }
        TlsPairError::Mismatch => cert.error(CertificateProblem::Mismatch(key.path.clone())),
    })
}

/// Parses all certificates of a PEM file; returns at least one.
pub(super) fn certificates(
    source: &PemFile,
    pem: &[u8],
) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match chain {
        Ok(chain) if !chain.is_empty() => Ok(chain),
        Ok(_) | Err(_) => Err(source.error(CertificateProblem::NoCertificate)),
    }
}

fn expiry(source: &PemFile, identity: &CertifiedKey) -> Result<Timestamp, CertificateError> {
    let leaf = identity.cert.first().and_then(Certificate::from_der);
    let leaf = leaf.ok_or_else(|| source.error(CertificateProblem::NoCertificate))?;
    Ok(leaf.not_after)
}
