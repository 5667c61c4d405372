//! A certificate for those who have none: a CA and a server certificate, made in a directory.
//!
//! `ca.crt` is what callers trust (`curl --cacert`, `caBundle`); it stays the same for years while
//! the server certificate is remade each year. What is there and good is used as it is. What
//! somebody else put there is used or complained of, never overwritten.

mod pair;
#[cfg(test)]
mod tests;

use std::path::Path;

use jiff::Timestamp;
use rustls::{
    RootCertStore,
    client::{WebPkiServerVerifier, danger::ServerCertVerifier},
    pki_types::{ServerName, UnixTime},
};

use self::pair::{Pair, Signer, Terms};
use super::{
    error::{CertificateError, Problem},
    files,
    issue::{self, SERVER_LIFETIME, since_epoch},
    load::{self, TLS_CERT, TLS_KEY},
    provider,
};

/// The certificate of the CA.
const CA_CERT: &str = "ca.crt";
/// Its key.
const CA_KEY: &str = "ca.key";
/// Every file here is named by this flag.
const FLAG: &str = "--cert-dir";
/// The last part of its life in which a server certificate is remade: a twelfth, a month of a year.
const LAST_PART: i64 = 12;

/// What had to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Made {
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
) -> Result<Made, CertificateError> {
    let server = Pair::read(directory, TLS_CERT, TLS_KEY)?;
    if server.is_foreign() {
        server.identity()?;
        return Ok(Made::Nothing);
    }
    let hosts = hosts(directory, names)?;
    let authority = Pair::read(directory, CA_CERT, CA_KEY)?;
    if is_good(&server, &authority, &hosts, now).is_some() {
        return Ok(Made::Nothing);
    }
    files::make_directory(directory)
        .map_err(|error| CertificateError::new(FLAG, directory, Problem::Write(error)))?;
    let (signer, made) = signer(&authority, now)?;
    let issued = issue::server(names, &signer.issuer, now, signer.end);
    server.write(&issued.map_err(CertificateError::library)?)?;
    Ok(made)
}

/// The CA that signs: the one that is there, or a new one where there is none or nadmit's own
/// would not outlive a new certificate.
fn signer(authority: &Pair, now: Timestamp) -> Result<(Signer, Made), CertificateError> {
    let found = authority.signer(now);
    if authority.is_foreign() {
        return Ok((found?, Made::Certificate));
    }
    match found {
        Ok(signer) if signer.end >= now + SERVER_LIFETIME => Ok((signer, Made::Certificate)),
        Ok(_) | Err(_) => Ok((new_signer(authority, now)?, Made::Authority)),
    }
}

fn new_signer(place: &Pair, now: Timestamp) -> Result<Signer, CertificateError> {
    let issued = issue::authority(now).map_err(CertificateError::library)?;
    place.write(&issued)?;
    let made = Pair {
        cert: place.cert.clone(),
        key: place.key.clone(),
        cert_pem: Some(issued.cert.into_bytes()),
        key_pem: Some(issued.key.into_bytes()),
    };
    made.signer(now)
}

/// Whether the server's certificate fits its key, leads to the CA, covers the hosts and is not in
/// the last part of its life.
fn is_good(
    server: &Pair,
    authority: &Pair,
    hosts: &[ServerName<'_>],
    now: Timestamp,
) -> Option<()> {
    let identity = server.identity().ok()?;
    let terms = Terms::of(&identity.cert[0])?;
    let renewal = terms.end - (terms.end - terms.begin) / LAST_PART;
    if now.as_second() >= renewal {
        return None;
    }
    let authorities = load::certificates(&authority.cert, authority.cert_pem.as_deref()?).ok()?;
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(authorities);
    let verifier = WebPkiServerVerifier::builder_with_provider(roots.into(), provider())
        .build()
        .ok()?;
    let moment = UnixTime::since_unix_epoch(since_epoch(now));
    let (leaf, rest) = identity.cert.split_first()?;
    for host in hosts {
        verifier
            .verify_server_cert(leaf, rest, host, &[], moment)
            .ok()?;
    }
    Some(())
}

fn hosts(directory: &Path, names: &[String]) -> Result<Vec<ServerName<'static>>, CertificateError> {
    let host = |name: &String| {
        ServerName::try_from(name.clone()).map_err(|error| {
            let (name, reason) = (name.clone(), error.to_string());
            CertificateError::new(FLAG, directory, Problem::Name { name, reason })
        })
    };
    names.iter().map(host).collect()
}
