//! Making keys and certificates. Times come from the caller; keys, and the serial numbers that
//! follow from them, come from the one source of cryptography.

use std::time::Duration;

use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, Error, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};

use super::{PrivateKey, Signer};

/// A certificate in PEM, and its key.
#[derive(Debug, Clone)]
pub struct IssuedCertificate {
    /// The certificate.
    pub cert: String,
    /// Its key.
    pub key: PrivateKey,
}

/// A CA of this name that signs itself, good from `begin` to `end`: ECDSA on P-256, for certificates
/// of servers and not of further CAs.
///
/// # Errors
/// When the cryptography fails.
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

/// A server certificate for these names and addresses, good from `begin` to `end` and no longer than
/// its CA. The key is an ECDSA key on P-256.
///
/// # Errors
/// When a name is none, or the CA cannot sign.
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

/// Times before the epoch become the epoch.
pub(super) fn since_epoch(moment: Timestamp) -> Duration {
    Duration::from_secs(u64::try_from(moment.as_second()).unwrap_or(0))
}
