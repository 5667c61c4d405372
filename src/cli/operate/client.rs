//! Client of the running server's admin socket.

use std::{
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, anyhow, bail};
use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, PercentEncode, utf8_percent_encode};
use serde::de::DeserializeOwned;
use tokio::{net::UnixStream, time::timeout};

use crate::{
    allocation::Address,
    inspect::{AddressRow, Filter, PodView, PoolMap, PoolRow, Whois},
    server::{
        admin_socket::SOCKET_NAME,
        operator::{ReleaseRequest, Released},
    },
};

/// Time limit of a request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// Time limit of an import, which writes each line.
const IMPORT_TIMEOUT: Duration = Duration::from_secs(600);

/// A client of the server behind a socket.
pub(super) struct AdminClient {
    socket: PathBuf,
}

impl AdminClient {
    /// Connects to the server of a data directory; `None` if none is running.
    ///
    /// # Errors
    /// When the socket exists but cannot be used.
    pub(super) async fn connect(data_dir: &Path) -> anyhow::Result<Option<Self>> {
        let socket = data_dir.join(SOCKET_NAME);
        match UnixStream::connect(&socket).await {
            Ok(_) => Ok(Some(Self { socket })),
            Err(error) if is_not_running(&error) => Ok(None),
            Err(error) => {
                let advice = "run the command as the user of the server";
                let socket = socket.display();
                Err(anyhow!("cannot connect to {socket}: {error}; {advice}"))
            }
        }
    }

    pub(super) async fn pools(&self) -> anyhow::Result<Vec<PoolRow>> {
        self.get("/pools").await
    }

    pub(super) async fn map(&self, pool: &str) -> anyhow::Result<PoolMap> {
        self.get(&format!("/pools/{}", encoded(pool))).await
    }

    pub(super) async fn allocations(&self, filter: &Filter) -> anyhow::Result<Vec<AddressRow>> {
        let members = [
            ("pool", &filter.pool),
            ("network", &filter.network),
            ("namespace", &filter.namespace),
            ("pod", &filter.pod),
        ];
        let given = members
            .into_iter()
            .filter_map(|(key, value)| Some(format!("{key}={}", encoded(value.as_deref()?))));
        let query: Vec<String> = given.collect();
        self.get(&format!("/allocations?{}", query.join("&"))).await
    }

    pub(super) async fn whois(&self, address: Address) -> anyhow::Result<Whois> {
        self.get(&format!("/whois/{address}")).await
    }

    pub(super) async fn pod(&self, namespace: &str, name: &str) -> anyhow::Result<PodView> {
        let path = format!("/pods/{}/{}", encoded(namespace), encoded(name));
        self.get(&path).await
    }

    pub(super) async fn release(&self, request: &ReleaseRequest) -> anyhow::Result<Released> {
        let page = self.send(Method::POST, "/release", serde_json::to_vec(request)?);
        Ok(serde_json::from_slice(&page.await?)?)
    }

    pub(super) async fn export(&self) -> anyhow::Result<Bytes> {
        self.send(Method::GET, "/export", Vec::new()).await
    }

    pub(super) async fn import(&self, lines: Vec<u8>) -> anyhow::Result<u64> {
        let page = self.send(Method::POST, "/import", lines).await?;
        Ok(serde_json::from_slice(&page)?)
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        let page = self.send(Method::GET, path, Vec::new()).await?;
        serde_json::from_slice(&page).with_context(|| {
            let socket = self.socket.display();
            format!("{socket}: the server has another version; use the nadmit of the server")
        })
    }

    /// Sends one request on a connection of its own. An error status becomes an error with the server's
    /// message.
    async fn send(&self, method: Method, path: &str, body: Vec<u8>) -> anyhow::Result<Bytes> {
        let exchanged = self.exchange(method, path, body).await;
        let (status, page) = exchanged.with_context(|| {
            let socket = self.socket.display();
            format!("{socket}: the server did not respond; see its log, and try again")
        })?;
        if !status.is_success() {
            bail!("{}", String::from_utf8_lossy(&page).trim_end());
        }
        Ok(page)
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Vec<u8>,
    ) -> anyhow::Result<(http::StatusCode, Bytes)> {
        let stream = UnixStream::connect(&self.socket).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // The task ends with the sender, or with an error that the sender reports.
        tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "nadmit")
            .body(Full::new(Bytes::from(body)))?;
        let limit = if path == "/import" {
            IMPORT_TIMEOUT
        } else {
            REQUEST_TIMEOUT
        };
        let answer = timeout(limit, sender.send_request(request)).await;
        let response =
            answer.map_err(|_| anyhow!("no response within {} s", limit.as_secs()))??;
        let status = response.status();
        Ok((status, response.into_body().collect().await?.to_bytes()))
    }
}

/// Returns true if the socket is missing or stale, so that no server is running.
fn is_not_running(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::NotFound | ErrorKind::ConnectionRefused | ErrorKind::NotADirectory
    )
}

/// Characters of names, which stay as they are.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_');

/// Percent-encodes a path segment or query value.
fn encoded(text: &str) -> PercentEncode<'_> {
    utf8_percent_encode(text, PLAIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_characters_stay_as_they_are() {
        assert_eq!(encoded("db-0.x_Y").to_string(), "db-0.x_Y");
        assert_eq!(encoded("db/a b&c").to_string(), "db%2Fa%20b%26c");
    }
}
