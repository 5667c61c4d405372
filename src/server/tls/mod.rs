//! Everything that knows of rustls, so that its next version changes only this folder.
//!
//! One configuration lives as long as the server; what changes inside it, certificate and client
//! authorities, sits behind atomic swaps (`reload`). TLS 1.2 and 1.3, one crypto provider,
//! HTTP/1.1 or HTTP/2 by ALPN.

mod client;
mod error;
mod files;
mod load;
mod reload;
pub mod self_signed;

use std::sync::Arc;

use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    server::NoServerSessionStorage,
    version::{TLS12, TLS13},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use self::client::Authorities;
pub(super) use self::reload::{Reloader, Resolver};
pub use self::{error::CertificateError, self_signed::Made};
use super::{connection::Protocol, metrics::Metrics, options::Certificates};
use crate::{clock::Clock, pki::provider};

/// HTTP/2, as ALPN names it.
const HTTP2: &[u8] = b"h2";
/// HTTP/1.1, as ALPN names it.
const HTTP1: &[u8] = b"http/1.1";

/// Loads the certificates. The reloader keeps them up to date while it runs.
pub(super) fn open(
    certificates: &Certificates,
    clock: Clock,
    metrics: Arc<Metrics>,
) -> Result<(TlsAcceptor, Reloader), CertificateError> {
    let (reloader, authorities) = Reloader::open(certificates, clock, metrics)?;
    let config = configuration(reloader.resolver(), authorities)?;
    Ok((TlsAcceptor::from(Arc::new(config)), reloader))
}

fn configuration(
    resolver: Arc<Resolver>,
    authorities: Option<Arc<Authorities>>,
) -> Result<ServerConfig, CertificateError> {
    let builder = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13, &TLS12])
        .map_err(CertificateError::library)?;
    let mut config = match authorities {
        None => {
            let mut config = builder.with_no_client_auth().with_cert_resolver(resolver);
            config.ticketer = aws_lc_rs::Ticketer::new().map_err(CertificateError::library)?;
            config
        }
        Some(authorities) => {
            let builder = builder.with_client_cert_verifier(authorities);
            let mut config = builder.with_cert_resolver(resolver);
            // A resumed session is not checked again: none may outlive its authority.
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
            config
        }
    };
    config.alpn_protocols = vec![HTTP2.to_vec(), HTTP1.to_vec()];
    Ok(config)
}

/// What was agreed on; HTTP/1 if the caller did not ask.
pub(super) fn protocol<S>(stream: &TlsStream<S>) -> Protocol {
    match stream.get_ref().1.alpn_protocol() {
        Some(HTTP2) => Protocol::Http2,
        _ => Protocol::Http1,
    }
}
