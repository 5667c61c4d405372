//! Whether a caller would talk to a server.

use jiff::Timestamp;
use rustls::{
    RootCertStore,
    client::{WebPkiServerVerifier, danger::ServerCertVerifier},
    pki_types::{CertificateDer, ServerName, UnixTime},
};

use super::{Certificate, issue::since_epoch, provider};

/// Whether a caller that trusts these CAs would believe this chain at this time, by whichever of these
/// names it knows the server. As Go does, and rustls does not, it wants a CA whose own time it is.
/// Without a name nothing is believed.
pub fn verify<'a>(
    chain: &[CertificateDer<'_>],
    roots: impl IntoIterator<Item = &'a Certificate>,
    names: &[String],
    now: Timestamp,
) -> bool {
    let roots = roots.into_iter().filter(|root| root.is_good_at(now));
    let roots: Vec<_> = roots.map(|root| root.der.clone()).collect();
    let verified = || -> Option<()> {
        let (leaf, rest) = chain.split_first().filter(|_| !names.is_empty())?;
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(roots);
        let verifier = WebPkiServerVerifier::builder_with_provider(store.into(), provider());
        let verifier = verifier.build().ok()?;
        let moment = UnixTime::since_unix_epoch(since_epoch(now));
        for name in names {
            let host = ServerName::try_from(name.as_str()).ok()?;
            let verified = verifier.verify_server_cert(leaf, rest, &host, &[], moment);
            verified.ok()?;
        }
        Some(())
    };
    verified().is_some()
}
