//! Certificates and keys: issued, parsed and verified as a client of the server would verify them.
//!
//! This module works on PEM and DER, not on storage: the server keeps them in files, a controller
//! in a Secret. Input is untrusted, so parsing returns the usable parts instead of failing as a
//! whole.
//!
//! - [`issue_ca`] and [`issue_server`] create a certificate with its key, valid for a given time.
//! - [`Certificate`] is a parsed certificate, [`TlsPair`] a chain with its private key, and
//!   [`Signer`] a CA with its key.
//! - [`verify`] checks a chain as an API server does for a webhook.
//! - [`PrivateKey`] exposes its bytes only through [`PrivateKey::expose`].

mod certificate;
mod issue;
mod private_key;
mod signer;
#[cfg(test)]
mod tests;
mod tls_pair;
mod verify;

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use rustls::crypto::{CryptoProvider, aws_lc_rs};

pub use rcgen::Error as IssueError;

pub use self::{
    certificate::Certificate,
    issue::{IssuedCertificate, issue_ca, issue_server},
    private_key::PrivateKey,
    signer::{Signer, SignerError},
    tls_pair::{TlsPair, TlsPairError},
    verify::verify,
};

/// Returns the crypto provider, the only source of cryptography and its randomness.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// Adds a duration to a time; saturates at the limits of [`Timestamp`].
pub fn saturating_add(moment: Timestamp, by: SignedDuration) -> Timestamp {
    moment.saturating_add(by).unwrap_or(moment)
}
