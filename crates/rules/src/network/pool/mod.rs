//! Rules on networks that an address pool serves: that of the annotation `nadmit.io/address-pool`, or the
//! one that their own configuration defines.
//!
//! nadmit injects the pool's addresses into the pod's annotation as `ips` (and `mac`), and IPAM static
//! takes them by the capability of that name. These rules check that the network is set up for this.

pub(crate) mod gateway_unused;
pub(crate) mod inline_ignored;
pub(crate) mod needs_capability;
pub(crate) mod needs_static;
pub(crate) mod replaces_addresses;
pub(crate) mod route_without_gateway;
pub mod unknown;

use std::sync::Arc;

use super::fields::Fields;
use crate::NetworkSubject;
use nadmit_allocation::{Pool, PoolOrigin};

/// The pool that serves a network.
struct ServingPool {
    /// The name of the pool.
    name: Arc<str>,
    /// The pool, if it exists and is valid.
    pool: Option<Arc<Pool>>,
}

impl ServingPool {
    /// Returns the pool that the network names, else the inline pool that it defines.
    fn of(subject: &NetworkSubject<'_>) -> Option<Self> {
        if let Some(name) = subject.address_pool.filter(|name| !name.is_empty()) {
            let pool = subject.catalog.pool(name).valid();
            return Some(Self {
                name: name.into(),
                pool: pool.cloned(),
            });
        }
        let pool = subject.derived_pool()?;
        (pool.origin == PoolOrigin::InlineRanges).then(|| Self {
            name: Arc::clone(&pool.name),
            pool: Some(Arc::clone(pool)),
        })
    }

    /// Returns true if the network defines the pool by itself.
    fn is_inline(&self) -> bool {
        let pool = self.pool.as_deref();
        pool.is_some_and(|pool| pool.origin == PoolOrigin::InlineRanges)
    }

    /// Returns true if the pool assigns addresses, not only MACs. An unknown pool is assumed to.
    fn gives_addresses(&self) -> bool {
        let pool = self.pool.as_deref();
        pool.is_none_or(|pool| !pool.ranges.is_empty())
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
