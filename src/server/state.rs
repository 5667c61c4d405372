//! What the server reads: the catalog and the settings as last published, and whom to ask.

use std::sync::Arc;

use arc_swap::{ArcSwap, ArcSwapOption};
use prometheus_client::registry::Registry;

use super::{Allocations, LiveCatalog, Metrics};
use crate::{catalog::Catalog, rules::Policy};

/// What the server shares with those who feed it.
pub struct ServerState {
    /// The catalog; `None` until a source has loaded it for the first time.
    pub catalog: Arc<ArcSwapOption<Catalog>>,
    /// The settings.
    pub policy: Arc<ArcSwap<Policy>>,
    /// Who holds which address.
    pub allocations: Allocations,
    /// Makes the look-ups before a denial that rests on a look-up.
    pub live_catalog: Arc<dyn LiveCatalog>,
    /// Where the server counts.
    pub metrics: Arc<Metrics>,
    /// What `/metrics` shows. Sources register theirs before it comes here.
    pub registry: Registry,
}
