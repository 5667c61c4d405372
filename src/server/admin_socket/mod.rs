//! The socket for operators of this machine: `admin.sock` in the data directory.
//!
//! Plain HTTP for whoever may open the file, which is its owner alone: there is no other lock.
//! What changes anything is here and not on the admin port.

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

/// Its name in the data directory.
pub const SOCKET_NAME: &str = "admin.sock";
/// How long what is in progress at the end may take.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);
/// How long taking in an answer may take.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(3600);

/// A socket that takes connections, and serves none of them yet. Dropping it removes the file.
pub struct AdminSocket {
    listener: UnixListener,
    socket_file: SocketFile,
    operator: Arc<OperatorService>,
}

/// Why there can be no such socket.
#[derive(Debug, Error)]
pub enum AdminSocketError {
    /// A process answers there.
    #[error(
        "{}: another process serves there; stop that one, or choose another directory with --data-dir",
        path.display()
    )]
    InUse {
        /// The socket.
        path: PathBuf,
    },
    /// Something else has that name.
    #[error("{}: this is not a socket; move it away, or choose another directory with --data-dir", path.display())]
    NotASocket {
        /// The file.
        path: PathBuf,
    },
    /// The path is longer than a socket's may be.
    #[error("{}: the path is too long for a socket; choose a shorter one with --data-dir", path.display())]
    TooLong {
        /// The socket.
        path: PathBuf,
    },
    /// The system refuses.
    #[error("{}: {source}; let nadmit write to this directory, or choose another with --data-dir", path.display())]
    System {
        /// The socket.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

impl AdminSocket {
    /// Binds the socket of a data directory (0600, at no moment open to others), in the place of one
    /// that a dead process left behind.
    ///
    /// # Errors
    /// [`AdminSocketError`]; what was there is left as it was.
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

    /// Serves until `cancel`, and removes the file.
    pub async fn run(self, cancel: CancellationToken) {
        let Self {
            listener,
            socket_file,
            operator,
        } = self;
        let limits = Limits {
            // An export may be read page by page.
            idle: RESPONSE_TIMEOUT,
            ..operator_limits(&Limits::default())
        };
        // Nobody scrapes what is counted here.
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
