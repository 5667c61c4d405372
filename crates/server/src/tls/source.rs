//! Sources of certificates and client CAs.

use std::{path::PathBuf, sync::Arc, time::Duration};

use tokio::sync::{Notify, watch::Receiver};

use nadmit_pki::TlsPair;

/// Certificates of the server and CAs of its clients.
#[derive(Debug, Clone)]
pub struct ServerCertificates {
    /// Source of the server's own certificate.
    pub source: CertificateSource,
    /// CAs of client certificates; without them, client certificates are not requested
    /// (`--client-ca`).
    pub client_ca: Option<PathBuf>,
    /// Interval at which the files are checked for changes.
    pub reload_interval: Duration,
    /// Triggers an immediate check.
    pub reload: Arc<Notify>,
}

/// Source of the server's certificate and key.
#[derive(Debug, Clone)]
pub enum CertificateSource {
    /// `tls.crt` and `tls.key` in a directory (`--cert-dir`), created if absent.
    Directory {
        /// Certificate directory.
        path: PathBuf,
        /// Host names and addresses for which a certificate is created.
        names: Vec<String>,
    },
    /// Two PEM files.
    Files {
        /// Certificate chain (`--tls-cert`).
        cert: PathBuf,
        /// Private key (`--tls-key`).
        key: PathBuf,
    },
    /// A Secret that a controller maintains (`--tls-secret`). Until it has delivered a certificate,
    /// the server is not ready and fails every handshake.
    Secret {
        /// Name of the Secret, for error messages.
        secret: String,
        /// Current certificate and key.
        pair: Receiver<Option<Arc<TlsPair>>>,
    },
}

impl Default for ServerCertificates {
    /// A certificate created in the directory `certs`, for this host only.
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
    /// Names and addresses of the local host.
    pub fn local_names() -> Vec<String> {
        ["localhost", "127.0.0.1", "::1"]
            .map(str::to_owned)
            .to_vec()
    }
}
