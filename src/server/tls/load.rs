//! From the bytes of PEM files to what rustls shows and asks for.

use std::{future::pending, path::PathBuf, sync::Arc};

use rustls::{
    pki_types::{CertificateDer, pem::PemObject},
    sign::CertifiedKey,
};
use tokio::sync::watch::Receiver;

use super::{
    client::Verifier,
    error::{CertificateError, Problem},
};
use crate::{
    files,
    pki::{Certificate, Pair, PrivateKey, WrongPair},
    server::options::{CertificateSource, ServerCertificates},
};

/// The bytes of a file with certificates or a key: more than all public authorities together.
pub(super) const MOST: u64 = 1 << 20;
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

/// Where what is shown and asked for comes from.
#[derive(Debug, Clone)]
pub(super) struct Sources {
    cert: Source,
    key: Source,
    /// Who brings certificate and key, if they are in no files.
    kept: Option<Receiver<Option<Arc<Pair>>>>,
    client_ca: Option<Source>,
}

/// What they contain.
#[derive(PartialEq, Eq)]
pub(super) struct Contents {
    /// `None` if nobody has brought one yet.
    pair: Option<Pair>,
    client_ca: Option<Vec<u8>>,
}

/// What that means.
pub(super) struct Loaded {
    pub(super) shown: Option<Shown>,
    pub(super) client: Option<Verifier>,
}

/// What is shown.
pub(super) struct Shown {
    pub(super) identity: CertifiedKey,
    /// When the certificate expires, in seconds since the epoch.
    pub(super) expiry: i64,
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
        files::read(&self.path, MOST).map_err(|error| self.error(Problem::Read(error)))
    }
}

impl Sources {
    pub(super) fn new(certificates: &ServerCertificates) -> Self {
        let [cert, key] = match &certificates.source {
            CertificateSource::Directory { path, .. } => {
                [TLS_CERT, TLS_KEY].map(|name| Source::new("--cert-dir", path.join(name)))
            }
            CertificateSource::Files { cert, key } => [
                Source::new("--tls-cert", cert),
                Source::new("--tls-key", key),
            ],
            CertificateSource::Secret { secret, .. } => [TLS_CERT, TLS_KEY]
                .map(|name| Source::new("--tls-secret", PathBuf::from(secret).join(name))),
        };
        let kept = match &certificates.source {
            CertificateSource::Secret { pair, .. } => Some(pair.clone()),
            CertificateSource::Directory { .. } | CertificateSource::Files { .. } => None,
        };
        let client_ca = certificates.client_ca.as_ref();
        Self {
            cert,
            key,
            kept,
            client_ca: client_ca.map(|path| Source::new("--client-ca", path)),
        }
    }

    /// Whether somebody else looks after certificate and key.
    pub(super) fn are_kept(&self) -> bool {
        self.kept.is_some()
    }

    /// Waits until somebody brings another certificate; for ever, if it is in files.
    pub(super) async fn brought(&mut self) {
        let brought = match &mut self.kept {
            Some(kept) => kept.changed().await.is_ok(),
            None => false,
        };
        if !brought {
            pending::<()>().await;
        }
    }

    pub(super) fn read(&self) -> Result<Contents, CertificateError> {
        let pair = match &self.kept {
            Some(kept) => kept.borrow().as_deref().cloned(),
            None => Some(Pair {
                cert: self.cert.read()?,
                key: PrivateKey::new(self.key.read()?),
            }),
        };
        Ok(Contents {
            pair,
            client_ca: self.client_ca.as_ref().map(Source::read).transpose()?,
        })
    }

    pub(super) fn load(&self, contents: &Contents) -> Result<Loaded, CertificateError> {
        let shown = contents.pair.as_ref().map(|pair| {
            let identity = identity(&self.cert, &self.key, pair)?;
            let expiry = expiry(&self.cert, &identity)?;
            Ok(Shown { identity, expiry })
        });
        let client = self.client_ca.as_ref().zip(contents.client_ca.as_ref());
        Ok(Loaded {
            shown: shown.transpose()?,
            client: client
                .map(|(source, pem)| Verifier::new(source, certificates(source, pem)?))
                .transpose()?,
        })
    }
}

/// A certificate with the key that fits it.
pub(super) fn identity(
    cert: &Source,
    key: &Source,
    pair: &Pair,
) -> Result<CertifiedKey, CertificateError> {
    pair.identity().map_err(|wrong| match wrong {
        WrongPair::NoCertificate => cert.error(Problem::NoCertificate),
        WrongPair::NoKey => key.error(Problem::NoKey),
        WrongPair::Key(error) => key.error(Problem::Key(error)),
        WrongPair::Certificate(error) => cert.error(Problem::Certificate(error.to_string())),
        WrongPair::Mismatch => cert.error(Problem::Mismatch(key.path.clone())),
    })
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
    let leaf = identity.cert.first().and_then(Certificate::from_der);
    let leaf = leaf.ok_or_else(|| source.error(Problem::NoCertificate))?;
    Ok(leaf.not_after.as_second())
}
