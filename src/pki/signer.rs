//! A CA that can sign.

use rcgen::{Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};

use super::{Certificate, PrivateKey};

/// The certificate of a CA, with its key.
#[derive(Debug)]
pub struct Signer {
    /// The certificate.
    pub certificate: Certificate,
    pub(super) issuer: Issuer<'static, KeyPair>,
}

impl Signer {
    /// The CA whose certificate is `der`, with its key. Whether it is time for it is not asked.
    ///
    /// # Errors
    /// When one of them cannot be used, or they are not of one another: in words, without the key.
    pub fn new(der: &CertificateDer<'_>, key: &PrivateKey) -> Result<Self, String> {
        let certificate = Certificate::from_der(der).ok_or("it cannot be read")?;
        Self::of(certificate, &key_pair(key)?)
    }

    /// That of these certificates to which the key belongs.
    pub fn for_key(certificates: &[Certificate], key: &PrivateKey) -> Option<Self> {
        let pair = key_pair(key).ok()?;
        let public_key = public_key(&pair);
        let fits = |one: &&Certificate| one.is_authority && one.public_key == public_key;
        // The newest, should one key have several.
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
