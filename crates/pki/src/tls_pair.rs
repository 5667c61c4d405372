//! A certificate chain with its private key.
//!
//! `rustls-cert-file-reader` reads such a pair from files; this one comes from a Secret, too, its size is
//! bounded by the reader, and its errors say which half is wrong without a part of the key.

use rustls::{
    Error, InconsistentKeys,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    sign::CertifiedKey,
};
use thiserror::Error;

use super::{PrivateKey, provider};

/// A certificate chain and private key in PEM, not yet validated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsPair {
    /// Server certificate, followed by the intermediates that lead to its CA.
    pub cert: Vec<u8>,
    pub key: PrivateKey,
}

/// Error about an unusable pair. It contains no part of a key.
#[derive(Debug, Error)]
pub enum TlsPairError {
    /// There is no certificate, or a PEM section is invalid.
    #[error("it holds no PEM certificate")]
    NoCertificate,
    /// There is no private key.
    #[error("it holds no PEM private key")]
    NoKey,
    /// The key is invalid or of an unsupported type.
    #[error("the key cannot be used ({0})")]
    Key(#[source] Error),
    /// The first certificate cannot be parsed.
    #[error("the certificate cannot be used ({0})")]
    Certificate(Error),
    /// The key does not match the certificate.
    #[error("certificate and key do not fit")]
    Mismatch,
}

impl TlsPair {
    /// Parses the pair for use by a TLS server.
    ///
    /// # Errors
    /// Fails if chain or key cannot be parsed, or if they do not match.
    pub fn identity(&self) -> Result<CertifiedKey, TlsPairError> {
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&self.cert).collect();
        let chain = chain.unwrap_or_default();
        if chain.is_empty() {
            return Err(TlsPairError::NoCertificate);
        }
        let key = PrivateKeyDer::from_pem_slice(self.key.expose());
        let key = key.map_err(|_| TlsPairError::NoKey)?;
        let signer = provider().key_provider.load_private_key(key);
        let identity = CertifiedKey::new(chain, signer.map_err(TlsPairError::Key)?);
        match identity.keys_match() {
            Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(identity),
            Err(Error::InconsistentKeys(_)) => Err(TlsPairError::Mismatch),
            Err(error) => Err(TlsPairError::Certificate(error)),
        }
    }
}
