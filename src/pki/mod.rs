//! Certificates and keys: made, read, and judged as a caller of the server would judge them.
//!
//! It knows PEM and nothing of where that lies: the server keeps it in files, a controller in a Secret.
//! What is read here was written by anybody, so reading never fails as a whole: each function says
//! what of it can be used.
//!
//! - [`authority`] and [`server`] make a certificate with its key, for a time that the caller says.
//! - [`Certificate`] is one that was read, [`Pair`] a chain with the key that fits it, and [`Signer`] a CA
//!   with its key.
//! - [`verify`] asks the question that an API server asks of a webhook.
//! - [`PrivateKey`] shows itself to nobody who does not ask by name.

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

pub use self::{
    certificate::Certificate,
    issue::{IssuedCertificate, issue_ca, issue_server},
    private_key::PrivateKey,
    signer::Signer,
    tls_pair::{TlsPair, TlsPairError},
    verify::verify,
};

/// The one source of cryptography, and of its randomness.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// So much later, or earlier; at most as late, or early, as can be written.
pub fn saturating_add(moment: Timestamp, by: SignedDuration) -> Timestamp {
    moment.saturating_add(by).unwrap_or(moment)
}
