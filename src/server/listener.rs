//! Accepting connections: no more than the cap, each in a task of its own, TLS first if it is
//! spoken.

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
    connection::{ConnectionHandler, Protocol},
    connections::{ConnectionPermit, Connections},
    lifecycle::Lifecycle,
    metrics::Metrics,
    tls,
};

/// How long to wait when the system has no more file descriptors or memory to give.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(100);

/// One address with what is spoken there.
pub(super) struct Listener<S = TcpListener> {
    pub(super) socket: S,
    pub(super) handler: Arc<ConnectionHandler>,
    /// `None`: plain HTTP.
    pub(super) tls: Option<TlsHandshake>,
    pub(super) connections: Arc<Connections>,
    pub(super) lifecycle: Lifecycle,
    pub(super) metrics: Arc<Metrics>,
}

/// How hands are shaken.
#[derive(Clone)]
pub(super) struct TlsHandshake {
    pub(super) acceptor: TlsAcceptor,
    pub(super) limit: Duration,
}

/// What connections come from.
pub(super) trait Socket: Send + Sync {
    type Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static;

    /// Takes the next connection, with the address that it comes from, if it has one.
    fn accept(&self) -> impl Future<Output = io::Result<(Self::Stream, Option<IpAddr>)>> + Send;
}

impl Socket for TcpListener {
    type Stream = TcpStream;

    async fn accept(&self) -> io::Result<(TcpStream, Option<IpAddr>)> {
        let (stream, from) = Self::accept(self).await?;
        // Answers are small and awaited. A socket that refuses this is gone already.
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
    /// Accepts until no more connections are taken. Those that are open go on in `tasks`.
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
                            debug!(error = %error, "a TLS handshake failed");
                        }
                    }
                    drop(open);
                });
            }
        }
    }

    /// A connection that broke before it was accepted concerns nobody; lack of descriptors does,
    /// and asking at once again would only burn time.
    async fn handle_accept_error(&self, error: &io::Error) {
        let sanitize = [
            io::ErrorKind::ConnectionAborted,
            io::ErrorKind::ConnectionReset,
            io::ErrorKind::ConnectionRefused,
        ];
        if !sanitize.contains(&error.kind()) {
            warn!(error = %error, "connections cannot be accepted; raise the limit of open files");
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

/// Counts a connection as open, and takes up a place, until it is dropped.
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
