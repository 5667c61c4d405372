//! What can be set: where to listen, which certificate to show, how long to wait for anybody.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use tokio::sync::{Notify, watch::Receiver};

use super::tls::TlsPolicy;
use crate::{clock::Clock, pki::TlsPair};

/// How to serve.
#[derive(Debug, Clone)]
pub struct ServeOptions {
    /// Where the webhooks are served over HTTPS (`--listen`).
    pub listen: SocketAddr,
    /// Where health and metrics are served over plain HTTP (`--admin-listen`).
    pub admin_listen: Option<SocketAddr>,
    /// The certificates, ours and the callers'.
    pub certificates: ServerCertificates,
    /// The versions and cipher suites of TLS (`--tls-min-version`, `--tls-cipher-suites`).
    pub tls: TlsPolicy,
    /// The limits.
    pub limits: Limits,
    /// The one wall clock: it judges and dates certificates, and dates allocations.
    pub clock: Clock,
}

/// Which certificates are shown and asked for.
#[derive(Debug, Clone)]
pub struct ServerCertificates {
    /// The server's own.
    pub source: CertificateSource,
    /// The authorities of callers; without it nobody is asked who they are (`--client-ca`).
    pub client_ca: Option<PathBuf>,
    /// How often the files are read for changes.
    pub reload_interval: Duration,
    /// Has them read at once.
    pub reload: Arc<Notify>,
}

/// Where the server's own certificate and key come from.
#[derive(Debug, Clone)]
pub enum CertificateSource {
    /// `tls.crt` and `tls.key` of this directory (`--cert-dir`), made there if they are absent.
    Directory {
        /// The directory.
        path: PathBuf,
        /// The names and addresses for which a certificate is made.
        names: Vec<String>,
    },
    /// These two PEM files.
    Files {
        /// The certificate, with those that lead to its authority (`--tls-cert`).
        cert: PathBuf,
        /// Its key (`--tls-key`).
        key: PathBuf,
    },
    /// What a controller keeps in a Secret (`--tls-secret`). Until it has brought one, the server is
    /// not ready and ends every handshake.
    Secret {
        /// The Secret, for errors.
        secret: String,
        /// What is to be shown.
        pair: Receiver<Option<Arc<TlsPair>>>,
    },
}

/// How much and how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// The bytes of one body. An API object has at most 3 MiB and an UPDATE carries two; what is larger in JSON, in
    /// which a character may take six bytes, is refused.
    pub body_bytes: usize,
    /// The bytes of all bodies that are awaited or worked on, with the heads of their requests.
    pub bodies_bytes: usize,
    /// Reviews that are worked on at once.
    pub reviews: usize,
    /// Connections that are open at once.
    pub connections: usize,
    /// Streams of one HTTP/2 connection that are open at once.
    pub streams: u32,
    /// For a TLS handshake.
    pub handshake: Duration,
    /// From the handshake to the first byte of the first request (of HTTP/2, to the end of its head). Who connects
    /// has something to ask.
    pub first: Duration,
    /// From the first to the last byte of an HTTP/1 request's head.
    pub header: Duration,
    /// From the head of a request to the last byte of its body.
    pub body: Duration,
    /// Between two requests of a connection. The API server keeps idle connections for 90 s and
    /// must be the one who closes them: else a request may meet a closed door.
    pub idle: Duration,
    /// Whether a connection may ask again.
    pub keep_alive: bool,
    /// How long a draining server still takes connections and requests.
    pub drain_grace: Duration,
    /// How long it then waits for what is in progress.
    pub drain_limit: Duration,
}

impl Default for ServerCertificates {
    /// A certificate made in `certs`, for this host only.
    fn default() -> Self {
        Self {
            source: CertificateSource::Directory {
                path: "certs".into(),
                names: CertificateSource::local_names(),
            },
            client_ca: None,
            reload_interval: Duration::from_secs(5),
            reload: Arc::default(),
        }
    }
}

impl CertificateSource {
    /// How this host calls itself.
    pub fn local_names() -> Vec<String> {
        ["localhost", "127.0.0.1", "::1"]
            .map(str::to_owned)
            .to_vec()
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: 8 << 20,
            bodies_bytes: 96 << 20,
            reviews: 256,
            connections: 1024,
            streams: 128,
            handshake: Duration::from_secs(5),
            first: Duration::from_secs(10),
            header: Duration::from_secs(10),
            body: Duration::from_secs(10),
            idle: Duration::from_secs(120),
            keep_alive: true,
            drain_grace: Duration::from_secs(5),
            drain_limit: Duration::from_secs(25),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_connection_may_send_the_largest_body() {
        let limits = Limits::default();
        // One connection may have a ninth (`budget`).
        assert!(limits.bodies_bytes / 9 > limits.body_bytes + (64 << 10));
    }

    #[test]
    fn the_idle_timeout_exceeds_that_of_the_api_server() {
        assert!(Limits::default().idle > Duration::from_secs(90));
    }
}
