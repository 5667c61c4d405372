//! A CA that can sign certificates.

use rcgen::{Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};

use super::{Certificate, PrivateKey};

/// A CA certificate with its key.
#[derive(Debug)]
pub struct Signer {
    /// The CA certificate.
    pub certificate: Certificate,
    pub(super) issuer: Issuer<'static, KeyPair>,
}

impl Signer {
    /// Creates a signer from a CA certificate and its key. Validity periods are not checked.
    ///
    /// # Errors
    /// Returns the reason, without the key, if certificate or key cannot be used or do not match.
    pub fn new(der: &CertificateDer<'_>, key: &PrivateKey) -> Result<Self, String> {
        let certificate = Certificate::from_der(der).ok_or("it cannot be read")?;
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

    fn of(certificate: Certificate, pair: &KeyPair) -> Result<Self, String> {
        if !certificate.is_authority {
            return Err("it is not a CA certificate".to_owned());
        }
        if certificate.public_key != public_key(pair) {
            return Err("certificate and key do not fit".to_owned());
        }
        let pair = KeyPair::try_from(pair.serialized_der()).map_err(|error| error.to_string())?;
        let issuer = Issuer::from_ca_cert_der(&certificate.der, pair);
        Ok(Self {
            issuer: issuer.map_err(|error| error.to_string())?,
            certificate,
        })
    }
}

fn key_pair(key: &PrivateKey) -> Result<KeyPair, String> {
    let der = PrivateKeyDer::from_pem_slice(key.expose());
    let der = der.map_err(|_| "there is no PEM private key".to_owned())?;
    KeyPair::try_from(&der).map_err(|error| error.to_string())
}

fn public_key(pair: &KeyPair) -> Vec<u8> {
    use rcgen::PublicKeyData as _;
    pair.subject_public_key_info()
}
