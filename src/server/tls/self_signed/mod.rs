//! A certificate for those who have none: a CA and a server certificate, made in a directory.
//!
//! `ca.crt` is what callers trust (`curl --cacert`, `caBundle`); it stays the same for years while
//! the server certificate is remade each year. What is there and good is used as it is. What
//! somebody else put there is used or complained of, never overwritten.

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
use crate::pki::{self, Certificate, Signer, saturating_add};

/// The certificate of the CA.
const CA_CERT: &str = "ca.crt";
/// Its key.
const CA_KEY: &str = "ca.key";
/// Every file here is named by this flag.
const FLAG: &str = "--cert-dir";
/// The last part of its life in which a server certificate is remade: a twelfth, a month of a year.
const RENEWAL_FRACTION: i32 = 12;
/// How long a CA lasts: ten years.
const AUTHORITY_LIFETIME: SignedDuration = SignedDuration::from_hours(24 * 3652);
/// How long a server certificate lasts: a year.
const SERVER_LIFETIME: SignedDuration = SignedDuration::from_hours(24 * 365);
/// How far callers' clocks may lag behind.
const CLOCK_SKEW: SignedDuration = SignedDuration::from_hours(1);

/// What had to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Issuance {
    /// Nothing: a good certificate was there.
    Nothing,
    /// The server certificate, signed by the CA that was there.
    Certificate,
    /// The CA, too.
    Authority,
}

/// Makes sure that `directory` holds a server certificate, with its key, that is good at `now`:
/// valid for all of `names` under the `ca.crt` beside it, and not near its end. A certificate of
/// somebody else is good if it and its key can be used.
///
/// # Errors
/// When files of somebody else are there that cannot be used, or the directory cannot be read or
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
    let (signer, made) = signer(&authority, now)?;
    let issued = pki::issue_server(
        names,
        &signer,
        saturating_add(now, -CLOCK_SKEW),
        saturating_add(now, SERVER_LIFETIME),
    );
    server.write(&issued.map_err(CertificateError::library)?)?;
    Ok(made)
}

/// The CA that signs: the one that is there, or a new one where there is none or nadmit's own
/// would not outlive a new certificate.
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

fn new_signer(files_of_ca: &PairFiles, now: Timestamp) -> Result<Signer, CertificateError> {
    let (begin, end) = (
        saturating_add(now, -CLOCK_SKEW),
        saturating_add(now, AUTHORITY_LIFETIME),
    );
    let issued = pki::issue_ca("nadmit CA", begin, end).map_err(CertificateError::library)?;
    files_of_ca.write(&issued)?;
    let made = PairFiles {
        cert: files_of_ca.cert.clone(),
        key: files_of_ca.key.clone(),
        cert_pem: Some(issued.cert.into_bytes()),
        key_pem: Some(issued.key.expose().to_vec()),
    };
    made.signer(now)
}

/// Whether the server's certificate fits its key, leads to the CA, covers the names and is not in
/// the last part of its life.
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

/// Every name is one that a certificate can have.
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
