//! Accepts connections up to a limit and serves each in its own task, with TLS if configured.

use std::{io, net::IpAddr, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
    time::{sleep, timeout},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use super::{
    connection::ConnectionHandler,
    connections::{ConnectionPermit, Connections},
    lifecycle::Lifecycle,
    metrics::Metrics,
    tls::{self, Protocol},
};

/// Delay after a failed accept, such as when file descriptors or memory are exhausted.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(100);

/// A bound socket with its connection handler.
pub(super) struct Listener<S = TcpListener> {
    pub(super) socket: S,
    pub(super) handler: Arc<ConnectionHandler>,
    /// TLS settings; `None` for plain HTTP.
    pub(super) tls: Option<TlsHandshake>,
    pub(super) connections: Arc<Connections>,
    pub(super) lifecycle: Lifecycle,
    pub(super) metrics: Arc<Metrics>,
}

/// TLS acceptor and handshake timeout.
#[derive(Clone)]
pub(super) struct TlsHandshake {
    pub(super) acceptor: TlsAcceptor,
    pub(super) limit: Duration,
}

/// A socket that accepts connections.
pub(super) trait Socket: Send + Sync {
    type Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static;

    /// Accepts a connection and returns its peer address, if it has one.
    fn accept(&self) -> impl Future<Output = io::Result<(Self::Stream, Option<IpAddr>)>> + Send;
}

impl Socket for TcpListener {
    type Stream = TcpStream;

    async fn accept(&self) -> io::Result<(TcpStream, Option<IpAddr>)> {
        let (stream, from) = Self::accept(self).await?;
        // Responses are small and awaited. A socket that rejects this option is already closed.
        let _ = stream.set_nodelay(true);
        Ok((stream, Some(from.ip())))
    }
}

impl Socket for UnixListener {
    type Stream = UnixStream;

    async fn accept(&self) -> io::Result<(UnixStream, Option<IpAddr>)> {
        Ok((Self::accept(self).await?.0, None))
    }
}

impl<S: Socket> Listener<S> {
    /// Accepts connections until the server closes. Open connections continue in `tasks`.
    pub(super) async fn run(self, tasks: TaskTracker) {
        let closing = self.lifecycle.closing.clone();
        tokio::select! {
            () = closing.cancelled() => {}
            () = self.accept_all(&tasks) => {}
        }
    }

    async fn accept_all(&self, tasks: &TaskTracker) {
        loop {
            match self.socket.accept().await {
                Ok((stream, from)) => {
                    let permit = self
                        .connections
                        .acquire(from, || self.count_evicted())
                        .await;
                    self.spawn_connection(stream, permit, tasks);
                }
                Err(error) => self.handle_accept_error(&error).await,
            }
        }
    }

    fn spawn_connection(&self, stream: S::Stream, permit: ConnectionPermit, tasks: &TaskTracker) {
        let open = OpenConnection::begin(self.metrics.clone(), permit);
        let connection = open.permit.connection.clone();
        let handler = self.handler.clone();
        let ended = self.lifecycle.ended.clone();
        match self.tls.clone() {
            None => {
                tasks.spawn(async move {
                    handler.serve(stream, Protocol::Http1, connection).await;
                    drop(open);
                });
            }
            Some(tls) => {
                let metrics = self.metrics.clone();
                tasks.spawn(async move {
                    let outcome = tokio::select! {
                        outcome = tls.handshake(stream) => outcome,
                        () = connection.eviction_requested() => return,
                        () = ended.cancelled() => return,
                    };
                    match outcome {
                        Ok(stream) => {
                            let protocol = tls::protocol(&stream);
                            handler.serve(stream, protocol, connection).await;
                        }
                        Err(error) => {
                            metrics.handshake_failures.inc();
                            debug!(error = %error, "TLS handshake failed");
                        }
                    }
                    drop(open);
                });
            }
        }
    }

    /// Handles a failed accept. Connections that broke before they were accepted are ignored. For
    /// other errors, such as exhausted file descriptors, an immediate retry would busy-loop.
    async fn handle_accept_error(&self, error: &io::Error) {
        let benign = [
            io::ErrorKind::ConnectionAborted,
            io::ErrorKind::ConnectionReset,
            io::ErrorKind::ConnectionRefused,
        ];
        if !benign.contains(&error.kind()) {
            warn!(error = %error, "accept failed; raise the limit of open files");
            if self.connections.evict_one() {
                self.count_evicted();
            }
            sleep(ACCEPT_RETRY_DELAY).await;
        }
    }

    fn count_evicted(&self) {
        self.metrics.evicted_connections.inc();
    }
}

impl TlsHandshake {
    async fn handshake<S>(&self, stream: S) -> io::Result<TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        timeout(self.limit, self.acceptor.accept(stream)).await?
    }
}

/// Counts an open connection and holds its permit until dropped.
struct OpenConnection {
    metrics: Arc<Metrics>,
    permit: ConnectionPermit,
}

impl OpenConnection {
    fn begin(metrics: Arc<Metrics>, permit: ConnectionPermit) -> Self {
        metrics.connections.inc();
        Self { metrics, permit }
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.metrics.connections.dec();
    }
}
