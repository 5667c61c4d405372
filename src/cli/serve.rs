//! `nadmit serve`: sources, settings and server put together.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use arc_swap::ArcSwapOption;
use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use super::{live_config::LiveConfig, logging::LogArgs, standalone::Standalone, welcome};
use crate::{
    rules::Injection,
    server::{AdminSocket, Certificates, Identity, Limits, ServeOptions, Server, Shutdown},
};

/// What to serve, and where.
#[derive(Debug, Args)]
pub(super) struct ServeArgs {
    /// The folder of manifests (NetworkAttachmentDefinitions, Namespaces, Pods), polled for changes
    #[arg(long, env = "NADMIT_MANIFESTS", value_name = "DIR")]
    manifests: PathBuf,
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
    /// Serve only callers with a certificate of these authorities (PEM)
    #[arg(long, env = "NADMIT_CLIENT_CA", value_name = "FILE")]
    client_ca: Option<PathBuf>,
    /// Where allocations are kept
    #[arg(
        long,
        env = "NADMIT_DATA_DIR",
        value_name = "DIR",
        default_value = "data"
    )]
    data_dir: PathBuf,
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
    fn certificates(&self) -> Certificates {
        let identity = match (&self.tls_cert, &self.tls_key) {
            (Some(cert), Some(key)) => Identity::Files {
                cert: cert.clone(),
                key: key.clone(),
            },
            _ => Identity::Directory {
                path: self.cert_dir.clone(),
                names: Identity::local_names(),
            },
        };
        Certificates {
            identity,
            client_ca: self.client_ca.clone(),
            ..Certificates::default()
        }
    }

    fn options(&self) -> ServeOptions {
        let drain_grace = Duration::from_secs(self.drain_grace.into());
        ServeOptions {
            listen: self.listen,
            admin_listen: Some(self.admin_listen),
            certificates: self.certificates(),
            limits: Limits {
                drain_grace,
                ..Limits::default()
            },
            clock: super::clock(),
        }
    }

    /// The CA to check the server by, if nadmit made its certificate.
    fn ca(&self) -> Option<PathBuf> {
        self.tls_cert
            .is_none()
            .then(|| self.cert_dir.join("ca.crt"))
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
    let config = LiveConfig::open(args.config.as_deref(), Injection::Create)?;
    let catalog = Arc::new(ArcSwapOption::empty());
    let policy = config.policy.clone();
    let standalone =
        Standalone::open(&args.manifests, &args.data_dir, catalog.clone(), policy).await?;
    let Standalone {
        beside,
        state,
        desk,
        stop,
    } = standalone;
    let server = Server::bind(args.options(), state).await?;
    let admin_socket = AdminSocket::bind(&args.data_dir, desk)?;
    let shutdown = Shutdown::new();
    tokio::spawn(end_on_signals(shutdown.clone())?);
    beside.start(&stop);
    let admin_socket = tokio::spawn(admin_socket.run(stop.clone()));
    tokio::spawn(config.follow(stop.clone()));
    let place = welcome::Place {
        webhooks: reachable(server.address()?),
        admin: server.admin_address()?.map(reachable),
        manifests: &args.manifests,
        ca: args.ca(),
    };
    welcome::print(&place, catalog.load().as_deref());
    server.run(shutdown).await;
    stop.cancel();
    // Its file is removed at the end.
    admin_socket.await?;
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

/// The first SIGTERM or SIGINT drains, the second ends at once.
pub(super) fn end_on_signals(shutdown: Shutdown) -> anyhow::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        let mut asked = false;
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if asked {
                shutdown.abort();
            } else {
                shutdown.drain();
            }
            asked = true;
        }
    })
}
