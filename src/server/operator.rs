//! Where operators are served: the pools and allocations as they are now, and what changes them by
//! hand.
//!
//! The admin socket puts it on HTTP; the command line uses it as it is on a ledger that no server has
//! open. Everything that changes goes through the ledger, under the version that was judged.

use std::{io, sync::Arc};

use arc_swap::{ArcSwap, ArcSwapOption};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{LiveCatalog, Metrics};
use crate::{
    allocation::{
        Address, Allocation, Index, SharedIndex, Space, Stored, Version, Write,
        reconcile::returned_to_reservation,
    },
    catalog::Catalog,
    clock::Clock,
    inspect::{self, AllocationRow, Filter, PodView, PoolMap, PoolRow, Whois},
    ledger::{ImportError, Ledger, ReadError, Store as _, WriteError, apply_outcome},
    rules::Policy,
};

/// Answers operators.
pub struct OperatorService {
    catalog: Arc<ArcSwapOption<Catalog>>,
    policy: Arc<ArcSwap<Policy>>,
    index: Arc<SharedIndex>,
    ledger: Arc<Ledger>,
    clock: Clock,
    server: Option<ServerHooks>,
}

/// What a desk has more inside of a server.
struct ServerHooks {
    live_catalog: Arc<dyn LiveCatalog>,
    metrics: Arc<Metrics>,
}

/// Which address to release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseRequest {
    /// The address.
    pub address: Address,
    /// Its space.
    #[serde(default)]
    pub network_name: Space,
    /// The version of the record that was looked at: another is not touched.
    #[serde(default)]
    pub version: Option<Version>,
    /// Whether to release it though its holder is there, or may be.
    #[serde(default)]
    pub force: bool,
}

/// What was released.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Released {
    /// The record as it was.
    pub was: Allocation,
    /// The reservation that it went back to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub back_to: Option<String>,
}

/// Why an operator is refused.
#[derive(Debug, Error)]
pub enum OperatorError {
    /// There is no such thing.
    #[error("{0}")]
    NotFound(String),
    /// It may not be done as things are.
    #[error("{0}")]
    Refused(String),
    /// The request makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// Not at this time.
    #[error("{0}")]
    Unavailable(String),
}

impl OperatorService {
    /// A desk on an index that is as this ledger is.
    pub fn new(
        catalog: Arc<ArcSwapOption<Catalog>>,
        policy: Arc<ArcSwap<Policy>>,
        index: Arc<SharedIndex>,
        ledger: Arc<Ledger>,
        clock: Clock,
    ) -> Self {
        Self {
            catalog,
            policy,
            index,
            ledger,
            clock,
            server: None,
        }
    }

    /// The same desk inside of a server: it has the source look again before a release, and counts.
    #[must_use]
    pub fn with_server(
        mut self,
        live_catalog: Arc<dyn LiveCatalog>,
        metrics: Arc<Metrics>,
    ) -> Self {
        self.server = Some(ServerHooks {
            live_catalog,
            metrics,
        });
        self
    }

    pub(super) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// All pools by name.
    pub fn pools(&self) -> Vec<PoolRow> {
        self.with_index(|index, catalog| inspect::pools(index, catalog, self.server.is_some()))
    }

    /// The map of a pool.
    ///
    /// # Errors
    /// When there is no such pool.
    pub fn map(&self, name: &str) -> Result<PoolMap, OperatorError> {
        let serving = self.server.is_some();
        let map = self.with_index(|index, catalog| inspect::map(name, index, catalog, serving));
        map.ok_or_else(|| {
            let rows = self.pools();
            let known: Vec<&str> = rows.iter().map(|row| &*row.name).collect();
            let there = match known.is_empty() {
                true => "there is none".to_owned(),
                false => format!("there are {}", known.join(", ")),
            };
            OperatorError::NotFound(format!("there is no address pool {name:?}; {there}"))
        })
    }

    /// The allocations that a filter lets through.
    pub fn allocations(&self, filter: &Filter) -> Vec<AllocationRow> {
        // Names and order are made after the index is let go: there may be many.
        let gathered = self.with_index(|index, _| inspect::collect(index, filter));
        inspect::to_rows(gathered, self.catalog.load_full().as_deref())
    }

    /// Whose an address is.
    pub fn whois(&self, address: Address) -> Whois {
        self.with_index(|index, catalog| inspect::whois(address, index, catalog))
    }

    /// A pod's addresses: requested, allocated, reported.
    pub fn pod(&self, namespace: &str, name: &str) -> PodView {
        let home = self.policy.load().multus_namespace.clone();
        self.with_index(|index, catalog| {
            inspect::describe_pod((namespace, name), index, catalog, &home)
        })
    }

    /// Releases an address, or gives it back to its reservation.
    ///
    /// # Errors
    /// When nobody holds it, its holder may still use it, its record has changed, or it cannot be
    /// written.
    pub async fn release(&self, ask: ReleaseRequest) -> Result<Released, OperatorError> {
        self.refresh_catalog().await?;
        let stored = self.read_record(&ask).await?;
        let catalog = self.catalog.load_full();
        if !ask.force {
            inspect::check_releasable(&stored.allocation, catalog.as_deref()).map_err(|kept| {
                OperatorError::Refused(format!(
                    "{} of {} is not released: {kept}; --force releases it all the same",
                    ask.address, stored.allocation.holder
                ))
            })?;
        }
        let back = catalog.as_ref().and_then(|catalog| {
            let now = self.clock.seconds();
            returned_to_reservation(&stored.allocation, catalog.pool_config(), now)
        });
        let back_to = back.as_ref().map(|back| back.holder.to_string());
        let write = match back {
            Some(back) => Write::Update(back, stored.version),
            None => Write::Delete(stored.allocation.clone(), stored.version),
        };
        self.write(write).await?;
        if let Some(serving) = &self.server {
            serving.metrics.released();
        }
        let was = stored.allocation;
        tracing::info!(address = %was.address, pool = &*was.pool, holder = %was.holder, "released by hand");
        Ok(Released { was, back_to })
    }

    /// Writes all allocations as JSON Lines, and says how many.
    ///
    /// # Errors
    /// When they cannot be read or written.
    pub async fn export(&self, out: impl io::Write + Send + 'static) -> Result<u64, OperatorError> {
        let ledger = Arc::clone(&self.ledger);
        let told = tokio::task::spawn_blocking(move || ledger.export(out)).await;
        told.map_err(|error| OperatorError::Unavailable(error.to_string()))?
            .map_err(|error| OperatorError::Unavailable(error.to_string()))
    }

    /// Creates the records of an export, all or none, and says how many.
    ///
    /// # Errors
    /// When a line is no record, a record is there already, or they cannot be written.
    pub async fn import(
        &self,
        input: impl io::BufRead + Send + 'static,
    ) -> Result<u64, OperatorError> {
        match self.ledger.import(input).await {
            Ok(count) => Ok(count),
            Err(error @ ImportError::Exists { .. }) => {
                Err(OperatorError::Refused(error.to_string()))
            }
            Err(ImportError::Write(error)) => Err(OperatorError::Unavailable(error.to_string())),
            Err(error) => Err(OperatorError::Invalid(error.to_string())),
        }
    }

    /// Asks index and catalog, which fit together.
    fn with_index<T>(&self, question: impl FnOnce(&Index, Option<&Catalog>) -> T) -> T {
        let catalog = self.catalog.load_full();
        let mut index = self.index.lock();
        if let Some(catalog) = &catalog {
            index.sync(catalog.pool_config());
        }
        question(&index, catalog.as_deref())
    }

    /// What the catalog says of pods is to be as fresh as the manifests are.
    async fn refresh_catalog(&self) -> Result<(), OperatorError> {
        let Some(serving) = &self.server else {
            return Ok(());
        };
        serving.live_catalog.refresh(&[]).await.map_err(|error| {
            OperatorError::Unavailable(format!("whether its pod is there cannot be seen: {error}"))
        })
    }

    /// The record as the ledger has it, if it is the one that was looked at.
    async fn read_record(&self, ask: &ReleaseRequest) -> Result<Stored, OperatorError> {
        let name = ask.network_name.record_name(ask.address);
        let known = {
            let index = self.index.lock();
            index.version_of(&ask.network_name, ask.address)
        };
        let stored = self.ledger.get(&name).await?;
        let stored = stored.filter(|stored| stored.allocation.space == ask.network_name);
        let Some(stored) = stored else {
            if let Some(known) = known {
                let mut index = self.index.lock();
                index.apply_delete(&ask.network_name, ask.address, known);
            }
            let sentence = format!("nobody holds {} in {}", ask.address, ask.network_name);
            return Err(OperatorError::NotFound(sentence));
        };
        if ask.version.is_some_and(|version| version != stored.version) {
            return Err(changed(&stored));
        }
        Ok(stored)
    }

    async fn write(&self, write: Write) -> Result<(), OperatorError> {
        let writes = [write];
        let outcome = self.ledger.write(writes.to_vec()).await;
        apply_outcome(&mut self.index.lock(), &writes, &outcome);
        match outcome {
            Ok(_) => Ok(()),
            Err(WriteError::Changed {
                current: Some(current),
                ..
            }) => Err(changed(&current)),
            Err(WriteError::Changed { current: None, .. }) => {
                let [write] = writes;
                let address = write.allocation().address;
                let sentence = format!("{address} was released meanwhile");
                Err(OperatorError::NotFound(sentence))
            }
            Err(error) => Err(OperatorError::Unavailable(error.to_string())),
        }
    }
}

impl From<ReadError> for OperatorError {
    fn from(error: ReadError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

fn changed(now: &Stored) -> OperatorError {
    OperatorError::Refused(format!(
        "{} has changed hands: it is held by {} now; look at it again",
        now.allocation.address, now.allocation.holder
    ))
}
