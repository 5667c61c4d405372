//! The admin socket: `admin.sock` in the data directory.
//!
//! It serves plain HTTP to every process that may open the file, which is only the file's owner.
//! There is no other access control. All operations that change something are served here and not
//! on the admin port.

mod routes;
mod socket_file;

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use thiserror::Error;
use tokio::{net::UnixListener, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::socket_file::SocketFile;
use super::{
    Limits, Metrics, OperatorService,
    lifecycle::Lifecycle,
    metrics,
    run::{ListenerResources, operator_limits},
};

/// File name of the socket in the data directory.
pub const SOCKET_NAME: &str = "admin.sock";
/// Timeout for requests in progress at shutdown.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);
/// Time that a client has to read a response.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(3600);

/// A bound socket that does not serve yet. Dropping it removes the file.
pub struct AdminSocket {
    listener: UnixListener,
    socket_file: SocketFile,
    operator: Arc<OperatorService>,
}

/// Error returned when the socket cannot be bound.
#[derive(Debug, Error)]
pub enum AdminSocketError {
    /// Another process serves the socket.
    #[error(
        "{}: another process serves there; stop that one, or choose another directory with --data-dir",
        path.display()
    )]
    InUse {
        /// Path of the socket.
        path: PathBuf,
    },
    /// A file that is not a socket has the name.
    #[error("{}: this is not a socket; move it away, or choose another directory with --data-dir", path.display())]
    NotASocket {
        /// Path of the file.
        path: PathBuf,
    },
    /// The path exceeds the length limit of socket addresses.
    #[error("{}: the path is too long for a socket; choose a shorter one with --data-dir", path.display())]
    TooLong {
        /// Path of the socket.
        path: PathBuf,
    },
    /// An I/O error.
    #[error("{}: {source}; let nadmit write to this directory, or choose another with --data-dir", path.display())]
    System {
        /// Path of the socket.
        path: PathBuf,
        /// The underlying error.
        source: io::Error,
    },
}

impl AdminSocket {
    /// Binds the socket of a data directory with mode 0600 and replaces one that a dead process
    /// left behind. At no time can other users connect.
    ///
    /// # Errors
    /// Returns an [`AdminSocketError`]; existing files are left unchanged.
    pub fn bind(
        data_dir: &std::path::Path,
        operator: Arc<OperatorService>,
    ) -> Result<Self, AdminSocketError> {
        let (listener, socket_file) = socket_file::bind(data_dir, SOCKET_NAME)?;
        Ok(Self {
            listener,
            socket_file,
            operator,
        })
    }

    /// Serves until `cancel` is cancelled, then removes the file.
    pub async fn run(self, cancel: CancellationToken) {
        let Self {
            listener,
            socket_file,
            operator,
        } = self;
        let limits = Limits {
            // Clients may read an export page by page.
            idle: RESPONSE_TIMEOUT,
            ..operator_limits(&Limits::default())
        };
        // These metrics are not exported.
        let metrics = Metrics::register(&mut metrics::registry(), Arc::default());
        let (lifecycle, tasks) = (Lifecycle::default(), TaskTracker::new());
        let resources = ListenerResources::new(&limits, &metrics, operator.clock());
        let router = routes::routes(operator);
        let serving = resources.listener(listener, router, limits, &lifecycle, None);
        let serving = tokio::spawn(serving.run(tasks.clone()));
        cancel.cancelled().await;
        lifecycle.close();
        tasks.close();
        let _ = timeout(DRAIN_TIMEOUT, tasks.wait()).await;
        lifecycle.end();
        let _ = serving.await;
        drop(socket_file);
    }
}
