//! `nadmit demo`: runs the server on the examples, sends it real reviews, and prints the responses.

mod scenes;
mod show;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use arc_swap::{ArcSwap, ArcSwapOption};
use clap::Args;
use tokio_util::sync::CancellationToken;

use self::scenes::SCENES;
use super::{
    banner,
    https::HttpsClient,
    output, signals,
    standalone::{Standalone, StandaloneTasks},
};
use crate::{
    catalog::Catalog,
    ledger::OlderLedger,
    rules::Policy,
    server::{
        CertificateSource, Limits, ServeOptions, Server, ServerCertificates, Shutdown, TlsPolicy,
    },
};

/// Arguments of `nadmit demo`.
#[derive(Debug, Args)]
pub(super) struct DemoArgs {
    /// Exit after the examples, instead of continuing to serve
    #[arg(long)]
    once: bool,
    /// Address of the webhooks; if the port is in use, another one is chosen
    #[arg(
        long,
        env = "NADMIT_LISTEN",
        value_name = "ADDRESS",
        default_value = "127.0.0.1:8443"
    )]
    listen: SocketAddr,
}

/// Runs the demonstration in a temporary folder.
///
/// # Errors
/// When the folder cannot be created or no port is free.
pub(super) fn run(args: &DemoArgs) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(demo(args))
}

async fn demo(args: &DemoArgs) -> anyhow::Result<()> {
    let folder = tempfile::Builder::new()
        .prefix("nadmit-demo-")
        .tempdir()
        .context("cannot create a temporary folder; set TMPDIR to a writable folder")?;
    let manifests = folder.path().join("manifests");
    let certs = folder.path().join("certs");
    scenes::unpack(&manifests)?;
    let demonstration = Demonstration {
        manifests,
        certs,
        catalog: Arc::new(ArcSwapOption::empty()),
    };
    let bound = match demonstration.bind(args.listen).await {
        Ok(bound) => bound,
        // The port is taken: use any free port.
        Err(_) => demonstration.bind((args.listen.ip(), 0).into()).await?,
    };
    let BoundServer { server, tasks } = bound;
    let stop = CancellationToken::new();
    let (webhooks, admin) = (server.address()?, server.admin_address()?);
    let shutdown = Shutdown::new();
    signals::handle_nonfatal(Vec::new())?;
    signals::shut_down_on_signal(shutdown.clone())?;
    tokio::spawn(tasks.run(stop.clone()));
    let serving = tokio::spawn(server.run(shutdown.clone()));
    let ca = demonstration.certs.join("ca.crt");
    run_scenes(webhooks, &ca).await?;
    if args.once {
        shutdown.drain();
    } else {
        let place = banner::ServerInfo {
            webhooks,
            admin,
            origin: demonstration.manifests.display().to_string(),
            ca: Some(ca),
        };
        banner::print(&place, demonstration.catalog.load().as_deref());
        output::print_line(format_args!(
            "Edit the manifests in that folder and send the review again. Ctrl-C stops the demo."
        ));
    }
    serving.await?;
    stop.cancel();
    Ok(())
}

/// Files and catalog of the demonstration.
struct Demonstration {
    manifests: PathBuf,
    certs: PathBuf,
    catalog: Arc<ArcSwapOption<Catalog>>,
}

/// A server with its addresses, and its background tasks.
struct BoundServer {
    server: Server,
    tasks: StandaloneTasks,
}

impl Demonstration {
    async fn bind(&self, listen: SocketAddr) -> anyhow::Result<BoundServer> {
        let policy = Arc::new(ArcSwap::from_pointee(Policy::default()));
        let data = self.certs.with_file_name("data");
        let Standalone { tasks, state, .. } = Standalone::open(
            &self.manifests,
            &data,
            OlderLedger::Refuse,
            self.catalog.clone(),
            policy,
        )
        .await?;
        let identity = CertificateSource::Directory {
            path: self.certs.clone(),
            names: CertificateSource::local_names(),
        };
        let options = ServeOptions {
            listen,
            admin_listen: Some((listen.ip(), 0).into()),
            certificates: ServerCertificates {
                source: identity,
                ..ServerCertificates::default()
            },
            tls: TlsPolicy::default(),
            limits: Limits {
                drain_grace: Duration::ZERO,
                ..Limits::default()
            },
            clock: super::clock(),
        };
        Ok(BoundServer {
            server: Server::bind(options, state).await?,
            tasks,
        })
    }
}

/// Sends every scene's review over HTTPS and prints the response.
async fn run_scenes(address: SocketAddr, ca: &Path) -> anyhow::Result<()> {
    let mut client = HttpsClient::connect(address, ca)
        .await
        .context("cannot connect to the server of the demo")?;
    output::print_line(show::opening());
    for scene in SCENES {
        let mut request = scene.review()?;
        let body = std::mem::take(&mut request.body);
        let (status, response) = client.post(scene.path, body).await?;
        output::print_line(show::scene(scene, &request, status, &response)?);
    }
    Ok(())
}
