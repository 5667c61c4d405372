//! The fake API server over HTTP/1 on loopback, for the real binary.

use std::{io, net::TcpListener, thread};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tower::Service as _;

use super::ApiServer;

impl ApiServer {
    /// Listens in a thread of its own until the process ends.
    pub fn listen(&self) -> io::Result<()> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let server = self.clone();
        thread::spawn(move || runtime.block_on(server.accept(listener)));
        self.shared
            .address
            .set(address)
            .map_err(|_| io::Error::other("it listens already"))
    }

    async fn accept(self, listener: TcpListener) -> io::Result<()> {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        loop {
            let (stream, _) = listener.accept().await?;
            let server = self.clone();
            // An error instead of a response breaks the connection, as intended.
            let service = service_fn(move |request| server.clone().call(request));
            let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            tokio::spawn(connection);
        }
    }
}
