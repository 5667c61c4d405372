//! What a cluster's pools would take over: who uses their addresses, recorded or not, and what stands
//! in the way.
//!
//! A pool gives nothing before all that is in use in its ranges is recorded. What that will be can be
//! seen beforehand: in a cluster as it is, or as it will be with the manifests that are to be applied.

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

/// What the pools would take over, by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Adoption {
    /// One of each pool.
    pub pools: Vec<PoolAdoption>,
}

/// What one pool would take over.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PoolAdoption {
    /// The pool.
    pub name: String,
    /// Where its addresses are unique; empty for the unnamed space.
    pub network_name: String,
    /// The networks that it serves.
    pub networks: Vec<String>,
    /// Why it would give nothing.
    pub blockers: Vec<String>,
    /// Who has what, by address.
    pub addresses: Vec<PoolAddress>,
    /// What more than one has.
    pub duplicates: Vec<DuplicateAddress>,
}

/// An address that somebody has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PoolAddress {
    /// The address.
    pub address: Address,
    /// Who has it.
    pub holder: String,
    /// The network that it is used on.
    pub network: String,
    /// What is done about it.
    pub state: AdoptionState,
}

/// What is done about an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum AdoptionState {
    /// Nothing: it is recorded.
    Recorded,
    /// It is in use, and would be recorded.
    Adopt,
    /// It is set aside, and would be recorded for its reservation.
    Reserve,
}

/// An address that more than one has. Nothing is done about it: people must decide.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DuplicateAddress {
    /// The address.
    pub address: Address,
    /// All of them; the first is the one that it is, or would be, recorded for.
    pub users: Vec<String>,
}

impl Adoption {
    /// What the pools of a catalog would take over beside these records. `multus_namespace` is the
    /// namespace in which pods' default networks are looked up.
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
            PoolValidity::Unknown => PoolAdoption::default(),
        });
        Self {
            pools: pools.collect(),
        }
    }

    /// Whether some pool would give nothing.
    pub fn is_blocked(&self) -> bool {
        self.pools.iter().any(|pool| !pool.blockers.is_empty())
    }
}

/// Who has an address.
struct AddressUse<'a> {
    pool: &'a str,
    network: &'a NetworkRef,
    holders: Vec<&'a Holder>,
    state: AdoptionState,
}

type AddressKey = (Space, Address);

/// Who has which address.
struct AddressUses<'a>(BTreeMap<AddressKey, AddressUse<'a>>, Vec<Allocation>);

impl<'a> AddressUses<'a> {
    fn of(catalog: &Catalog, records: &'a [Stored], in_use: &'a [InUse]) -> Self {
        let mut uses: BTreeMap<AddressKey, AddressUse<'a>> = BTreeMap::new();
        let mut recorded: BTreeMap<AddressKey, &Allocation> = BTreeMap::new();
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
        let blockers = overlaps
            .map(|overlap| format!("Whereabouts gives addresses of it to pods on {overlap}"));
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

/// Whether who uses an address is whom it is recorded for: by holder, or by the pod, which was known
/// by a token before it had a name. A pod on a reservation's address may be whom that is for.
fn is_of(record: &Allocation, one: &InUse) -> bool {
    let pod = |a: &Option<crate::allocation::PodRef>| a.as_ref().map(|pod| pod.name.clone());
    let same_pod = pod(&record.pod).is_some()
        && pod(&record.pod) == pod(&one.pod)
        && record.holder.namespace() == one.holder.namespace();
    record.holder == one.holder || same_pod || matches!(record.holder, Holder::Reservation { .. })
}
