//! Verifies a server certificate as a client would.

use jiff::Timestamp;
use rustls::{
    RootCertStore,
    client::{verify_server_cert_signed_by_trust_anchor, verify_server_name},
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::ParsedCertificate,
};

use super::{Certificate, issue::since_epoch, provider};

/// Returns true if a client that trusts `roots` accepts `chain` at `now` for every one of `names`.
/// Like Go, and unlike rustls, it requires that the root itself is valid at `now`. Without a name,
/// nothing is accepted.
pub fn verify<'a>(
    chain: &[CertificateDer<'_>],
    roots: impl IntoIterator<Item = &'a Certificate>,
    names: &[String],
    now: Timestamp,
) -> bool {
    let roots = roots.into_iter().filter(|root| root.is_valid_at(now));
    let roots: Vec<_> = roots.map(|root| root.der.clone()).collect();
    let verified = || -> Option<()> {
        let (leaf, rest) = chain.split_first().filter(|_| !names.is_empty())?;
        let leaf = ParsedCertificate::try_from(leaf).ok()?;
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(roots);
        let moment = UnixTime::since_unix_epoch(since_epoch(now));
        let algorithms = provider().signature_verification_algorithms.all;
        verify_server_cert_signed_by_trust_anchor(&leaf, &store, rest, moment, algorithms).ok()?;
        for name in names {
            let host = ServerName::try_from(name.as_str()).ok()?;
            verify_server_name(&leaf, &host).ok()?;
        }
        Some(())
    };
    verified().is_some()
}
