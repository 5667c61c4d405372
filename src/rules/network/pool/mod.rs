//! Rules on networks that an address pool serves, which the annotation `nadmit.io/address-pool` names.
//!
//! nadmit puts the pool's addresses into the pod's annotation as `ips` (and `mac`); static IPAM takes
//! them by the capability of that name. What that asks of the network is checked here.

pub mod gateway_unused;
pub mod needs_capability;
pub mod needs_static;
pub mod replaces_addresses;
pub mod route_without_gateway;
pub mod unknown;

use super::fields::Fields;
use crate::{allocation::Pool, rules::NetworkSubject};

/// The pool of a network.
struct ServingPool<'a> {
    /// Its name.
    name: &'a str,
    /// The pool, if it is there and makes sense.
    pool: Option<&'a Pool>,
}

impl<'a> ServingPool<'a> {
    /// The pool that the network names, if it names one.
    fn of(subject: &NetworkSubject<'a>) -> Option<Self> {
        let name = subject.address_pool.filter(|name| !name.is_empty())?;
        let pool = subject.catalog.pool(name).valid();
        Some(Self {
            name,
            pool: pool.map(|pool| &**pool),
        })
    }

    /// Whether it gives addresses, not MACs alone; of one that is not known it is taken to.
    fn gives_addresses(&self) -> bool {
        self.pool.is_none_or(|pool| !pool.ranges.is_empty())
    }
}

/// Every `ipam` of the network that has a type, with that.
fn ipams<'s, 'a>(subject: &'s NetworkSubject<'a>) -> Vec<(String, Fields<'s, 'a>)> {
    let plugins = Fields::plugins(subject).into_iter();
    let ipams = plugins.filter_map(|(_, plugin)| plugin.object("ipam"));
    ipams
        .filter_map(|ipam| Some((ipam.text("type")?.into_owned(), ipam)))
        .collect()
}
