//! Options of the server: addresses, certificates, limits and timeouts.

use std::{net::SocketAddr, time::Duration};

use super::tls::{ServerCertificates, TlsPolicy};
use nadmit_host::clock::Clock;

/// Options of a server.
#[derive(Debug, Clone)]
pub struct ServeOptions {
    /// Address of the webhooks, served over HTTPS (`--listen`).
    pub listen: SocketAddr,
    /// Address of health and metrics, served over plain HTTP (`--admin-listen`).
    pub admin_listen: Option<SocketAddr>,
    /// Certificates of the server and its clients.
    pub certificates: ServerCertificates,
    /// TLS versions and cipher suites (`--tls-min-version`, `--tls-cipher-suites`).
    pub tls: TlsPolicy,
    /// Limits and timeouts.
    pub limits: Limits,
    /// Wall clock for certificate validity, HTTP dates and allocation timestamps.
    pub clock: Clock,
}

/// Limits and timeouts of a listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Maximum size of a body, in bytes. An API object has at most 3 MiB and an UPDATE carries two.
    /// JSON may take six bytes for a character, so an encoding above this limit is rejected.
    pub body_bytes: usize,
    /// Maximum memory of all requests that are being received or processed, in bytes: heads and
    /// bodies.
    pub bodies_bytes: usize,
    /// Maximum number of reviews processed concurrently.
    pub reviews: usize,
    /// Maximum number of open connections.
    pub connections: usize,
    /// Maximum number of concurrent streams of an HTTP/2 connection.
    pub streams: u32,
    /// Timeout of a TLS handshake.
    pub handshake: Duration,
    /// Timeout from the handshake to the first byte of the first request (for HTTP/2, to the end of
    /// its head).
    pub first_request: Duration,
    /// Timeout from the first to the last byte of an HTTP/1 request head.
    pub header: Duration,
    /// Timeout from the head of a request to the last byte of its body.
    pub body: Duration,
    /// Timeout between two requests of a connection. The API server keeps idle connections for 90 s
    /// and must be the one that closes them; otherwise a request may arrive at a closed connection.
    pub idle: Duration,
    /// Allows more than one request on a connection.
    pub keep_alive: bool,
    /// Time that a draining server keeps accepting connections and requests.
    pub drain_grace: Duration,
    /// Time after that to finish requests in progress.
    pub drain_limit: Duration,
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
            first_request: Duration::from_secs(10),
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
        // One connection may use a ninth (`budget`).
        assert!(limits.bodies_bytes / 9 > limits.body_bytes + (64 << 10));
    }

    #[test]
    fn the_idle_timeout_exceeds_that_of_the_api_server() {
        assert!(Limits::default().idle > Duration::from_secs(90));
    }
}
