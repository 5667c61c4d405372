//! A running server and its clients.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use arc_swap::{ArcSwap, ArcSwapOption};
use bytes::Bytes;
use http::{Request, Response, header};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, client::conn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use jiff::Timestamp;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};
use tempfile::TempDir;
use tokio::{
    net::TcpStream,
    sync::Notify,
    task::JoinHandle,
    time::{Instant, sleep},
};
use tokio_rustls::{TlsConnector, client::TlsStream};

pub(super) use super::deciders::*;
use crate::{
    Allocations, CertificateSource, Limits, Metrics, ServeOptions, Server, ServerCertificates,
    SharedState, Shutdown, TlsPolicy, metrics, review_planner::DecideFn,
};
use nadmit_admission as admission;
use nadmit_catalog::{Catalog, LiveCatalog};
use nadmit_host::clock::Clock;
use nadmit_rules::Policy;

pub(super) type TlsConnection = TlsStream<TcpStream>;

/// Setup of a test server; by default without a drain grace period.
pub(super) struct Setup {
    pub(super) limits: Limits,
    pub(super) decide: DecideFn,
    pub(super) live_catalog: Arc<dyn LiveCatalog>,
    pub(super) loaded: bool,
    pub(super) client_ca: Option<PathBuf>,
    pub(super) clock: Clock,
    pub(super) tls: TlsPolicy,
    /// Triggers a certificate check; without it, certificates are checked every 20 ms.
    pub(super) reload: Option<Arc<Notify>>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            limits: limits(),
            decide: admission::decide,
            live_catalog: Arc::new(FakeOrigin::Answers),
            loaded: true,
            client_ca: None,
            clock: Clock::new(Timestamp::now),
            tls: TlsPolicy::default(),
            reload: None,
        }
    }
}

/// The default limits without a drain grace period.
pub(super) fn limits() -> Limits {
    Limits {
        drain_grace: Duration::ZERO,
        ..Limits::default()
    }
}

/// A server that runs until dropped.
pub(super) struct Running {
    pub(super) address: SocketAddr,
    pub(super) admin: SocketAddr,
    pub(super) shutdown: Shutdown,
    pub(super) task: JoinHandle<()>,
    pub(super) catalog: Arc<ArcSwapOption<Catalog>>,
    pub(super) directory: TempDir,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shutdown.abort();
    }
}

impl Setup {
    pub(super) fn limited(limits: Limits) -> Self {
        Self {
            limits,
            ..Self::default()
        }
    }

    pub(super) async fn start(self) -> Running {
        let directory = tempfile::tempdir().unwrap();
        let state = state(self.live_catalog);
        let catalog = state.catalog.clone();
        if self.loaded {
            catalog.store(Some(Arc::default()));
        }
        let mut options = options(directory.path());
        options.certificates.client_ca = self.client_ca;
        options.limits = self.limits;
        options.clock = self.clock.clone();
        options.tls = self.tls;
        if let Some(reload) = self.reload {
            options.certificates.reload = reload;
            options.certificates.reload_interval = Duration::from_secs(3600);
        }
        let server = Server::bind_with(options, state, self.decide).await;
        let server = server.unwrap();
        let shutdown = Shutdown::new();
        Running {
            address: server.address().unwrap(),
            admin: server.admin_address().unwrap().unwrap(),
            task: tokio::spawn(server.run(shutdown.clone())),
            shutdown,
            catalog,
            directory,
        }
    }
}

/// Default state without a catalog.
pub(super) fn state(live_catalog: Arc<dyn LiveCatalog>) -> SharedState {
    let catalog: Arc<ArcSwapOption<Catalog>> = Arc::default();
    let mut registry = metrics::registry();
    SharedState {
        metrics: Metrics::register(&mut registry, catalog.clone()),
        catalog,
        policy: Arc::new(ArcSwap::from_pointee(Policy::default())),
        allocations: Allocations::disabled(),
        live_catalog,
        registry,
    }
}

/// Options with free ports and certificates below `directory`.
pub(super) fn options(directory: &Path) -> ServeOptions {
    ServeOptions {
        listen: ([127, 0, 0, 1], 0).into(),
        admin_listen: Some(([127, 0, 0, 1], 0).into()),
        certificates: ServerCertificates {
            source: CertificateSource::Directory {
                path: directory.join("certs"),
                names: CertificateSource::local_names(),
            },
            client_ca: None,
            reload_interval: Duration::from_millis(20),
            reload: Arc::default(),
        },
        tls: TlsPolicy::default(),
        limits: limits(),
        clock: Clock::new(Timestamp::now),
    }
}

impl Running {
    pub(super) fn certs(&self, name: &str) -> PathBuf {
        self.directory.path().join("certs").join(name)
    }

    /// Connects, trusting the server's CA and offering these ALPN protocols.
    pub(super) async fn connect(&self, alpn: &[&str]) -> TlsConnection {
        self.try_connect(alpn, None).await.unwrap()
    }

    pub(super) async fn try_connect(
        &self,
        alpn: &[&str],
        identity: Option<(CertificateDer<'static>, PrivateKeyDer<'static>)>,
    ) -> std::io::Result<TlsConnection> {
        self.try_connect_by(alpn, identity, rustls::ALL_VERSIONS)
            .await
    }

    /// Connects with the given ALPN protocols, client certificate and TLS versions.
    pub(super) async fn try_connect_by(
        &self,
        alpn: &[&str],
        identity: Option<(CertificateDer<'static>, PrivateKeyDer<'static>)>,
        versions: &[&'static rustls::SupportedProtocolVersion],
    ) -> std::io::Result<TlsConnection> {
        let mut roots = RootCertStore::empty();
        let authority = CertificateDer::from_pem_file(self.certs("ca.crt")).unwrap();
        roots.add(authority).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match identity {
            None => builder.with_no_client_auth(),
            Some((cert, key)) => builder.with_client_auth_cert(vec![cert], key).unwrap(),
        };
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        let stream = TcpStream::connect(self.address).await?;
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::new(config))
            .connect(name, stream)
            .await
    }

    pub(super) async fn http1(&self) -> Http1 {
        let stream = TokioIo::new(self.connect(&["http/1.1"]).await);
        let (sender, connection) = conn::http1::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        Http1(sender)
    }

    pub(super) async fn http2(&self) -> conn::http2::SendRequest<Full<Bytes>> {
        let stream = self.connect(&["h2", "http/1.1"]).await;
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let builder = conn::http2::Builder::new(TokioExecutor::new());
        let (sender, connection) = builder.handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        sender
    }

    /// Sends a `GET` to the admin listener.
    pub(super) async fn get(&self, path: &str) -> Reply {
        let stream = TokioIo::new(TcpStream::connect(self.admin).await.unwrap());
        let (sender, connection) = conn::http1::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        let request = Request::get(path).header(header::HOST, "localhost");
        Http1(sender)
            .send(request.body(Full::default()).unwrap())
            .await
    }

    /// Returns the value of a metric; `name` includes the labels.
    pub(super) async fn metric(&self, name: &str) -> Option<f64> {
        let page = self.get("/metrics").await.body;
        let value = page
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
        value.parse().ok()
    }
}

/// An HTTP/1.1 connection.
pub(super) struct Http1(pub(super) conn::http1::SendRequest<Full<Bytes>>);

/// A response that was read to its end.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: http::HeaderMap,
    pub(super) body: String,
}

impl Http1 {
    pub(super) async fn send(&mut self, request: Request<Full<Bytes>>) -> Reply {
        self.0.ready().await.unwrap();
        Reply::read(self.0.send_request(request).await.unwrap()).await
    }

    pub(super) async fn post_review(&mut self, path: &str) -> Reply {
        self.send(post(path, REVIEW)).await
    }
}

impl Reply {
    pub(super) async fn read(response: Response<Incoming>) -> Self {
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Self {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: String::from_utf8(body.to_vec()).unwrap(),
        }
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }
}

/// A review of a pod without additional networks.
pub(super) const REVIEW: &str = r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview",
    "request":{"uid":"u-1","kind":{"group":"","version":"v1","kind":"Pod"},
    "resource":{"group":"","version":"v1","resource":"pods"},"name":"web-0","namespace":"db",
    "operation":"CREATE","object":{"metadata":{"name":"web-0"},"spec":{}},"dryRun":false}}"#;

/// A request as the API server sends it.
pub(super) fn post(path: &str, body: &str) -> Request<Full<Bytes>> {
    Request::post(path)
        .header(header::HOST, "localhost")
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::from(body.to_owned()))
        .unwrap()
}

/// Waits until a condition holds; panics after five seconds.
pub(super) async fn eventually<F: Future<Output = bool>>(mut condition: impl FnMut() -> F) {
    let begun = Instant::now();
    while !condition().await {
        assert!(
            begun.elapsed() < Duration::from_secs(5),
            "condition never held"
        );
        sleep(Duration::from_millis(10)).await;
    }
}
