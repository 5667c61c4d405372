//! A stand-in for the API server: real HTTP, objects from YAML, and faults on demand.
//!
//! It lists. What it does not do yet (watch, create, conflict) it answers with 405, as a method that
//! a resource does not have.

mod faults;
mod listing;
mod store;

use std::{
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use axum::{
    Router,
    extract::{Request, State},
    http::{Method, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use serde_json::{Value, json};

pub(crate) use self::{faults::Fault, store::Store};

/// A server that answers until the process ends.
pub(crate) struct ApiServer {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
}

/// What a server holds, and how it misbehaves.
pub(super) struct Shared {
    store: Store,
    faults: Vec<Fault>,
    /// The most objects in an answer, whatever is asked for.
    page: usize,
    /// The paths of all requests.
    seen: Arc<Mutex<Vec<String>>>,
}

impl ApiServer {
    /// Serves these objects in pages of at most `page`.
    pub(crate) fn start(store: Store, page: usize, faults: Vec<Fault>) -> std::io::Result<Self> {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let seen = Arc::new(Mutex::new(Vec::new()));
        let shared = Arc::new(Shared {
            store,
            faults,
            page,
            seen: Arc::clone(&seen),
        });
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        thread::spawn(move || {
            runtime.block_on(async move {
                let router = Router::new().fallback(answer).with_state(shared);
                let listener = tokio::net::TcpListener::from_std(listener)?;
                axum::serve(listener, router).await
            })
        });
        Ok(Self { address, seen })
    }

    /// Its URL.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The paths that were asked for, with their queries.
    pub(crate) fn seen(&self) -> Vec<String> {
        let seen = self.seen.lock();
        seen.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Writes a kubeconfig whose context `test` leads here.
    pub(crate) fn kubeconfig(&self, file: &Path) -> std::io::Result<()> {
        std::fs::write(file, kubeconfig(&self.url()))
    }
}

/// A kubeconfig whose context `test` leads to a server.
pub(crate) fn kubeconfig(url: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: test\n\
         clusters: [{{name: test, cluster: {{server: '{url}'}}}}]\n\
         contexts: [{{name: test, context: {{cluster: test, user: test}}}}]\n\
         users: [{{name: test, user: {{}}}}]\n"
    )
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let asked = request.uri().to_string();
    shared
        .seen
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(asked);
    if request.method() != Method::GET {
        return status(405, "MethodNotAllowed", "the stand-in only lists");
    }
    let Some(asked) = listing::Asked::of(request.uri()) else {
        return not_found();
    };
    for fault in &shared.faults {
        if let Some(answer) = fault.answer(&asked) {
            return answer;
        }
    }
    match shared.store.resource(&asked.group_version, &asked.resource) {
        Some(resource) => listing::list(resource, &asked, shared.page),
        None => not_found(),
    }
}

/// The API server's answer on a path that nothing serves is no Status.
fn not_found() -> Response {
    (StatusCode::NOT_FOUND, "404 page not found\n").into_response()
}

/// A Status as the API server writes it.
fn status(code: u16, reason: &str, message: &str) -> Response {
    let body = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": code,
    });
    answer_json(code, &body)
}

fn answer_json(code: u16, body: &Value) -> Response {
    let code = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = [(header::CONTENT_TYPE, "application/json")];
    (code, headers, body.to_string()).into_response()
}
