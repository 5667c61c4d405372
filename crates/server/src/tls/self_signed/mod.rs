//! A self-signed CA and a server certificate, created in a directory for users who bring none.
//!
//! Clients trust `ca.crt` (`curl --cacert`, `caBundle`); it stays the same for years while the
//! server certificate is renewed each year. Existing valid files are used unchanged. Files that
//! others created are used or reported, never overwritten.

mod pair;
#[cfg(test)]
mod tests;

use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use rustls::pki_types::ServerName;

use self::pair::PairFiles;
use super::{
    error::{CertificateError, CertificateProblem},
    files,
    load::{TLS_CERT, TLS_KEY},
};
use nadmit_pki::{self as pki, Certificate, Signer, saturating_add};

/// File name of the CA certificate.
const CA_CERT: &str = "ca.crt";
/// File name of the CA key.
const CA_KEY: &str = "ca.key";
/// The flag that names the directory, for error messages.
const FLAG: &str = "--cert-dir";
/// Divisor of a server certificate's lifetime: it is renewed in the last twelfth, a month of a
/// year.
const RENEWAL_FRACTION: i32 = 12;
/// Lifetime of a CA: ten years.
const AUTHORITY_LIFETIME: SignedDuration = SignedDuration::from_hours(24 * 3652);
/// Lifetime of a server certificate: one year.
const SERVER_LIFETIME: SignedDuration = SignedDuration::from_hours(24 * 365);
/// Tolerance for clients whose clocks lag.
const CLOCK_SKEW: SignedDuration = SignedDuration::from_hours(1);

/// The certificates that had to be created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Issuance {
    /// None: a valid certificate exists.
    Nothing,
    /// The server certificate, signed by the existing CA.
    Certificate,
    /// The server certificate and its CA.
    Authority,
}

/// Ensures that `directory` holds a server certificate and key that are usable at `now`: valid for
/// all of `names` under the `ca.crt` in the same directory, and not near expiry. A certificate that
/// others created is accepted if it and its key can be used.
///
/// # Errors
/// Fails if files that others created cannot be used, or if the directory cannot be read or
/// written.
pub fn ensure(
    directory: &Path,
    names: &[String],
    now: Timestamp,
) -> Result<Issuance, CertificateError> {
    let server = PairFiles::read(directory, TLS_CERT, TLS_KEY)?;
    if server.is_foreign() {
        server.identity()?;
        return Ok(Issuance::Nothing);
    }
    check(directory, names)?;
    let authority = PairFiles::read(directory, CA_CERT, CA_KEY)?;
    if is_current(&server, &authority, names, now).is_some() {
        return Ok(Issuance::Nothing);
    }
    files::make_directory(directory).map_err(|error| {
        CertificateError::new(FLAG, directory, CertificateProblem::Write(error))
    })?;
    let (signer, issuance) = signer(&authority, now)?;
    let issued = pki::issue_server(
        names,
        &signer,
        saturating_add(now, -CLOCK_SKEW),
        saturating_add(now, SERVER_LIFETIME),
    );
    server.write(&issued.map_err(CertificateError::library)?)?;
    Ok(issuance)
}

/// Returns the signing CA: the existing one, or a new one if there is none or nadmit's own would
/// expire before a new server certificate.
fn signer(authority: &PairFiles, now: Timestamp) -> Result<(Signer, Issuance), CertificateError> {
    let found = authority.signer(now);
    if authority.is_foreign() {
        return Ok((found?, Issuance::Certificate));
    }
    match found {
        Ok(signer) if signer.certificate.not_after >= saturating_add(now, SERVER_LIFETIME) => {
            Ok((signer, Issuance::Certificate))
        }
        Ok(_) | Err(_) => Ok((new_signer(authority, now)?, Issuance::Authority)),
    }
}

fn new_signer(authority: &PairFiles, now: Timestamp) -> Result<Signer, CertificateError> {
    let (begin, end) = (
        saturating_add(now, -CLOCK_SKEW),
        saturating_add(now, AUTHORITY_LIFETIME),
    );
    let issued = pki::issue_ca("nadmit CA", begin, end).map_err(CertificateError::library)?;
    authority.write(&issued)?;
    let pair = PairFiles {
        cert: authority.cert.clone(),
        key: authority.key.clone(),
        cert_pem: Some(issued.cert.into_bytes()),
        key_pem: Some(issued.key.expose().to_vec()),
    };
    pair.signer(now)
}

/// Returns `Some` if the server certificate matches its key, chains to the CA, covers the names and
/// is not in its renewal window.
fn is_current(
    server: &PairFiles,
    authority: &PairFiles,
    names: &[String],
    now: Timestamp,
) -> Option<()> {
    let identity = server.identity().ok()?;
    let leaf = Certificate::from_der(&identity.cert[0])?;
    let renewal_window = leaf.not_after.duration_since(leaf.not_before) / RENEWAL_FRACTION;
    if now >= saturating_add(leaf.not_after, -renewal_window) {
        return None;
    }
    let (roots, _) = Certificate::parse_pem(authority.cert_pem.as_deref()?);
    pki::verify(&identity.cert, &roots, names, now).then_some(())
}

/// Checks that every name can be part of a certificate.
fn check(directory: &Path, names: &[String]) -> Result<(), CertificateError> {
    for name in names {
        if let Err(error) = ServerName::try_from(name.as_str()) {
            let (name, reason) = (name.clone(), error.to_string());
            let problem = CertificateProblem::Name { name, reason };
            return Err(CertificateError::new(FLAG, directory, problem));
        }
    }
    Ok(())
}
