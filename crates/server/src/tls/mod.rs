//! TLS configuration; rustls's server side is confined to this module.
//!
//! One configuration lives as long as the server. Certificate and client CAs change inside it
//! through atomic swaps (`reload`). It offers TLS 1.2 and 1.3 within the [`TlsPolicy`], one crypto
//! provider, and HTTP/1.1 or HTTP/2 by ALPN.

mod client;
mod error;
mod files;
mod load;
mod pem_file;
mod policy;
mod reload;
pub mod self_signed;
mod source;

use std::{sync::Arc, time::Duration};

use rustls::{
    ServerConfig, crypto::CryptoProvider, pki_types::UnixTime, server::NoServerSessionStorage,
    time_provider::TimeProvider,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tracing::warn;

use self::client::ClientAuthorities;
pub(super) use self::reload::{CertificateResolver, Reloader};
pub use self::{
    error::CertificateError,
    policy::{TlsPolicy, TlsPolicyError, TlsVersion},
    self_signed::Issuance,
    source::{CertificateSource, ServerCertificates},
};
use super::metrics::Metrics;
use nadmit_host::clock::Clock;
use nadmit_pki::provider;

/// ALPN name of HTTP/2.
const HTTP2: &[u8] = b"h2";
/// ALPN name of HTTP/1.1.
const HTTP1: &[u8] = b"http/1.1";

/// HTTP version, as negotiated in the TLS handshake (ALPN).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    Http1,
    Http2,
}

/// Loads the certificates. The returned reloader keeps them up to date while it runs.
pub(super) fn open(
    certificates: &ServerCertificates,
    policy: &TlsPolicy,
    clock: Clock,
    metrics: Arc<Metrics>,
) -> Result<(TlsAcceptor, Reloader), CertificateError> {
    for warning in policy.warnings() {
        warn!(%warning, "TLS policy not fully applied");
    }
    let (reloader, authorities) = Reloader::open(certificates, clock.clone(), metrics)?;
    let config = configuration(policy, clock, reloader.resolver(), authorities)?;
    Ok((TlsAcceptor::from(Arc::new(config)), reloader))
}

fn configuration(
    policy: &TlsPolicy,
    clock: Clock,
    resolver: Arc<CertificateResolver>,
    authorities: Option<Arc<ClientAuthorities>>,
) -> Result<ServerConfig, CertificateError> {
    let provider = CryptoProvider {
        cipher_suites: policy.suites().to_vec(),
        ..CryptoProvider::clone(&provider())
    };
    let builder = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(policy.versions())
        .map_err(CertificateError::library)?;
    let mut config = match authorities {
        None => {
            // Sessions are resumed from memory: rustls's tickets read the system clock and panic
            // before 1970.
            builder.with_no_client_auth().with_cert_resolver(resolver)
        }
        Some(authorities) => {
            let builder = builder.with_client_cert_verifier(authorities);
            let mut config = builder.with_cert_resolver(resolver);
            // A resumed session is not verified again, so sessions must not outlive their CA.
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
            config
        }
    };
    config.time_provider = Arc::new(TlsClock(clock));
    config.alpn_protocols = vec![HTTP2.to_vec(), HTTP1.to_vec()];
    Ok(config)
}

/// Clock for client certificate validity; times before 1970 are reported as 1970.
#[derive(Debug)]
struct TlsClock(Clock);

impl TimeProvider for TlsClock {
    fn current_time(&self) -> Option<UnixTime> {
        let seconds = u64::try_from(self.0.now().as_second()).unwrap_or(0);
        Some(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
    }
}

/// Returns the negotiated protocol; HTTP/1.1 if the client sent no ALPN.
pub(super) fn protocol<S>(stream: &TlsStream<S>) -> Protocol {
    match stream.get_ref().1.alpn_protocol() {
        Some(HTTP2) => Protocol::Http2,
        _ => Protocol::Http1,
    }
}
