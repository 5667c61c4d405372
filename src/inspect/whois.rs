//! Whose an address is, and if nobody's, what it is to the pools around it.

use serde::{Deserialize, Serialize};

use super::{
    allocations::{AllocationRow, row},
    map::describe_reason,
    release::check_releasable,
};
use crate::{
    allocation::{Address, Index, Pool},
    catalog::Catalog,
};

/// What is known of an address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Whois {
    /// The address.
    pub address: Address,
    /// Who holds it, or the address that it goes with: at most one in each address space.
    pub held: Vec<AllocationRow>,
    /// What it is to pools in whose spaces nobody holds it.
    pub pools: Vec<PoolMembership>,
}

/// An address seen from a pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PoolMembership {
    /// The pool.
    pub pool: String,
    /// Its range around the address, or its MACs.
    pub range: String,
    /// What it is there.
    pub state: UnheldState,
}

/// What an address is to a pool if nobody holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum UnheldState {
    /// May be given.
    Free,
    /// Never given, for this reason.
    Never(String),
    /// Set aside by this reservation.
    Reserved(String),
}

/// Looks an address up in every space.
pub fn whois(address: Address, index: &Index, catalog: Option<&Catalog>) -> Whois {
    let held = index.find_in_all_spaces(address).into_iter().map(|known| {
        let blocked = check_releasable(known.0, catalog).err();
        AllocationRow {
            blocked: blocked.map(|blocked| blocked.to_string()),
            ..row(known, catalog)
        }
    });
    let held: Vec<AllocationRow> = held.collect();
    let pools = index.pool_config().pools.values();
    let without = pools.filter(|pool| !held.iter().any(|row| row.allocation.space == pool.space));
    Whois {
        address,
        pools: without
            .filter_map(|pool| membership(address, pool, index))
            .collect(),
        held,
    }
}

fn membership(address: Address, pool: &Pool, index: &Index) -> Option<PoolMembership> {
    let (range, never) = match address {
        Address::Ip(ip) => {
            let range = pool.range_of(ip).and_then(|at| pool.ranges.get(at))?;
            (
                range.subnet.to_string(),
                range.exclusion(ip).map(describe_reason),
            )
        }
        Address::Mac(mac) => {
            let macs = pool.macs.as_ref().filter(|macs| macs.contains(mac))?;
            let follows = macs
                .is_derived(mac)
                .then_some("it comes with an address only");
            ("its MACs".to_owned(), follows)
        }
    };
    let aside = index.reserved_between(&pool.space, address, address);
    let state = match (never, aside.first()) {
        (Some(why), _) => UnheldState::Never(why.to_owned()),
        (None, Some((_, reservation))) => {
            let key = reservation.key();
            UnheldState::Reserved(format!("{}/{}", key.namespace, key.name))
        }
        (None, None) => UnheldState::Free,
    };
    Some(PoolMembership {
        pool: pool.name.to_string(),
        range,
        state,
    })
}
