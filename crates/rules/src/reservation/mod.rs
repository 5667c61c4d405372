//! Rules on address reservations: on their spec, on the pool of their network, and on conflicts between
//! them.

pub mod conflict;
pub mod invalid;
pub mod limit;
pub(crate) mod outside_pool;
pub(crate) mod unknown_network;

use std::sync::Arc;

use nadmit_allocation::{ParsedSpec, Pool, Reservation, SpecError, spec::ReservationSpec};
use nadmit_catalog::{Catalog, LiveRead, PoolValidity};
use nadmit_cni::Network;

/// A reservation to be created or changed.
pub struct ReservationSubject<'a> {
    /// The namespace of the reservation.
    pub namespace: &'a str,
    /// The name of the reservation.
    pub name: &'a str,
    /// The spec as parsed, with unknown keys and type errors.
    pub parsed: &'a ParsedSpec<ReservationSpec>,
    /// The validated reservation, or its faults.
    pub reservation: Result<Reservation, Vec<SpecError>>,
    /// The known networks, pools and reservations; this one may be among them, as it was before an update.
    pub catalog: &'a Catalog,
    /// Returns the number of addresses of a pool that the namespace would have with a reservation, held
    /// or set aside. `None` if the holders are not known.
    #[allow(clippy::type_complexity)]
    pub namespace_total: Option<&'a dyn Fn(&Reservation, &Pool) -> u64>,
}

impl<'a> ReservationSubject<'a> {
    /// Validates the spec of a reservation.
    pub fn new(
        namespace: &'a str,
        name: &'a str,
        parsed: &'a ParsedSpec<ReservationSpec>,
        catalog: &'a Catalog,
    ) -> Self {
        Self {
            namespace,
            name,
            parsed,
            reservation: parsed.reservation(namespace, name),
            catalog,
            namespace_total: None,
        }
    }

    /// Returns the reservation and its network, if the reservation is valid and the network exists.
    fn with_network(&self) -> Option<(&Reservation, &'a Arc<Network>)> {
        let reservation = self.reservation.as_ref().ok()?;
        let network = &reservation.network;
        let network = self.catalog.network(&network.namespace, &network.name)?;
        Some((reservation, network))
    }

    /// Returns the name and state of the pool that the network names.
    fn pool(&self, network: &'a Network) -> Option<(&'a str, PoolValidity<'a>)> {
        let name = network.pool()?;
        Some((name, self.catalog.pool(name)))
    }
}

/// Returns the live read that is required before this pool may cause a denial.
fn live_read(pool: &str) -> LiveRead {
    LiveRead::Pool {
        name: pool.into(),
        namespace: None,
    }
}
