//! The HTTPS server: the only module where decision, commit and response meet.
//!
//! A request passes these modules in order:
//!
//! 1. `listener` accepts connections and evicts one of its `connections` when the limit is reached;
//!    [`tls`] does the handshake; `connection` serves HTTP and enforces timeouts (`idle_timeout`).
//! 2. `routes` dispatches to the two webhooks; `reject` builds error responses.
//! 3. `review` reads the body (`body`) within the memory `budget`, decides, makes live reads
//!    ([`LiveCatalog`](nadmit_catalog::LiveCatalog)), commits ([`Allocations`]) and responds.
//! 4. [`metrics`] counts the review and `log` logs it.
//!
//! `axum-server` and kubert's `server` accept any number of connections: neither evicts one, or limits
//! the share of a connection in the memory for bodies and in the reviews in progress.
//!
//! [`serve`] binds, runs and drains (`lifecycle`). `admin` is the plain HTTP listener for probes
//! and metrics, [`admin_socket`] the socket for operators, backed by [`operator`].

mod admin;
pub mod admin_socket;
mod allocations;
mod body;
mod budget;
mod connection;
mod connections;
mod error;
mod idle_timeout;
mod lifecycle;
mod listener;
mod live_reads;
mod log;
pub mod metrics;
pub mod operator;
mod options;
mod quota;
mod reject;
mod review;
mod review_planner;
mod review_timeout;
mod routes;
mod run;
mod state;
#[cfg(test)]
mod tests;
pub mod tls;

pub use self::{
    admin_socket::AdminSocket,
    allocations::Allocations,
    error::ServeError,
    lifecycle::Shutdown,
    metrics::{Metrics, SettingsDigest},
    operator::OperatorService,
    options::{Limits, ServeOptions},
    review::record_answer,
    run::{Server, serve, webhook_routes},
    state::SharedState,
    tls::{CertificateSource, ServerCertificates, TlsPolicy, TlsVersion},
};
