//! Rules on address reservations: what one says by itself, of its network's pool, and beside the
//! other reservations.

pub mod conflict;
pub mod invalid;
pub mod limit;
pub mod outside_pool;
pub mod unknown_network;

use std::sync::Arc;

use crate::{
    allocation::{ParsedSpec, Pool, Reservation, SpecError, spec::ReservationSpec},
    catalog::{Catalog, PoolValidity},
    network::Network,
};

use super::finding::LiveRead;

/// A reservation as it is to be.
pub struct ReservationSubject<'a> {
    /// Its namespace.
    pub namespace: &'a str,
    /// Its name.
    pub name: &'a str,
    /// What is written.
    pub parsed: &'a ParsedSpec<ReservationSpec>,
    /// What that means, or what is wrong with it.
    pub reservation: Result<Reservation, Vec<SpecError>>,
    /// Networks, pools and reservations there are; this one may be among them, as it was.
    pub catalog: &'a Catalog,
    /// How many addresses of the pool the namespace has with a reservation, if it is known who holds
    /// what.
    #[allow(clippy::type_complexity)]
    pub namespace_total: Option<&'a dyn Fn(&Reservation, &Pool) -> u64>,
}

impl<'a> ReservationSubject<'a> {
    /// The reservation of these words.
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

    /// The reservation with its network, if it makes sense and the network is there.
    fn with_network(&self) -> Option<(&Reservation, &'a Arc<Network>)> {
        let reservation = self.reservation.as_ref().ok()?;
        let network = &reservation.network;
        let network = self.catalog.network(&network.namespace, &network.name)?;
        Some((reservation, network))
    }

    /// The pool that the network names, and what is known of it.
    fn pool(&self, network: &'a Network) -> Option<(&'a str, PoolValidity<'a>)> {
        let name = network.address_pool.as_deref()?;
        Some((name, self.catalog.pool(name)))
    }
}

/// The look-up without which nothing may be denied for this pool's sake.
fn live_read(pool: &str) -> LiveRead {
    LiveRead::Pool {
        name: pool.into(),
        namespace: None,
    }
}
