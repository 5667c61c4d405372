//! `nadmit serve`: builds and runs sources, settings and server.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use tokio::{sync::Notify, time::timeout};
use tokio_util::sync::CancellationToken;

use super::{
    banner,
    live_config::{EnvironmentDefaults, LiveConfig},
    logging::LogFormat,
    runtime::ServeRuntime,
    serve_args::ServeArgs,
    signals,
};
use crate::server::{AdminSocket, Server, SettingsDigest, Shutdown};

/// Default directory of allocations.
const DEFAULT_DATA_DIR: &str = "data";
/// Time that the background tasks may take to end.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(3);

/// Serves until a signal ends it.
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
    // JSON log output must contain no other lines; the server logs its addresses.
    if args.log.format() == LogFormat::Pretty {
        banner::print(&place, catalog.load().as_deref());
    }
    server.run(shutdown).await;
    stop.cancel();
    // The task removes the socket's file at its end.
    if let Some(admin_socket) = admin_socket {
        admin_socket.await?;
    }
    // The leader releases its Lease.
    let _ = timeout(SHUTDOWN_TIMEOUT, tasks).await;
    Ok(())
}

/// Returns the address by which this machine reaches a socket that listens on all its addresses.
fn reachable(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => ([127, 0, 0, 1], address.port()).into(),
        IpAddr::V6(ip) if ip.is_unspecified() => {
            (std::net::Ipv6Addr::LOCALHOST, address.port()).into()
        }
        _ => address,
    }
}
