//! A server of webhooks that allows everything at once: what remains is the cost of the calls.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use anyhow::Context as _;
use axum::{Router, body::Bytes, http::header, routing::post};
use nadmit::server::Shutdown;
use serde::Deserialize;
use serde_json::json;
use tempfile::TempDir;

use super::{bare_server, registration::WebhookServer};

/// A running server, which ends with the runtime.
pub(crate) struct AllowingServer {
    pub(crate) address: WebhookServer,
    calls: Arc<AtomicU64>,
    _certificates: TempDir,
}

#[derive(Deserialize)]
struct ReviewUid {
    request: RequestUid,
}

#[derive(Deserialize)]
struct RequestUid {
    uid: String,
}

impl AllowingServer {
    /// Starts it.
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let certificates = tempfile::tempdir()?;
        let calls = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&calls);
        let handler = async move |body: Bytes| {
            counted.fetch_add(1, Ordering::Relaxed);
            ([(header::CONTENT_TYPE, "application/json")], allow(&body))
        };
        let routes = Router::new()
            .route("/mutate", post(handler.clone()))
            .route("/validate", post(handler));
        let state = bare_server::state(None);
        let server = bare_server::bind(certificates.path(), state, routes).await?;
        let address = WebhookServer {
            url: format!("https://{}", server.address()?),
            ca: fs::read(certificates.path().join("ca.crt")).context("no CA")?,
        };
        tokio::spawn(server.run(Shutdown::new()));
        Ok(Self {
            address,
            calls,
            _certificates: certificates,
        })
    }

    /// Returns the number of calls so far.
    pub(crate) fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }
}

/// Returns the body of an answer that allows the request under review.
fn allow(review: &[u8]) -> Bytes {
    let uid = serde_json::from_slice::<ReviewUid>(review).map(|review| review.request.uid);
    let answer = json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "response": {"uid": uid.unwrap_or_default(), "allowed": true},
    });
    answer.to_string().into()
}
