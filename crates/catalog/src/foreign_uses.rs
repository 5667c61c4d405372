//! Addresses that Whereabouts's records give to others: to pods by the plugin, and to other address spaces.
//!
//! The name of an `IPPool` has the `network_name` and the range. Networks that differ otherwise, by
//! `enable_overlapping_ranges` or by further ranges, have pools with address spaces of their own, and their
//! entries in one `IPPool`.

use std::{
    collections::{BTreeSet, HashSet},
    net::IpAddr,
    sync::Arc,
};

use super::{
    Catalog, ObservedPool,
    derived_pools::{RANGE_SEPARATOR, whereabouts_space},
};
use nadmit_allocation::{
    ForeignPod, PoolOrigin, Space, Stored,
    index::{AddressGiver, ForeignUse},
};
use nadmit_whereabouts::{PodName, may_be_slice};

impl Catalog {
    /// Returns the addresses that Whereabouts's records give to pods without a record of the address space:
    /// those that its plugin keeps and, where several spaces have their entries in one `IPPool`, those that
    /// nadmit keeps for another of them, held or in use. `records` are the ledger's: one of another space whose
    /// entry is not written yet, or was removed by others, counts as well.
    pub fn foreign_uses(&self, records: impl FnOnce() -> Vec<Arc<Stored>>) -> Vec<ForeignUse> {
        let known = self.whereabouts();
        let mut found = Vec::new();
        let mut shared = Vec::new();
        for observed in known.pools() {
            let spaces = self.spaces_of(observed);
            let served: Vec<&Space> = self.served_spaces(observed).collect();
            for entry in &observed.pool.entries {
                let given = |space: &Space, giver| ForeignUse {
                    space: space.clone(),
                    address: entry.address,
                    pod: entry.pod.as_ref().map(foreign_pod),
                    interface: Arc::from(&*entry.interface),
                    giver,
                };
                match entry.kept_for() {
                    None => found.extend(spaces.iter().map(|one| given(one, AddressGiver::Plugin))),
                    Some(own) => {
                        let others = served.iter().filter(|one| one.network_name() != own);
                        found.extend(others.map(|one| given(one, AddressGiver::Nadmit)));
                    }
                }
            }
            if served.len() > 1 {
                shared.push((observed, served));
            }
        }
        if !shared.is_empty() {
            let records = records();
            for (observed, served) in &shared {
                found.extend(recorded_elsewhere(*observed, served, &records));
            }
        }
        for reservation in known.reservations() {
            if reservation.is_kept() {
                continue;
            }
            for (space, address) in known.addresses_of(reservation) {
                found.push(ForeignUse {
                    space,
                    address,
                    pod: reservation.pod.as_ref().map(foreign_pod),
                    interface: Arc::from(&*reservation.interface),
                    giver: AddressGiver::Plugin,
                });
            }
        }
        found
    }

    /// Returns the address spaces of an `IPPool`'s entries: that of its name, and those of the pools whose
    /// networks have no reservations.
    pub fn spaces_of(&self, observed: ObservedPool<'_>) -> Vec<Space> {
        let mut spaces: Vec<Space> = self.served_spaces(observed).cloned().collect();
        if !spaces.contains(&observed.usage.space) {
            spaces.push(observed.usage.space.clone());
        }
        spaces
    }

    /// Returns the address spaces of the pools of networks whose addresses have their entries in an
    /// `IPPool`, each once.
    fn served_spaces(&self, observed: ObservedPool<'_>) -> impl Iterator<Item = &Space> {
        let pools = self.pool_config().pools.values();
        let own = pools.filter(move |pool| {
            pool.origin != PoolOrigin::AddressPool && observed.is_in_space(&pool.space)
        });
        let spaces: BTreeSet<&Space> = own.map(|pool| &pool.space).collect();
        spaces.into_iter()
    }
}

impl ObservedPool<'_> {
    /// Returns true if records of this address space are of addresses that may have their entry here: the
    /// space is that of the pool's name, or has the ranges of networks without reservations as its name.
    pub fn is_in_space(self, space: &Space) -> bool {
        let own = &self.usage.space;
        if space == own || self.has_slices_in(space) {
            return true;
        }
        // The name of the first range has the `network_name`; those of the others have not.
        let name = &*self.pool.name;
        let mut parts = space.network_name().split(RANGE_SEPARATOR);
        let first = parts.next().unwrap_or_default();
        let (prefix, bare) = match own.network_name() {
            "" => ("", Some(name)),
            network => (
                network,
                name.strip_prefix(network)
                    .and_then(|rest| rest.strip_prefix('-')),
            ),
        };
        first == name
            || (first.starts_with(prefix) && bare.is_some_and(|bare| parts.any(|one| one == bare)))
    }

    /// Returns true if the pool may be of a node's slice, and records of this address space are of addresses
    /// of the network that is divided. Where that network is unknown, the names of pool and space decide.
    fn has_slices_in(self, space: &Space) -> bool {
        let mut networks = self.usage.networks.iter().peekable();
        if networks.peek().is_none() {
            return may_be_slice(self.pool, space.network_name());
        }
        networks.any(|network| {
            let ipam = network.whereabouts_ipam();
            let sliced = ipam.filter(|ipam| ipam.node_slice_size.is_some());
            sliced.and_then(whereabouts_space).as_ref() == Some(space)
        })
    }
}

fn foreign_pod(pod: &PodName) -> ForeignPod {
    ForeignPod::new(&pod.namespace, &pod.name)
}

/// Returns the uses of addresses of an `IPPool` that a record of one of these address spaces is for, and that
/// have no entry: where there is one, it says which space has the address.
fn recorded_elsewhere(
    observed: ObservedPool<'_>,
    spaces: &[&Space],
    records: &[Arc<Stored>],
) -> Vec<ForeignUse> {
    let entries = observed.pool.entries.iter();
    let with_entry: HashSet<IpAddr> = entries.map(|entry| entry.address).collect();
    let range = observed.pool.range.range();
    let mut found = Vec::new();
    for record in records.iter().map(|stored| &stored.allocation) {
        let address = record.address.ip();
        let Some(address) = address.filter(|one| range.contains(*one) && !with_entry.contains(one))
        else {
            continue;
        };
        if !spaces.contains(&&record.space) {
            continue;
        }
        let others = spaces.iter().filter(|space| ***space != record.space);
        let pod = record.pod.as_ref();
        let pod = pod.map(|pod| ForeignPod::new(record.holder.namespace(), &pod.name));
        found.extend(others.map(|space| ForeignUse {
            space: (*space).clone(),
            address,
            pod: pod.clone(),
            interface: Arc::clone(&record.interface),
            giver: AddressGiver::Nadmit,
        }));
    }
    found
}
