//! nadmit's own server (TLS, hyper, limits of connections and heads) with other handlers.

use std::{path::Path, sync::Arc};

use arc_swap::{ArcSwap, ArcSwapOption};
use axum::Router;
use nadmit::{
    catalog::{Catalog, LiveCatalog, LiveRead, LiveReadFuture},
    rules::Policy,
    server::{
        Allocations, CertificateSource, Limits, Metrics, ServeOptions, Server, ServerCertificates,
        SharedState, TlsPolicy, metrics,
    },
};

struct NoCluster;

impl LiveCatalog for NoCluster {
    fn refresh<'a>(&'a self, _: &'a [LiveRead]) -> LiveReadFuture<'a> {
        Box::pin(async { Ok(()) })
    }
}

/// Returns the state of a server without a cluster and without pools.
pub(crate) fn state(catalog: Option<Catalog>) -> SharedState {
    let mut registry = metrics::registry();
    let catalog = Arc::new(ArcSwapOption::from_pointee(catalog));
    SharedState {
        metrics: Metrics::register(&mut registry, catalog.clone()),
        catalog,
        policy: Arc::new(ArcSwap::from_pointee(Policy::default())),
        allocations: Allocations::disabled(),
        live_catalog: Arc::new(NoCluster),
        registry,
    }
}

/// Binds a server to a free port of loopback, with a certificate that it makes in this folder.
pub(crate) async fn bind(
    certificates: &Path,
    state: SharedState,
    routes: Router,
) -> anyhow::Result<Server> {
    let options = ServeOptions {
        listen: ([127, 0, 0, 1], 0).into(),
        admin_listen: None,
        certificates: ServerCertificates {
            source: CertificateSource::Directory {
                path: certificates.to_owned(),
                names: CertificateSource::local_names(),
            },
            ..ServerCertificates::default()
        },
        tls: TlsPolicy::default(),
        limits: Limits::default(),
        clock: nadmit::clock::Clock::new(jiff::Timestamp::now),
    };
    Ok(Server::bind_routes(options, state, routes).await?)
}
