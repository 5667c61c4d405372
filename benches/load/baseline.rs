//! The baseline: nadmit's own server with a handler that reads the body and returns a constant.

use std::{fs, io::Write as _, path::Path, sync::Arc};

use arc_swap::{ArcSwap, ArcSwapOption};
use axum::{Router, body::Bytes, http::header, routing::post};
use nadmit::{
    catalog::{LiveCatalog, LiveRead, LiveReadFuture},
    rules::Policy,
    server::{
        Allocations, CertificateSource, Metrics, ServeOptions, Server, ServerCertificates,
        SharedState, Shutdown, metrics,
    },
};

/// The option that makes this program the baseline; the folder follows.
pub(crate) const FLAG: &str = "--serve-baseline";
/// The name of the response's file in that folder.
pub(crate) const ANSWER: &str = "answer.json";

struct NoCluster;

impl LiveCatalog for NoCluster {
    fn refresh<'a>(&'a self, _: &'a [LiveRead]) -> LiveReadFuture<'a> {
        Box::pin(async { Ok(()) })
    }
}

/// Serves until the process is killed.
pub(crate) fn serve(folder: &Path) -> anyhow::Result<()> {
    let answer = Bytes::from(fs::read(folder.join(ANSWER))?);
    let handler = move |body: Bytes| {
        let answer = answer.clone();
        async move {
            std::hint::black_box(body);
            ([(header::CONTENT_TYPE, "application/json")], answer)
        }
    };
    let mut registry = metrics::registry();
    let catalog = Arc::new(ArcSwapOption::empty());
    let state = SharedState {
        metrics: Metrics::register(&mut registry, catalog.clone()),
        catalog,
        policy: Arc::new(ArcSwap::from_pointee(Policy::default())),
        allocations: Allocations::disabled(),
        live_catalog: Arc::new(NoCluster),
        registry,
    };
    let identity = CertificateSource::Directory {
        path: folder.join("certs"),
        names: CertificateSource::local_names(),
    };
    let options = ServeOptions {
        listen: ([127, 0, 0, 1], 0).into(),
        admin_listen: None,
        certificates: ServerCertificates {
            source: identity,
            ..ServerCertificates::default()
        },
        tls: nadmit::server::TlsPolicy::default(),
        limits: nadmit::server::Limits::default(),
        clock: nadmit::clock::Clock::new(jiff::Timestamp::now),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let routes = Router::new().route("/validate", post(handler));
        let server = Server::bind_routes(options, state, routes).await?;
        println!("https://{}", server.address()?);
        std::io::stdout().flush()?;
        server.run(Shutdown::new()).await;
        Ok(())
    })
}
