//! Operations for operators: views of pools and allocations, and manual changes.
//!
//! The admin socket serves it over HTTP. The command line uses it directly on a ledger that no
//! server has open. Every change goes through the ledger and names the version that was judged.

use std::{io, sync::Arc};

use arc_swap::{ArcSwap, ArcSwapOption};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::Metrics;
use nadmit_allocation::{
    Address, Allocation, Index, SharedIndex, Space, Stored, Version, Write,
    reconcile::returned_to_reservation,
};
use nadmit_catalog::{Catalog, LiveCatalog};
use nadmit_host::clock::Clock;
use nadmit_inspect::{
    self as inspect, AddressRow, Filter, PodView, PoolMap, PoolRow, RecordedRow, Whois,
};
use nadmit_ledger::{ImportError, Ledger, ReadError, Store as _, WriteError, apply_outcome};
use nadmit_rules::Policy;

/// Serves operators from catalog, index and ledger.
pub struct OperatorService {
    catalog: Arc<ArcSwapOption<Catalog>>,
    policy: Arc<ArcSwap<Policy>>,
    index: Arc<SharedIndex>,
    ledger: Arc<Ledger>,
    clock: Clock,
    server: Option<ServerHooks>,
}

/// Server facilities that exist only inside a running server.
struct ServerHooks {
    live_catalog: Arc<dyn LiveCatalog>,
    metrics: Arc<Metrics>,
}

/// A request to release an address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseRequest {
    /// Address to release.
    pub address: Address,
    /// Address space, named by the pool's `networkName`.
    #[serde(default)]
    pub network_name: Space,
    /// Expected version of the record: other versions are not released.
    #[serde(default)]
    pub version: Option<Version>,
    /// Releases the address even if its holder exists or may exist.
    #[serde(default)]
    pub force: bool,
}

/// A released record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Released {
    /// The record before the release.
    pub was: Allocation,
    /// The reservation that got the address back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub back_to: Option<String>,
}

/// Error of an operator request.
#[derive(Debug, Error)]
pub enum OperatorError {
    /// The object does not exist.
    #[error("{0}")]
    NotFound(String),
    /// The current state does not permit the operation.
    #[error("{0}")]
    Refused(String),
    /// The request is invalid.
    #[error("{0}")]
    Invalid(String),
    /// A dependency is unavailable.
    #[error("{0}")]
    Unavailable(String),
}

impl OperatorService {
    /// Creates the service on an index that mirrors `ledger`.
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

    /// Attaches the service to a running server: the catalog is refreshed before a release, and
    /// releases are counted.
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

    /// Returns all pools, sorted by name: first nadmit's, then those of Whereabouts.
    pub fn pools(&self) -> Vec<PoolRow> {
        let mut rows =
            self.with_index(|index, catalog| inspect::pools(index, catalog, self.server.is_some()));
        let catalog = self.catalog.load_full();
        rows.extend(
            catalog
                .iter()
                .flat_map(|catalog| inspect::ip_pools(catalog)),
        );
        rows
    }

    /// Returns the map of a pool.
    ///
    /// # Errors
    /// Returns [`OperatorError::NotFound`] if there is no such pool.
    pub fn map(&self, name: &str) -> Result<PoolMap, OperatorError> {
        let server = self.server.is_some();
        let map = self.with_index(|index, catalog| {
            let own = inspect::map(name, index, catalog, server);
            own.or_else(|| inspect::ip_pool_map(name, index, catalog?))
        });
        map.ok_or_else(|| {
            let rows = self.pools();
            let known: Vec<&str> = rows.iter().map(|row| &*row.name).collect();
            let there = match known.is_empty() {
                true => "no pools exist".to_owned(),
                false => format!("existing pools: {}", known.join(", ")),
            };
            OperatorError::NotFound(format!("address pool {name:?} does not exist; {there}"))
        })
    }

    /// Returns the allocations that match `filter`, and then Whereabouts's entries.
    pub fn allocations(&self, filter: &Filter) -> Vec<AddressRow> {
        // Names and order are computed after the lock is released: there may be many rows.
        let collected = self.with_index(|index, _| inspect::collect(index, filter));
        let rows = inspect::to_rows(collected, self.catalog.load_full().as_deref());
        let rows = rows.into_iter().map(Box::new).map(AddressRow::Allocation);
        let recorded = self.recorded(filter).into_iter();
        rows.chain(recorded.map(AddressRow::Recorded)).collect()
    }

    /// Returns Whereabouts's entries that match `filter`, without those of allocated addresses.
    pub fn recorded(&self, filter: &Filter) -> Vec<RecordedRow> {
        let Some(catalog) = self.catalog.load_full() else {
            return Vec::new();
        };
        let mut rows = inspect::recorded(&catalog, filter);
        self.with_index(|index, _| inspect::remove_allocated(&mut rows, index));
        rows
    }

    /// Returns the holders of an address in all address spaces.
    pub fn whois(&self, address: Address) -> Whois {
        self.with_index(|index, catalog| inspect::whois(address, index, catalog))
    }

    /// Returns a pod's requested, allocated and reported addresses.
    pub fn pod(&self, namespace: &str, name: &str) -> PodView {
        let default_namespace = self.policy.load().multus_namespace.clone();
        self.with_index(|index, catalog| {
            inspect::describe_pod((namespace, name), index, catalog, &default_namespace)
        })
    }

    /// Releases an address, or returns it to its reservation.
    ///
    /// # Errors
    /// Fails if the address has no holder, the holder may still use it, the record has changed, or
    /// the ledger cannot be written.
    pub async fn release(&self, request: ReleaseRequest) -> Result<Released, OperatorError> {
        self.refresh_catalog().await?;
        let stored = self.read_record(&request).await?;
        let catalog = self.catalog.load_full();
        if !request.force {
            inspect::check_releasable(&stored.allocation, catalog.as_deref()).map_err(
                |blocked| {
                    OperatorError::Refused(format!(
                        "{} of {} is not released: {blocked}; --force releases it all the same",
                        request.address, stored.allocation.holder
                    ))
                },
            )?;
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
        if let Some(server) = &self.server {
            server.metrics.released();
        }
        let was = stored.allocation;
        tracing::info!(address = %was.address, pool = &*was.pool, holder = %was.holder, "allocation released manually");
        Ok(Released { was, back_to })
    }

    /// Exports all allocations as JSON Lines and returns their number.
    ///
    /// # Errors
    /// Fails if they cannot be read or written.
    pub async fn export(&self, out: impl io::Write + Send + 'static) -> Result<u64, OperatorError> {
        let ledger = Arc::clone(&self.ledger);
        let exported = tokio::task::spawn_blocking(move || ledger.export(out)).await;
        exported
            .map_err(|error| OperatorError::Unavailable(error.to_string()))?
            .map_err(|error| OperatorError::Unavailable(error.to_string()))
    }

    /// Imports the records of an export atomically and returns their number.
    ///
    /// # Errors
    /// Fails if a line is not a valid record, a record exists already, or the ledger cannot be
    /// written.
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

    /// Runs `question` on the index, synced to the catalog's pools, and that catalog.
    fn with_index<T>(&self, question: impl FnOnce(&Index, Option<&Catalog>) -> T) -> T {
        match self.catalog.load_full() {
            Some(catalog) => question(&self.index.synced(catalog.pool_config()), Some(&catalog)),
            None => question(&self.index.lock(), None),
        }
    }

    /// Refreshes the catalog from the manifests.
    async fn refresh_catalog(&self) -> Result<(), OperatorError> {
        let Some(server) = &self.server else {
            return Ok(());
        };
        server.live_catalog.refresh(&[]).await.map_err(|error| {
            OperatorError::Unavailable(format!(
                "nadmit cannot check whether the pod of the address exists: {error}"
            ))
        })
    }

    /// Reads the record from the ledger; fails if its version differs from the expected one.
    async fn read_record(&self, request: &ReleaseRequest) -> Result<Stored, OperatorError> {
        let name = request.network_name.record_name(request.address);
        let known = {
            let index = self.index.lock();
            index.version_of(&request.network_name, request.address)
        };
        let stored = self.ledger.get(&name).await?;
        let stored = stored.filter(|stored| stored.allocation.space == request.network_name);
        let Some(stored) = stored else {
            if let Some(known) = known {
                let mut index = self.index.lock();
                index.apply_delete(&request.network_name, request.address, known);
            }
            let sentence = format!(
                "nobody holds {} in {}",
                request.address, request.network_name
            );
            return Err(OperatorError::NotFound(sentence));
        };
        if request
            .version
            .is_some_and(|version| version != stored.version)
        {
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
                let sentence = format!("another request released {address} already");
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
        "{} has another holder now: {}; check the address again",
        now.allocation.address, now.allocation.holder
    ))
}
