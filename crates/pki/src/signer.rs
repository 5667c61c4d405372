//! A CA that can sign certificates.

use rcgen::{Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use thiserror::Error;

use super::{Certificate, PrivateKey};

/// A CA certificate with its key.
#[derive(Debug)]
pub struct Signer {
    /// The CA certificate.
    pub certificate: Certificate,
    pub(super) issuer: Issuer<'static, KeyPair>,
}

/// The reason why a certificate and a key cannot sign. None contains the key.
#[derive(Debug, Error)]
pub enum SignerError {
    /// The certificate cannot be parsed.
    #[error("it cannot be read")]
    Unreadable,
    /// The certificate may not sign others.
    #[error("it is not a CA certificate")]
    NotAuthority,
    /// The certificate has another public key.
    #[error("certificate and key do not fit")]
    Mismatch,
    /// There is no key. The parser's error would quote its lines.
    #[error("there is no PEM private key")]
    NoKey,
    /// The certificate or the key is of a kind that cannot sign.
    #[error(transparent)]
    Unsupported(#[from] rcgen::Error),
}

impl Signer {
    /// Creates a signer from a CA certificate and its key. Validity periods are not checked.
    ///
    /// # Errors
    /// [`SignerError`] if certificate or key cannot be used or do not match.
    pub fn new(der: &CertificateDer<'_>, key: &PrivateKey) -> Result<Self, SignerError> {
        let certificate = Certificate::from_der(der).ok_or(SignerError::Unreadable)?;
        Self::of(certificate, &key_pair(key)?)
    }

    /// Returns the signer for the CA certificate that matches `key`.
    pub fn for_key(certificates: &[Certificate], key: &PrivateKey) -> Option<Self> {
        let pair = key_pair(key).ok()?;
        let public_key = public_key(&pair);
        let fits = |one: &&Certificate| one.is_authority && one.public_key == public_key;
        // The newest, if several certificates share the key.
        let found = certificates
            .iter()
            .filter(fits)
            .max_by_key(|one| one.not_before);
        Self::of(found?.clone(), &pair).ok()
    }

    fn of(certificate: Certificate, pair: &KeyPair) -> Result<Self, SignerError> {
        if !certificate.is_authority {
            return Err(SignerError::NotAuthority);
        }
        if certificate.public_key != public_key(pair) {
            return Err(SignerError::Mismatch);
        }
        let pair = KeyPair::try_from(pair.serialized_der())?;
        Ok(Self {
            issuer: Issuer::from_ca_cert_der(&certificate.der, pair)?,
            certificate,
        })
    }
}

fn key_pair(key: &PrivateKey) -> Result<KeyPair, SignerError> {
    let der = PrivateKeyDer::from_pem_slice(key.expose());
    let der = der.map_err(|_| SignerError::NoKey)?;
    Ok(KeyPair::try_from(&der)?)
}

fn public_key(pair: &KeyPair) -> Vec<u8> {
    use rcgen::PublicKeyData as _;
    pair.subject_public_key_info()
}
