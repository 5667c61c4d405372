//! A preview of adoption: the addresses in use that a cluster's pools would take over, recorded or
//! not, and the obstacles.
//!
//! A pool allocates nothing until everything in use in its ranges is recorded. This preview works
//! on a cluster as it is, or as it will be after manifests are applied.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{
    allocation::{
        Address, Allocation, Holder, NetworkRef, Pool, Space, Stored, Timestamp, Write,
        reconcile::{Action, ActionReason, InUse, adopt},
    },
    catalog::{Catalog, PoolValidity},
    rules::pool::whereabouts_overlaps,
};

/// The adoption preview of all pools, by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Adoption {
    /// One preview for each pool.
    pub pools: Vec<PoolAdoption>,
}

/// The adoption preview of one pool.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PoolAdoption {
    /// The pool's name.
    pub name: String,
    /// The pool's address space; empty for the unnamed space.
    pub network_name: String,
    /// The networks that the pool serves.
    pub networks: Vec<String>,
    /// The reasons why the pool would allocate nothing.
    #[serde(rename = "inTheWay")]
    pub blockers: Vec<String>,
    /// The addresses in use, in order.
    pub addresses: Vec<PoolAddress>,
    /// The addresses that have more than one user.
    pub duplicates: Vec<DuplicateAddress>,
}

/// An address of a pool, and its holder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PoolAddress {
    pub address: Address,
    pub holder: String,
    /// The network that the address is used on.
    pub network: String,
    /// The action that adoption takes.
    pub state: AdoptionState,
}

/// The action that adoption takes for an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum AdoptionState {
    /// None: the address is recorded already.
    Recorded,
    /// The address is in use and would be recorded.
    Adopt,
    /// The address is reserved and would be recorded for its reservation.
    Reserve,
}

/// An address with more than one user. Adoption does not resolve this: people must decide.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DuplicateAddress {
    pub address: Address,
    /// All users; the first is the one that the address is, or would be, recorded for.
    pub users: Vec<String>,
}

impl Adoption {
    /// Returns the adoption preview of a catalog's pools, given the existing records.
    /// `multus_namespace` is the namespace in which Multus looks up default networks.
    pub fn of(catalog: &Catalog, records: &[Stored], multus_namespace: &str) -> Self {
        let in_use = catalog.addresses_in_use(multus_namespace);
        let uses = AddressUses::of(catalog, records, &in_use);
        let names = catalog.pool_names().into_iter();
        let pools = names.map(|name| match catalog.pool(name) {
            PoolValidity::Valid(pool) => uses.pool(pool, catalog),
            PoolValidity::Invalid(faults) => PoolAdoption {
                name: name.to_owned(),
                blockers: faults.iter().map(ToString::to_string).collect(),
                ..PoolAdoption::default()
            },
            PoolValidity::Settings(_) | PoolValidity::Unknown => PoolAdoption::default(),
        });
        Self {
            pools: pools.collect(),
        }
    }

    /// Returns true if any pool would allocate nothing.
    pub fn is_blocked(&self) -> bool {
        self.pools.iter().any(|pool| !pool.blockers.is_empty())
    }
}

/// The users of an address.
struct AddressUse<'a> {
    pool: &'a str,
    network: &'a NetworkRef,
    holders: Vec<&'a Holder>,
    state: AdoptionState,
}

type AdoptionKey = (Space, Address);

/// The users of all addresses, and the reservations' records to be created.
struct AddressUses<'a>(BTreeMap<AdoptionKey, AddressUse<'a>>, Vec<Allocation>);

impl<'a> AddressUses<'a> {
    fn of(catalog: &Catalog, records: &'a [Stored], in_use: &'a [InUse]) -> Self {
        let mut uses: BTreeMap<AdoptionKey, AddressUse<'a>> = BTreeMap::new();
        let mut recorded: BTreeMap<AdoptionKey, &Allocation> = BTreeMap::new();
        for Stored { allocation, .. } in records {
            let key = (allocation.space.clone(), allocation.address);
            recorded.insert(key.clone(), allocation);
            uses.insert(key, AddressUse::of(allocation));
        }
        for one in in_use {
            let Some(pool) = catalog.pool_config().pool(&one.pool) else {
                continue;
            };
            let key = (pool.space.clone(), one.address);
            let known = recorded.get(&key).copied();
            let found = uses.entry(key).or_insert_with(|| AddressUse {
                pool: &one.pool,
                network: &one.network,
                holders: Vec::new(),
                state: AdoptionState::Adopt,
            });
            let same = known.is_some_and(|record| is_of(record, one));
            if !same && !found.holders.contains(&&one.holder) {
                found.holders.push(&one.holder);
            }
        }
        let reserved = adopt(catalog.pool_config(), in_use, Timestamp::default());
        let reserved = reserved.into_iter().filter_map(|action| match action {
            Action {
                write: Some(Write::Create(record)),
                reason: ActionReason::Reserved,
            } => Some(record),
            _ => None,
        });
        let reserved = reserved.filter(|r| !recorded.contains_key(&(r.space.clone(), r.address)));
        let reserved = reserved.collect();
        Self(uses, reserved)
    }

    fn pool(&self, pool: &Pool, catalog: &Catalog) -> PoolAdoption {
        let own = || self.0.iter().filter(|(_, one)| *one.pool == *pool.name);
        let mut addresses: Vec<PoolAddress> = own()
            .filter_map(|((_, address), one)| {
                let holder = one.holders.first()?.to_string();
                Some(held(*address, holder, one.network, one.state))
            })
            .collect();
        let reserved = self.1.iter().filter(|record| record.pool == pool.name);
        addresses.extend(reserved.map(|record| {
            let holder = record.holder.to_string();
            held(
                record.address,
                holder,
                &record.network,
                AdoptionState::Reserve,
            )
        }));
        addresses.sort_by_key(|held| held.address);
        let duplicates = own().filter(|(_, one)| one.holders.len() > 1);
        let duplicates = duplicates.map(|((_, address), one)| DuplicateAddress {
            address: *address,
            users: one.holders.iter().map(ToString::to_string).collect(),
        });
        let networks = catalog.served_by(&pool.name);
        let mut networks: Vec<String> = networks
            .map(|network| format!("{}/{}", network.namespace, network.name))
            .collect();
        networks.sort_unstable();
        let overlaps = whereabouts_overlaps(catalog, pool).into_iter();
        let blockers = overlaps.map(|overlap| {
            format!("Whereabouts assigns addresses of this pool to pods on {overlap}")
        });
        PoolAdoption {
            name: pool.name.to_string(),
            network_name: pool.space.network_name().to_owned(),
            networks,
            blockers: blockers.collect(),
            addresses,
            duplicates: duplicates.collect(),
        }
    }
}

impl<'a> AddressUse<'a> {
    fn of(record: &'a Allocation) -> Self {
        Self {
            pool: &record.pool,
            network: &record.network,
            holders: vec![&record.holder],
            state: AdoptionState::Recorded,
        }
    }
}

fn held(
    address: Address,
    holder: String,
    network: &NetworkRef,
    state: AdoptionState,
) -> PoolAddress {
    PoolAddress {
        address,
        holder,
        network: format!("{}/{}", network.namespace, network.name),
        state,
    }
}

/// Returns true if the user of an address is the one that it is recorded for: by holder, or by the
/// pod, which held by a token before it had a name. A pod on a reservation's address may be the one
/// reserved for.
fn is_of(record: &Allocation, one: &InUse) -> bool {
    let pod = |a: &Option<crate::allocation::PodRef>| a.as_ref().map(|pod| pod.name.clone());
    let same_pod = pod(&record.pod).is_some()
        && pod(&record.pod) == pod(&one.pod)
        && record.holder.namespace() == one.holder.namespace();
    record.holder == one.holder || same_pod || matches!(record.holder, Holder::Reservation { .. })
}
