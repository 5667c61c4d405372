//! The arguments of `nadmit serve`.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use clap::{ArgGroup, Args};
use thiserror::Error;
use tokio::sync::Notify;

use super::{
    kube_args::{self, KubeArgs},
    logging::LogArgs,
    open_files,
};
use crate::{
    ledger::OlderLedger,
    server::{CertificateSource, Limits, ServeOptions, ServerCertificates, TlsPolicy, TlsVersion},
    sources::ClusterAccess,
};

/// Key of the settings in the ConfigMap.
const SETTINGS_KEY: &str = "nadmit.yaml";

/// Arguments of `nadmit serve`.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("source").required(true).args(["manifests", "cluster"])))]
#[command(mut_args(kube_args::with_cluster_or_in_pod))]
pub(super) struct ServeArgs {
    /// Serve a folder of manifests, which is polled for changes
    ///
    /// The manifests are NetworkAttachmentDefinitions, Namespaces, Pods, AddressPools and
    /// AddressReservations.
    #[arg(
        long,
        env = "NADMIT_MANIFESTS",
        value_name = "DIR",
        conflicts_with = "cluster"
    )]
    pub(super) manifests: Option<PathBuf>,
    /// Serve a cluster: watch its objects, and store allocations in it
    ///
    /// The cluster is that of the kubeconfig, or of the pod in which nadmit runs.
    #[arg(long, env = "NADMIT_CLUSTER")]
    pub(super) cluster: bool,
    #[command(flatten)]
    kube: KubeArgs,
    /// nadmit's own namespace [default: that of the pod or the context]
    ///
    /// It has the Lease that selects the leader.
    #[arg(
        long,
        env = "NADMIT_NAMESPACE",
        value_name = "NAMESPACE",
        requires = "cluster"
    )]
    pub(super) namespace: Option<String>,
    /// Directory where ConfigMap nadmit-config is mounted; reloaded when it changes
    ///
    /// The key reconciler_cron_expression is the schedule of the full comparison. The key nadmit.yaml has
    /// the settings, unless --config names another file.
    #[arg(
        long,
        env = "NADMIT_CONFIG_DIR",
        value_name = "DIR",
        requires = "cluster"
    )]
    pub(super) config_dir: Option<PathBuf>,
    /// Unique name of this replica, such as the name of its pod
    #[arg(
        long,
        env = "NADMIT_REPLICA",
        value_name = "NAME",
        default_value = "nadmit",
        requires = "cluster"
    )]
    pub(super) replica: String,
    /// Address of the webhooks (HTTPS)
    #[arg(
        long,
        env = "NADMIT_LISTEN",
        value_name = "ADDRESS",
        default_value = "127.0.0.1:8443"
    )]
    listen: SocketAddr,
    /// Address of health and metrics (HTTP)
    #[arg(
        long,
        env = "NADMIT_ADMIN_LISTEN",
        value_name = "ADDRESS",
        default_value = "127.0.0.1:8081"
    )]
    admin_listen: SocketAddr,
    /// Settings file (nadmit.yaml); reloaded when it changes
    #[arg(long, env = "NADMIT_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Directory of certificates; missing certificates are created
    #[arg(
        long,
        env = "NADMIT_CERT_DIR",
        value_name = "DIR",
        default_value = "certs"
    )]
    cert_dir: PathBuf,
    /// Certificate of the server (PEM), instead of one from --cert-dir
    #[arg(
        long,
        env = "NADMIT_TLS_CERT",
        value_name = "FILE",
        requires = "tls_key"
    )]
    tls_cert: Option<PathBuf>,
    /// Key of --tls-cert (PEM)
    #[arg(
        long,
        env = "NADMIT_TLS_KEY",
        value_name = "FILE",
        requires = "tls_cert"
    )]
    tls_key: Option<PathBuf>,
    /// Secret with the server certificate, shared by all replicas
    ///
    /// nadmit creates the Secret in its own namespace, and renews the certificate in time.
    #[arg(
        long,
        env = "NADMIT_TLS_SECRET",
        value_name = "NAME",
        value_parser = object_name,
        requires = "cluster",
        conflicts_with_all = ["manifests", "tls_cert", "tls_key"]
    )]
    pub(super) tls_secret: Option<String>,
    /// Service of the replicas: its names are in the certificate of --tls-secret
    #[arg(
        long,
        env = "NADMIT_SERVICE",
        value_name = "NAME",
        value_parser = object_name,
        default_value = "nadmit",
        requires = "tls_secret"
    )]
    pub(super) service: String,
    /// Webhook configurations that get the CA of --tls-secret as caBundle
    ///
    /// NAME is that of a ValidatingWebhookConfiguration and of a MutatingWebhookConfiguration. Only their
    /// webhooks for --service get the CA.
    #[arg(
        long,
        env = "NADMIT_WEBHOOKS",
        value_name = "NAME",
        value_parser = object_name,
        default_value = "nadmit",
        requires = "tls_secret"
    )]
    pub(super) webhooks: String,
    /// Seconds that a new CA is in every caBundle before its certificate is served
    #[arg(
        long,
        env = "NADMIT_TLS_SETTLE",
        value_name = "SECONDS",
        default_value_t = 120,
        requires = "tls_secret",
        hide = true
    )]
    pub(super) tls_settle: u16,
    /// Accept only clients with a certificate of these CAs (PEM)
    #[arg(long, env = "NADMIT_CLIENT_CA", value_name = "FILE")]
    client_ca: Option<PathBuf>,
    /// Oldest accepted TLS version: VersionTLS12 or VersionTLS13
    #[arg(
        long,
        env = "NADMIT_TLS_MIN_VERSION",
        value_name = "VERSION",
        default_value = "VersionTLS12"
    )]
    tls_min_version: TlsVersion,
    /// Cipher suites by IANA or OpenSSL name, comma-separated [default: all]
    ///
    /// If the list has no suite of TLS 1.3, all suites of TLS 1.3 are offered.
    #[arg(
        long,
        env = "NADMIT_TLS_CIPHER_SUITES",
        value_name = "NAMES",
        value_delimiter = ','
    )]
    tls_cipher_suites: Vec<String>,
    /// Directory of allocations and admin socket [default: data, without --cluster]
    ///
    /// With --cluster, it only has the admin socket, which is disabled without this option.
    #[arg(long, env = "NADMIT_DATA_DIR", value_name = "DIR")]
    pub(super) data_dir: Option<PathBuf>,
    /// Start even if allocations.redb is missing or lacks acknowledged writes
    ///
    /// Use it for one start after a restore; it also accepts a damaged version file. nadmit first adopts
    /// the addresses of the pods among the manifests. Addresses of other pods may be assigned again.
    #[arg(long, conflicts_with = "cluster")]
    accept_older_ledger: bool,
    /// Seconds to continue serving after SIGTERM, as not ready
    #[arg(
        long,
        env = "NADMIT_DRAIN_GRACE",
        value_name = "SECONDS",
        default_value_t = 5
    )]
    drain_grace: u16,
    #[command(flatten)]
    pub(super) log: LogArgs,
}

impl ServeArgs {
    /// Returns the settings' file, if there is one.
    pub(super) fn config_file(&self) -> Option<PathBuf> {
        let mounted = self.config_dir.as_ref().map(|dir| dir.join(SETTINGS_KEY));
        let mounted = mounted.filter(|file| file.exists());
        self.config.clone().or(mounted)
    }

    /// Returns how a ledger that lacks acknowledged writes is treated.
    pub(super) fn older_ledger(&self) -> OlderLedger {
        match self.accept_older_ledger {
            true => OlderLedger::Accept,
            false => OlderLedger::Refuse,
        }
    }

    /// Returns the access to the cluster.
    pub(super) fn access(&self) -> ClusterAccess {
        self.kube.access()
    }

    fn certificates(&self, kept: Option<CertificateSource>) -> ServerCertificates {
        let identity = match (kept, &self.tls_cert, &self.tls_key) {
            (Some(kept), ..) => kept,
            (None, Some(cert), Some(key)) => CertificateSource::Files {
                cert: cert.clone(),
                key: key.clone(),
            },
            _ => CertificateSource::Directory {
                path: self.cert_dir.clone(),
                names: CertificateSource::local_names(),
            },
        };
        ServerCertificates {
            source: identity,
            client_ca: self.client_ca.clone(),
            ..ServerCertificates::default()
        }
    }

    pub(super) fn options(
        &self,
        kept: Option<CertificateSource>,
        reload: Arc<Notify>,
    ) -> anyhow::Result<ServeOptions> {
        let drain_grace = Duration::from_secs(self.drain_grace.into());
        let limits = Limits::default();
        Ok(ServeOptions {
            listen: self.listen,
            admin_listen: Some(self.admin_listen),
            certificates: ServerCertificates {
                reload,
                ..self.certificates(kept)
            },
            tls: TlsPolicy::new(self.tls_min_version, &self.tls_cipher_suites)?,
            limits: Limits {
                drain_grace,
                connections: open_files::raise_limit(limits.connections),
                ..limits
            },
            clock: super::clock(),
        })
    }

    /// Returns the CA that verifies the server, if nadmit created its certificate as a file.
    pub(super) fn ca(&self) -> Option<PathBuf> {
        let made = self.tls_cert.is_none() && self.tls_secret.is_none();
        made.then(|| self.cert_dir.join("ca.crt"))
    }
}

/// Parses a name that is valid for Kubernetes objects and certificates.
fn object_name(text: &str) -> Result<String, NotAnObjectName> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let label = |part: &str| part.starts_with(fits) && part.chars().all(fits);
    if text.len() <= 253 && text.split('.').all(label) {
        return Ok(text.to_owned());
    }
    Err(NotAnObjectName)
}

/// A text that is not valid as a name of Kubernetes objects.
#[derive(Debug, Error)]
#[error("write lower-case letters, digits, \"-\" and \".\", such as nadmit-tls")]
struct NotAnObjectName;
