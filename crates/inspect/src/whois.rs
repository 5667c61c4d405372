//! Holders of an address, and its state in pools where it is not held.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{
    allocations::{AllocationRow, to_row},
    ip_pools::PoolNames,
    map::describe_reason,
    recorded::{RecordedRow, recorded_at},
    release::check_releasable,
};
use nadmit_allocation::{Address, Index, Pool};
use nadmit_catalog::{Catalog, ObservedPool, WhereaboutsRecords};

/// All that is known about an address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Whois {
    /// Address that was looked up.
    pub address: Address,
    /// Records of the address, or of the address it belongs to if it is a MAC: at most one per
    /// address space.
    pub held: Vec<AllocationRow>,
    /// Records of Whereabouts of the address.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub whereabouts: Vec<RecordedRow>,
    /// State in pools of address spaces in which it has no holder.
    #[serde(rename = "places")]
    pub pools: Vec<PoolMembership>,
}

/// State of an address in one pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PoolMembership {
    /// Name of the pool.
    pub pool: String,
    /// Range that contains the address, or `its MACs`.
    pub range: String,
    /// State of the address in the pool.
    #[serde(rename = "standing")]
    pub state: UnheldState,
}

/// State of an address without a holder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum UnheldState {
    /// Available for allocation.
    Free,
    /// Never allocated, with the reason.
    Never(String),
    /// Reserved by this reservation.
    Reserved(String),
}

/// Looks an address up in all address spaces.
pub fn whois(address: Address, index: &Index, catalog: Option<&Catalog>) -> Whois {
    let held = index.find_in_all_spaces(address).into_iter().map(|known| {
        let blocked = check_releasable(known.0, catalog).err();
        AllocationRow {
            release_blocked: blocked.map(|blocked| blocked.to_string()),
            ..to_row(known, catalog)
        }
    });
    let held: Vec<AllocationRow> = held.collect();
    let pools = index.pool_config().pools.values();
    let without = pools.filter(|pool| !held.iter().any(|row| row.allocation.space == pool.space));
    let mut pools: Vec<PoolMembership> = without
        .filter_map(|pool| membership(address, pool, index))
        .collect();
    let records = catalog.map(Catalog::whereabouts);
    let observed = address.ip().zip(records);
    let whereabouts = observed.map_or_else(Vec::new, |(ip, records)| {
        let recorded = recorded_at(ip, records);
        let is_recorded = |space: &str| recorded.iter().any(|row| row.network_name == space);
        pools.retain(|one| {
            let pool = index.pool_config().pools.get(&*one.pool);
            !pool.is_some_and(|pool| is_recorded(pool.space.network_name()))
        });
        pools.extend(ip_pool_memberships(ip, records, index, &is_recorded));
        recorded
    });
    Whois {
        address,
        pools,
        held,
        whereabouts,
    }
}

/// Returns the state of an address in the `IPPool`s of address spaces in which it has no holder.
fn ip_pool_memberships(
    address: IpAddr,
    records: WhereaboutsRecords<'_>,
    index: &Index,
    is_recorded: &impl Fn(&str) -> bool,
) -> Vec<PoolMembership> {
    let names = PoolNames::of(records);
    let around = records.pools().filter(|found| {
        let space = &found.usage.space;
        found.pool.range.range().contains(address)
            && !is_recorded(space.network_name())
            && index.version_of(space, address.into()).is_none()
    });
    let membership = |found: ObservedPool<'_>| PoolMembership {
        pool: names.name(found),
        range: found.pool.range.to_string(),
        state: match found.assigns(address) {
            true => UnheldState::Free,
            false => UnheldState::Never("no network of the pool assigns it".to_owned()),
        },
    };
    around.map(membership).collect()
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
