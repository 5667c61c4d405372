//! The glue: HTTPS in front, a decision behind, and everything a server owes its operators.
//!
//! A request goes through these files in this order, and nothing else touches it:
//!
//! 1. `listener` accepts, and closes one of its `connections` when too many come; [`tls`] shakes hands;
//!    `connection` speaks HTTP and cuts who dawdles (`clock`).
//! 2. `routes` tells the two webhooks from everything else; `reject` words each refusal.
//! 3. `review` reads the body (`body`) as far as there is memory (`budget`), decides, has look-ups confirmed ([`LiveCatalog`]), answers.
//! 4. [`metrics`] counts it and `log` tells it.
//!
//! [`serve`] binds, runs and drains (`lifecycle`); `admin` is the plain listener beside it,
//! [`admin_socket`] the one for who operates it, who is served by the [`operator`].

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
mod live_catalog;
mod live_reads;
mod log;
pub mod metrics;
pub mod operator;
mod options;
mod quota;
mod reject;
mod review;
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
    live_catalog::{LiveCatalog, LiveReadError},
    metrics::{Metrics, SettingsDigest},
    operator::OperatorService,
    options::{CertificateSource, Limits, ServeOptions, ServerCertificates},
    run::{Server, serve, webhooks},
    state::ServerState,
    tls::{TlsPolicy, TlsVersion},
};
