//! Rules on networks that an address pool serves, by their annotation `nadmit.io/address-pool`.
//!
//! nadmit injects the pool's addresses into the pod's annotation as `ips` (and `mac`), and IPAM static
//! takes them by the capability of that name. These rules check that the network is set up for this.

pub(crate) mod gateway_unused;
pub(crate) mod needs_capability;
pub(crate) mod needs_static;
pub(crate) mod replaces_addresses;
pub(crate) mod route_without_gateway;
pub mod unknown;

use super::fields::Fields;
use crate::NetworkSubject;
use nadmit_allocation::Pool;

/// The pool that a network names.
struct ServingPool<'a> {
    /// The name of the pool.
    name: &'a str,
    /// The pool, if it exists and is valid.
    pool: Option<&'a Pool>,
}

impl<'a> ServingPool<'a> {
    /// Returns the pool that the network names, if it names one.
    fn of(subject: &NetworkSubject<'a>) -> Option<Self> {
        let name = subject.address_pool.filter(|name| !name.is_empty())?;
        let pool = subject.catalog.pool(name).valid();
        Some(Self {
            name,
            pool: pool.map(|pool| &**pool),
        })
    }

    /// Returns true if the pool assigns addresses, not only MACs. An unknown pool is assumed to.
    fn gives_addresses(&self) -> bool {
        self.pool.is_none_or(|pool| !pool.ranges.is_empty())
    }
}

/// Returns every `ipam` of the network with its type.
fn ipams<'s, 'a>(subject: &'s NetworkSubject<'a>) -> Vec<(String, Fields<'s, 'a>)> {
    let plugins = Fields::plugins(subject).into_iter();
    let ipams = plugins.filter_map(|(_, plugin)| plugin.object("ipam"));
    ipams
        .filter_map(|ipam| Some((ipam.text("type")?.into_owned(), ipam)))
        .collect()
}
