//! `nadmit serve`: sources, settings and server put together.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use clap::{ArgGroup, Args};
use tokio::{sync::Notify, time::timeout};
use tokio_util::sync::CancellationToken;

use super::{
    banner,
    live_config::{EnvironmentDefaults, LiveConfig},
    logging::{LogArgs, LogFormat},
    open_files,
    runtime::ServeRuntime,
    signals,
};
use crate::{
    ledger::OlderLedger,
    server::{
        AdminSocket, CertificateSource, Limits, ServeOptions, Server, ServerCertificates,
        SettingsDigest, Shutdown, TlsPolicy, TlsVersion,
    },
    sources::ClusterAccess,
};

/// The settings among the keys of the ConfigMap.
const SETTINGS_KEY: &str = "nadmit.yaml";
/// Where allocations are kept if nothing is said.
const DEFAULT_DATA_DIR: &str = "data";
/// How long what runs beside the server may take to end.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(3);

/// What to serve, and where.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("source").required(true).args(["manifests", "cluster"])))]
pub(super) struct ServeArgs {
    /// The folder of manifests (NetworkAttachmentDefinitions, Namespaces, Pods), polled for changes
    #[arg(
        long,
        env = "NADMIT_MANIFESTS",
        value_name = "DIR",
        conflicts_with = "cluster"
    )]
    manifests: Option<PathBuf>,
    /// Serve a cluster: watch its objects, and record allocations there
    ///
    /// The cluster is that of the pod that nadmit runs in, or of the kubeconfig.
    #[arg(long, env = "NADMIT_CLUSTER")]
    cluster: bool,
    /// The kubeconfig; without it those of KUBECONFIG, else ~/.kube/config, else, in a pod, its
    /// service account
    #[arg(long, value_name = "FILE", requires = "cluster")]
    kubeconfig: Option<PathBuf>,
    /// The context in the kubeconfig, if not the current one
    #[arg(long, value_name = "CONTEXT", requires = "cluster")]
    context: Option<String>,
    /// nadmit's own namespace, where its Lease is; that of the pod or the context, if nothing is said
    #[arg(
        long,
        env = "NADMIT_NAMESPACE",
        value_name = "NAMESPACE",
        requires = "cluster"
    )]
    pub(super) namespace: Option<String>,
    /// Where the ConfigMap nadmit-config is mounted: its key reconciler_cron_expression says when
    /// everything is compared, and nadmit.yaml the settings if --config names no other; both are
    /// reloaded when they change
    #[arg(
        long,
        env = "NADMIT_CONFIG_DIR",
        value_name = "DIR",
        requires = "cluster"
    )]
    pub(super) config_dir: Option<PathBuf>,
    /// The name of this replica, unlike those of the others: the pod's
    #[arg(
        long,
        env = "NADMIT_REPLICA",
        value_name = "NAME",
        default_value = "nadmit",
        requires = "cluster"
    )]
    pub(super) replica: String,
    /// Where the webhooks are served over HTTPS
    #[arg(
        long,
        env = "NADMIT_LISTEN",
        value_name = "ADDRESS",
        default_value = "127.0.0.1:8443"
    )]
    listen: SocketAddr,
    /// Where health and metrics are served over plain HTTP
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
    /// Where certificates are kept, and made if there are none
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
    /// Keep a certificate in this Secret of nadmit's namespace, and serve with it: made if there is
    /// none, renewed in time, one for all replicas
    #[arg(
        long,
        env = "NADMIT_TLS_SECRET",
        value_name = "NAME",
        value_parser = object_name,
        requires = "cluster",
        conflicts_with_all = ["manifests", "tls_cert", "tls_key"]
    )]
    pub(super) tls_secret: Option<String>,
    /// The Service before the replicas, for whose names the certificate of --tls-secret is
    #[arg(
        long,
        env = "NADMIT_SERVICE",
        value_name = "NAME",
        value_parser = object_name,
        default_value = "nadmit",
        requires = "tls_secret"
    )]
    pub(super) service: String,
    /// The ValidatingWebhookConfiguration and MutatingWebhookConfiguration that are given the CA of
    /// --tls-secret as caBundle, in the webhooks that lead to --service
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
    /// Serve only callers with a certificate of these authorities (PEM)
    #[arg(long, env = "NADMIT_CLIENT_CA", value_name = "FILE")]
    client_ca: Option<PathBuf>,
    /// The oldest version of TLS that is spoken: VersionTLS12 or VersionTLS13
    #[arg(
        long,
        env = "NADMIT_TLS_MIN_VERSION",
        value_name = "VERSION",
        default_value = "VersionTLS12"
    )]
    tls_min_version: TlsVersion,
    /// The cipher suites that are offered, by their IANA or OpenSSL names, comma-separated; all, if nothing is
    /// said. Of TLS 1.3 those that are named, or all
    #[arg(
        long,
        env = "NADMIT_TLS_CIPHER_SUITES",
        value_name = "NAMES",
        value_delimiter = ','
    )]
    tls_cipher_suites: Vec<String>,
    /// Where allocations are kept, "data" if nothing is said; with --cluster only where the admin
    /// socket is, which is not there without it
    #[arg(long, env = "NADMIT_DATA_DIR", value_name = "DIR")]
    pub(super) data_dir: Option<PathBuf>,
    /// Start though allocations.redb is older than what was acknowledged, is missing, or its version
    /// file is damaged: what pods among the manifests carry is adopted before anything is given, and
    /// what was recorded for others may be given again. For one start, after a restore
    #[arg(long, conflicts_with = "cluster")]
    accept_older_ledger: bool,
    /// Seconds to go on serving, unready, after SIGTERM
    #[arg(
        long,
        env = "NADMIT_DRAIN_GRACE",
        value_name = "SECONDS",
        default_value_t = 5
    )]
    drain_grace: u16,
    #[command(flatten)]
    log: LogArgs,
}

impl ServeArgs {
    /// The settings' file, if there is one.
    fn config_file(&self) -> Option<PathBuf> {
        let mounted = self.config_dir.as_ref().map(|dir| dir.join(SETTINGS_KEY));
        let mounted = mounted.filter(|file| file.exists());
        self.config.clone().or(mounted)
    }

    /// What becomes of a ledger that is older than what was acknowledged.
    fn older_ledger(&self) -> OlderLedger {
        match self.accept_older_ledger {
            true => OlderLedger::Accept,
            false => OlderLedger::Refuse,
        }
    }

    /// Which cluster.
    pub(super) fn access(&self) -> ClusterAccess {
        ClusterAccess {
            kubeconfig: self.kubeconfig.clone(),
            context: self.context.clone(),
        }
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

    fn options(
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

    /// The CA to check the server by, if nadmit made its certificate in files.
    fn ca(&self) -> Option<PathBuf> {
        let made = self.tls_cert.is_none() && self.tls_secret.is_none();
        made.then(|| self.cert_dir.join("ca.crt"))
    }
}

/// Serves until it is told to end.
///
/// # Errors
/// When a folder, file or address cannot be used; the error names the flag.
pub(super) fn run(args: ServeArgs) -> anyhow::Result<()> {
    args.log.start()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(serve(args))
}

async fn serve(args: ServeArgs) -> anyhow::Result<()> {
    let reload = [Arc::<Notify>::default(), Arc::default()];
    signals::handle_nonfatal(reload.to_vec())?;
    let [reload_settings, reload_certificates] = reload;
    let defaults = if args.cluster {
        EnvironmentDefaults::CLUSTER
    } else {
        EnvironmentDefaults::FOLDER
    };
    let mut config = LiveConfig::open(args.config_file().as_deref(), defaults)?;
    config.reload_on(reload_settings);
    let mut served = match &args.manifests {
        Some(manifests) => {
            let data_dir = args
                .data_dir
                .clone()
                .unwrap_or_else(|| DEFAULT_DATA_DIR.into());
            let older = args.older_ledger();
            ServeRuntime::folder(manifests, data_dir, older, config.policy.clone()).await?
        }
        None => ServeRuntime::cluster(&args, config.policy.clone()).await?,
    };
    let digest = SettingsDigest(config.digest.clone());
    served.state.registry.register_collector(Box::new(digest));
    let catalog = served.state.catalog.clone();
    let server = Server::bind(
        args.options(served.identity, reload_certificates)?,
        served.state,
    )
    .await?;
    let admin_socket = match &served.data_dir {
        Some(data_dir) => Some(AdminSocket::bind(data_dir, served.operator)?),
        None => None,
    };
    let (shutdown, stop) = (Shutdown::new(), CancellationToken::new());
    signals::shut_down_on_signal(shutdown.clone())?;
    let tasks = tokio::spawn(served.tasks.run(stop.clone()));
    let admin_socket = admin_socket.map(|socket| tokio::spawn(socket.run(stop.clone())));
    tokio::spawn(config.follow(stop.clone()));
    let place = banner::ServerInfo {
        webhooks: reachable(server.address()?),
        admin: server.admin_address()?.map(reachable),
        origin: served.origin,
        ca: args.ca(),
    };
    // Among log lines for machines no other line may stand; the server logs where it listens.
    if args.log.format() == LogFormat::Pretty {
        banner::print(&place, catalog.load().as_deref());
    }
    server.run(shutdown).await;
    stop.cancel();
    // Its file is removed at the end.
    if let Some(admin_socket) = admin_socket {
        admin_socket.await?;
    }
    // What leads lets others lead.
    let _ = timeout(SHUTDOWN_TIMEOUT, tasks).await;
    Ok(())
}

/// The address by which this machine reaches a socket that listens on all of its addresses.
fn reachable(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => ([127, 0, 0, 1], address.port()).into(),
        IpAddr::V6(ip) if ip.is_unspecified() => {
            (std::net::Ipv6Addr::LOCALHOST, address.port()).into()
        }
        _ => address,
    }
}

/// A name that an object of Kubernetes can have, and a certificate.
fn object_name(text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let label = |part: &str| part.starts_with(fits) && part.chars().all(fits);
    if text.len() <= 253 && text.split('.').all(label) {
        return Ok(text.to_owned());
    }
    Err("a name has lower case letters, digits, \"-\" and \".\", as in nadmit-tls".to_owned())
}
