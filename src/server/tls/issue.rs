//! Making keys and certificates. The moment comes from the caller; keys, and the serial numbers
//! that follow from them, come from the one source of cryptography.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DnType, Error, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, date_time_ymd,
};

/// How long a CA lasts: ten years.
const AUTHORITY_LIFETIME: SignedDuration = SignedDuration::from_hours(24 * 3652);
/// How long a server certificate lasts: a year.
pub(super) const SERVER_LIFETIME: SignedDuration = SignedDuration::from_hours(24 * 365);
/// How far callers' clocks may lag behind.
const LAG: SignedDuration = SignedDuration::from_hours(1);

/// A certificate and its key, as PEM.
pub(super) struct Issued {
    pub(super) cert: String,
    pub(super) key: String,
}

/// A CA that signs itself.
pub(super) fn authority(now: Timestamp) -> Result<Issued, Error> {
    let mut params = params("nadmit CA", now, now + AUTHORITY_LIFETIME);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = KeyPair::generate()?;
    let cert = params.self_signed(&key)?;
    Ok(issued(&cert, &key))
}

/// A server certificate for these names, from `issuer`, valid no longer than until `end`.
pub(super) fn server(
    names: &[String],
    issuer: &Issuer<'_, KeyPair>,
    now: Timestamp,
    end: Timestamp,
) -> Result<Issued, Error> {
    let mut params = params("nadmit", now, end.min(now + SERVER_LIFETIME));
    params.subject_alt_names = CertificateParams::new(names)?.subject_alt_names;
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate()?;
    let cert = params.signed_by(&key, issuer)?;
    Ok(issued(&cert, &key))
}

fn params(name: &str, now: Timestamp, end: Timestamp) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    let epoch = date_time_ymd(1970, 1, 1);
    params.not_before = epoch + since_epoch(now - LAG);
    params.not_after = epoch + since_epoch(end);
    params
}

/// Times before the epoch become the epoch.
pub(super) fn since_epoch(moment: Timestamp) -> Duration {
    Duration::from_secs(u64::try_from(moment.as_second()).unwrap_or(0))
}

fn issued(cert: &Certificate, key: &KeyPair) -> Issued {
    Issued {
        cert: cert.pem(),
        key: key.serialize_pem(),
    }
}
