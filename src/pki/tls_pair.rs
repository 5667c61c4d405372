//! A chain of certificates and the key that fits the first of them.

use rustls::{
    Error, InconsistentKeys,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    sign::CertifiedKey,
};
use thiserror::Error;

use super::{PrivateKey, provider};

/// What a server shows and proves, in PEM; whether the two can be used is another question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsPair {
    /// The server's certificate, with those that lead to its CA.
    pub cert: Vec<u8>,
    /// Its key.
    pub key: PrivateKey,
}

/// Why a pair cannot be used. No part of a key is in it.
#[derive(Debug, Error)]
pub enum TlsPairError {
    /// There is no certificate, or a part of the text is none.
    #[error("it holds no PEM certificate")]
    NoCertificate,
    /// There is no key.
    #[error("it holds no PEM private key")]
    NoKey,
    /// The key is of a sort that is not known, or broken.
    #[error("the key cannot be used ({0})")]
    Key(#[source] Error),
    /// The first certificate cannot be read.
    #[error("the certificate cannot be used ({0})")]
    Certificate(Error),
    /// They are not of one another.
    #[error("certificate and key do not fit")]
    Mismatch,
}

impl TlsPair {
    /// Reads both, as a server needs them.
    ///
    /// # Errors
    /// When one cannot be read, or they do not fit.
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
