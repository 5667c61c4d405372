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
    /// The folder of manifests (NetworkAttachmentDefinitions, Namespaces, Pods), polled for changes
    #[arg(
        long,
        env = "NADMIT_MANIFESTS",
        value_name = "DIR",
        conflicts_with = "cluster"
    )]
    pub(super) manifests: Option<PathBuf>,
    /// Serve a cluster: watch its objects, and record allocations there
    ///
    /// The cluster is that of the pod that nadmit runs in, or of the kubeconfig.
    #[arg(long, env = "NADMIT_CLUSTER")]
    pub(super) cluster: bool,
    #[command(flatten)]
    kube: KubeArgs,
    /// nadmit's own namespace, where its Lease is; by default that of the pod or the context
    #[arg(
        long,
        env = "NADMIT_NAMESPACE",
        value_name = "NAMESPACE",
        requires = "cluster"
    )]
    pub(super) namespace: Option<String>,
    /// Directory where the ConfigMap nadmit-config is mounted: its key reconciler_cron_expression is the
    /// schedule of full resyncs, and nadmit.yaml the settings unless --config names others; both are
    /// reloaded when they change
    #[arg(
        long,
        env = "NADMIT_CONFIG_DIR",
        value_name = "DIR",
        requires = "cluster"
    )]
    pub(super) config_dir: Option<PathBuf>,
    /// Unique name of this replica: the pod's name
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
    /// The settings (nadmit.yaml), reloaded when they change
    #[arg(long, env = "NADMIT_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Directory of certificates, which are created if there are none
    #[arg(
        long,
        env = "NADMIT_CERT_DIR",
        value_name = "DIR",
        default_value = "certs"
    )]
    cert_dir: PathBuf,
    /// The server's certificate in PEM, instead of one from --cert-dir
    #[arg(
        long,
        env = "NADMIT_TLS_CERT",
        value_name = "FILE",
        requires = "tls_key"
    )]
    tls_cert: Option<PathBuf>,
    /// The key of --tls-cert in PEM
    #[arg(
        long,
        env = "NADMIT_TLS_KEY",
        value_name = "FILE",
        requires = "tls_cert"
    )]
    tls_key: Option<PathBuf>,
    /// Serve with a certificate in this Secret of nadmit's namespace, shared by all replicas; it is created
    /// if missing and renewed in time
    #[arg(
        long,
        env = "NADMIT_TLS_SECRET",
        value_name = "NAME",
        value_parser = object_name,
        requires = "cluster",
        conflicts_with_all = ["manifests", "tls_cert", "tls_key"]
    )]
    pub(super) tls_secret: Option<String>,
    /// The Service of the replicas, for whose names the certificate of --tls-secret is issued
    #[arg(
        long,
        env = "NADMIT_SERVICE",
        value_name = "NAME",
        value_parser = object_name,
        default_value = "nadmit",
        requires = "tls_secret"
    )]
    pub(super) service: String,
    /// The ValidatingWebhookConfiguration and MutatingWebhookConfiguration whose webhooks for --service get
    /// the CA of --tls-secret as caBundle
    #[arg(
        long,
        env = "NADMIT_WEBHOOKS",
        value_name = "NAME",
        value_parser = object_name,
        default_value = "nadmit",
        requires = "tls_secret"
    )]
    pub(super) webhooks: String,
    /// Seconds that a new CA is in every caBundle before a certificate of it is served
    #[arg(
        long,
        env = "NADMIT_TLS_SETTLE",
        value_name = "SECONDS",
        default_value_t = 120,
        requires = "tls_secret",
        hide = true
    )]
    pub(super) tls_settle: u16,
    /// Serve only clients with a certificate of these authorities (PEM)
    #[arg(long, env = "NADMIT_CLIENT_CA", value_name = "FILE")]
    client_ca: Option<PathBuf>,
    /// The oldest accepted version of TLS: VersionTLS12 or VersionTLS13
    #[arg(
        long,
        env = "NADMIT_TLS_MIN_VERSION",
        value_name = "VERSION",
        default_value = "VersionTLS12"
    )]
    tls_min_version: TlsVersion,
    /// The offered cipher suites by IANA or OpenSSL name, comma-separated; all by default. If no suite of
    /// TLS 1.3 is named, all of them are offered
    #[arg(
        long,
        env = "NADMIT_TLS_CIPHER_SUITES",
        value_name = "NAMES",
        value_delimiter = ','
    )]
    tls_cipher_suites: Vec<String>,
    /// Directory of the allocations, by default "data"; with --cluster, directory of the admin socket, which
    /// is disabled without this option
    #[arg(long, env = "NADMIT_DATA_DIR", value_name = "DIR")]
    pub(super) data_dir: Option<PathBuf>,
    /// Start even if allocations.redb lacks acknowledged writes or is missing, or its version file is
    /// damaged: addresses used by pods among the manifests are adopted before anything is allocated, and
    /// addresses of others may be allocated again. For one start after a restore
    #[arg(long, conflicts_with = "cluster")]
    accept_older_ledger: bool,
    /// Seconds to keep serving, unready, after SIGTERM
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
#[error("a name has lower case letters, digits, \"-\" and \".\", as in nadmit-tls")]
struct NotAnObjectName;
