//! Routes of the admin socket; responses are JSON.

use std::{
    io::{self, Cursor},
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Path, Request, State},
    response::Response,
    routing::{get, post},
};
use http::{HeaderValue, StatusCode, Uri, header};
use serde::Serialize;

use crate::{
    OperatorService,
    operator::{OperatorError, ReleaseRequest},
    reject::text,
};
use nadmit_inspect::Filter;

/// Maximum body size of a release request, in bytes.
const MAX_RELEASE_BYTES: usize = 64 << 10;
/// Maximum body size of an import, in bytes: about two million records.
const MAX_IMPORT_BYTES: usize = 1 << 30;

/// Returns the routes of the socket.
pub(super) fn routes(operator: Arc<OperatorService>) -> Router {
    Router::new()
        .route("/pools", get(pools))
        .route("/pools/{name}", get(map))
        .route("/allocations", get(allocations))
        .route("/whois/{address}", get(whois))
        .route("/pods/{namespace}/{name}", get(pod))
        .route("/release", post(release))
        .route("/export", get(export))
        .route("/import", post(import))
        .fallback(other_path)
        .with_state(operator)
}

async fn pools(State(operator): State<Arc<OperatorService>>) -> Response {
    json(&operator.pools())
}

async fn map(State(operator): State<Arc<OperatorService>>, Path(name): Path<String>) -> Response {
    answer(operator.map(&name))
}

async fn allocations(State(operator): State<Arc<OperatorService>>, uri: Uri) -> Response {
    match filter(uri.query().unwrap_or_default()) {
        Ok(filter) => json(&operator.allocations(&filter)),
        Err(error) => refused(&error),
    }
}

async fn whois(
    State(operator): State<Arc<OperatorService>>,
    Path(address): Path<String>,
) -> Response {
    match address.parse() {
        Ok(address) => json(&operator.whois(address)),
        Err(error) => text(StatusCode::BAD_REQUEST, format!("{error}")),
    }
}

async fn pod(
    State(operator): State<Arc<OperatorService>>,
    Path(pod): Path<(String, String)>,
) -> Response {
    json(&operator.pod(&pod.0, &pod.1))
}

async fn release(State(operator): State<Arc<OperatorService>>, request: Request) -> Response {
    let body = match body(request, MAX_RELEASE_BYTES).await {
        Ok(body) => body,
        Err(error) => return refused(&error),
    };
    match serde_json::from_slice::<ReleaseRequest>(&body) {
        Ok(release) => answer(operator.release(release).await),
        Err(error) => text(
            StatusCode::BAD_REQUEST,
            format!("the body is not valid: {error}"),
        ),
    }
}

async fn export(State(operator): State<Arc<OperatorService>>) -> Response {
    let page = Page::default();
    match operator.export(page.clone()).await {
        Ok(_) => {
            let mut response = Response::new(Body::from(page.take()));
            let lines = HeaderValue::from_static("application/jsonl");
            response.headers_mut().insert(header::CONTENT_TYPE, lines);
            response
        }
        Err(error) => refused(&error),
    }
}

async fn import(State(operator): State<Arc<OperatorService>>, request: Request) -> Response {
    match body(request, MAX_IMPORT_BYTES).await {
        Ok(body) => answer(operator.import(Cursor::new(body)).await),
        Err(error) => refused(&error),
    }
}

async fn other_path(request: Request) -> Response {
    let line = format!(
        "path {:?} does not exist; GET /pools, /allocations, /whois/ADDRESS, /pods/NAMESPACE/NAME \
         or /export, POST /release or /import",
        request.uri().path()
    );
    text(StatusCode::NOT_FOUND, line)
}

async fn body(request: Request, max_bytes: usize) -> Result<Vec<u8>, OperatorError> {
    let bytes = to_bytes(request.into_body(), max_bytes).await;
    bytes
        .map(Vec::from)
        .map_err(|error| OperatorError::Invalid(format!("the body cannot be read: {error}")))
}

/// Parses a query such as `pool=storage&network=db%2Fstorage-net`.
fn filter(query: &str) -> Result<Filter, OperatorError> {
    let mut filter = Filter::default();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let member = match key {
            "pool" => &mut filter.pool,
            "network" => &mut filter.network,
            "namespace" => &mut filter.namespace,
            "pod" => &mut filter.pod,
            _ => {
                let known = "use pool, network, namespace or pod";
                return Err(OperatorError::Invalid(format!(
                    "{key:?} is not a filter; {known}"
                )));
            }
        };
        *member = Some(decoded(value).ok_or_else(|| {
            OperatorError::Invalid(format!("{value:?} is not valid percent-encoding"))
        })?);
    }
    Ok(filter)
}

/// Decodes percent-encoding; `None` if it is malformed.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut pieces = text.split('%');
    bytes.extend_from_slice(pieces.next().unwrap_or_default().as_bytes());
    for piece in pieces {
        let (code, rest) = piece.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(code, 16).ok()?);
        bytes.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(bytes).ok()
}

fn answer<T: Serialize>(result: Result<T, OperatorError>) -> Response {
    match result {
        Ok(value) => json(&value),
        Err(error) => refused(&error),
    }
}

fn refused(error: &OperatorError) -> Response {
    let status = match error {
        OperatorError::NotFound(_) => StatusCode::NOT_FOUND,
        OperatorError::Refused(_) => StatusCode::CONFLICT,
        OperatorError::Invalid(_) => StatusCode::BAD_REQUEST,
        OperatorError::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
    };
    text(status, error.to_string())
}

fn json(value: &impl Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(page) => {
            let mut response = Response::new(Body::from(page));
            let json = HeaderValue::from_static("application/json");
            response.headers_mut().insert(header::CONTENT_TYPE, json);
            response
        }
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}

/// An export in memory: the exporter writes where the answer is read from.
#[derive(Debug, Clone, Default)]
struct Page(Arc<Mutex<Vec<u8>>>);

impl Page {
    fn take(&self) -> Vec<u8> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl io::Write for Page {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut page = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        page.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_read_and_what_it_cannot_mean_refused() {
        let read = filter("pool=storage&network=db%2Fstorage-net").unwrap();
        assert_eq!(read.pool.as_deref(), Some("storage"));
        assert_eq!(read.network.as_deref(), Some("db/storage-net"));
        assert_eq!(filter("").unwrap(), Filter::default());
        for wrong in ["pools=a", "pool=%2", "pool=%zz", "pool=%ff"] {
            assert!(filter(wrong).is_err(), "{wrong}");
        }
    }
}
