//! Accepting connections: no more than the cap, each in a task of its own, TLS first if it is
//! spoken.

use std::{io, sync::Arc, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{sleep, timeout},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use super::{
    connection::{Protocol, Speaker},
    lifecycle::Lifecycle,
    metrics::Metrics,
    tls,
};

/// How long to wait when the system has no more file descriptors or memory to give.
const PAUSE: Duration = Duration::from_millis(100);

/// One address with what is spoken there.
pub(super) struct Listener {
    pub(super) socket: TcpListener,
    pub(super) speaker: Arc<Speaker>,
    /// `None`: plain HTTP.
    pub(super) tls: Option<Tls>,
    pub(super) connections: usize,
    pub(super) lifecycle: Lifecycle,
    pub(super) metrics: Arc<Metrics>,
}

/// How hands are shaken.
#[derive(Clone)]
pub(super) struct Tls {
    pub(super) acceptor: TlsAcceptor,
    pub(super) limit: Duration,
}

impl Listener {
    /// Accepts until no more connections are taken. Those that are open go on in `tasks`.
    pub(super) async fn run(self, tasks: TaskTracker) {
        let closing = self.lifecycle.closing.clone();
        tokio::select! {
            () = closing.cancelled() => {}
            () = self.accept_all(&tasks) => {}
        }
    }

    async fn accept_all(&self, tasks: &TaskTracker) {
        let places = Arc::new(Semaphore::new(self.connections));
        // At the cap, callers wait in the system's queue. The semaphore is never closed.
        while let Ok(place) = places.clone().acquire_owned().await {
            match self.socket.accept().await {
                Ok((stream, _)) => self.welcome(stream, place, tasks),
                Err(error) => self.bemoan(&error).await,
            }
        }
    }

    fn welcome(&self, stream: TcpStream, place: OwnedSemaphorePermit, tasks: &TaskTracker) {
        // Answers are small and awaited. A socket that refuses this is gone already.
        let _ = stream.set_nodelay(true);
        let open = Open::begin(self.metrics.clone(), place);
        let speaker = self.speaker.clone();
        let ended = self.lifecycle.ended.clone();
        match self.tls.clone() {
            None => {
                tasks.spawn(async move {
                    speaker.serve(stream, Protocol::Http1).await;
                    drop(open);
                });
            }
            Some(tls) => {
                let metrics = self.metrics.clone();
                tasks.spawn(async move {
                    let shaken = tokio::select! {
                        shaken = tls.shake_hands(stream) => shaken,
                        () = ended.cancelled() => return,
                    };
                    match shaken {
                        Ok(stream) => {
                            let protocol = tls::protocol(&stream);
                            speaker.serve(stream, protocol).await;
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
    async fn bemoan(&self, error: &io::Error) {
        let harmless = [
            io::ErrorKind::ConnectionAborted,
            io::ErrorKind::ConnectionReset,
            io::ErrorKind::ConnectionRefused,
        ];
        if !harmless.contains(&error.kind()) {
            warn!(error = %error, "connections cannot be accepted; raise the limit of open files");
            sleep(PAUSE).await;
        }
    }
}

impl Tls {
    async fn shake_hands(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        timeout(self.limit, self.acceptor.accept(stream)).await?
    }
}

/// Counts a connection as open, and takes up a place, until it is dropped.
struct Open {
    metrics: Arc<Metrics>,
    _place: OwnedSemaphorePermit,
}

impl Open {
    fn begin(metrics: Arc<Metrics>, place: OwnedSemaphorePermit) -> Self {
        metrics.connections.inc();
        Self {
            metrics,
            _place: place,
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.metrics.connections.dec();
    }
}
