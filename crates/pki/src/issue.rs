//! Issues keys and certificates. Times come from the caller; keys, and the serial numbers derived
//! from them, come from the crypto provider.

use std::time::Duration;

use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, Error, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};

use super::{PrivateKey, Signer};

/// A new certificate with its private key.
#[derive(Debug, Clone)]
pub struct IssuedCertificate {
    /// Certificate in PEM.
    pub cert: String,
    pub key: PrivateKey,
}

/// Issues a self-signed CA, valid from `begin` to `end`. It uses ECDSA on P-256 and may sign server
/// certificates but no further CAs.
///
/// # Errors
/// Fails if key generation or signing fails.
pub fn issue_ca(name: &str, begin: Timestamp, end: Timestamp) -> Result<IssuedCertificate, Error> {
    let mut params = params(name, begin, end);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = KeyPair::generate()?;
    let cert = params.self_signed(&key)?;
    Ok(IssuedCertificate {
        cert: cert.pem(),
        key: PrivateKey::new(key.serialize_pem()),
    })
}

/// Issues a server certificate for DNS names and IP addresses, valid from `begin` to `end` or to
/// the end of its CA, whichever is earlier. The key is an ECDSA key on P-256.
///
/// # Errors
/// Fails if a name is invalid or the CA cannot sign.
pub fn issue_server(
    names: &[String],
    signer: &Signer,
    begin: Timestamp,
    end: Timestamp,
) -> Result<IssuedCertificate, Error> {
    let mut params = params("nadmit", begin, end.min(signer.certificate.not_after));
    params.subject_alt_names = CertificateParams::new(names)?.subject_alt_names;
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate()?;
    let cert = params.signed_by(&key, &signer.issuer)?;
    Ok(IssuedCertificate {
        cert: cert.pem(),
        key: PrivateKey::new(key.serialize_pem()),
    })
}

fn params(name: &str, begin: Timestamp, end: Timestamp) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    let epoch = date_time_ymd(1970, 1, 1);
    params.not_before = epoch + since_epoch(begin);
    params.not_after = epoch + since_epoch(end);
    params
}

/// Returns the time since the epoch; zero for times before it.
pub(super) fn since_epoch(moment: Timestamp) -> Duration {
    Duration::from_secs(u64::try_from(moment.as_second()).unwrap_or(0))
}
