//! State shared between the server and the sources that feed it.

use std::sync::Arc;

use arc_swap::{ArcSwap, ArcSwapOption};
use prometheus_client::registry::Registry;

use super::{Allocations, Metrics};
use nadmit_catalog::{Catalog, LiveCatalog};
use nadmit_rules::Policy;

/// State shared between the server and the sources that feed it.
pub struct SharedState {
    /// The catalog; `None` until a source has loaded it for the first time.
    pub catalog: Arc<ArcSwapOption<Catalog>>,
    /// The active settings.
    pub policy: Arc<ArcSwap<Policy>>,
    pub allocations: Allocations,
    /// Live reads, made before a decision that must not rest on the cache.
    pub live_catalog: Arc<dyn LiveCatalog>,
    /// The server's metrics.
    pub metrics: Arc<Metrics>,
    /// The registry behind `/metrics`. Sources register their metrics before the server starts.
    pub registry: Registry,
}
