//! Addresses that another allocator has given, without a record of the ledger.

use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
    sync::Arc,
};

use super::Index;
use crate::{
    Address, Allocation, ForeignPod, Holder, Pool, PoolOrigin, Space, index::plan::Requester,
};

/// An address that another allocator has given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignUse {
    pub space: Space,
    pub address: IpAddr,
    /// The pod that has it; `None` if the allocator's record names none.
    pub pod: Option<ForeignPod>,
    /// The interface of the pod; empty if it is not known.
    pub interface: Arc<str>,
    pub giver: AddressGiver,
}

/// The allocator that has given an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressGiver {
    /// The plugin, without a record of the ledger.
    Plugin,
    /// nadmit: another of the address spaces that share an `IPPool` has a record of the address.
    Nadmit,
}

/// The uses of all address spaces.
#[derive(Debug, Default)]
pub(super) struct ForeignUses {
    by_pod: HashMap<ForeignPod, Vec<ForeignUse>>,
}

impl ForeignPod {
    /// Returns true if a record names this pod.
    fn is_of(&self, record: &Allocation) -> bool {
        let name = match (&record.pod, &record.holder) {
            (Some(pod), _) => &pod.name,
            (None, Holder::Pod { name, .. }) => name,
            (None, _) => return false,
        };
        self.namespace == *record.holder.namespace() && self.name == *name
    }

    /// Returns true if this is the pod of a requester.
    fn requests(&self, requester: &Requester) -> bool {
        let pod = requester.pod.as_ref();
        self.namespace == *requester.holder.namespace()
            && pod.is_some_and(|pod| pod.name == self.name)
    }
}

impl ForeignUse {
    /// Returns true if the address is that of a requester's pod.
    pub(super) fn is_of(&self, requester: &Requester) -> bool {
        let is_by_plugin = self.giver == AddressGiver::Plugin;
        let pod = self.pod.as_ref().filter(|_| is_by_plugin);
        pod.is_some_and(|pod| pod.requests(requester))
    }
}

impl Index {
    /// Replaces the addresses that other allocators have given. None of them is given to another pod.
    pub fn set_foreign(&mut self, uses: impl IntoIterator<Item = ForeignUse>) {
        let mut now: HashMap<Space, HashMap<Address, ForeignUse>> = HashMap::new();
        let mut by_pod: HashMap<ForeignPod, Vec<ForeignUse>> = HashMap::new();
        for one in uses {
            if let Some(pod) = one
                .pod
                .as_ref()
                .filter(|_| one.giver == AddressGiver::Plugin)
            {
                by_pod.entry(pod.clone()).or_default().push(one.clone());
            }
            let addresses = now.entry(one.space.clone()).or_default();
            addresses.insert(one.address.into(), one);
        }
        self.foreign.by_pod = by_pod;
        let spaces: HashSet<Space> = self.spaces.keys().chain(now.keys()).cloned().collect();
        for space in spaces {
            let new = now.remove(&space).unwrap_or_default();
            let state = self.spaces.entry(space.clone()).or_default();
            let old = std::mem::replace(&mut state.foreign, new);
            let gone = old
                .keys()
                .filter(|address| !state.foreign.contains_key(address));
            let gone: Vec<Address> = gone.copied().collect();
            let added = state
                .foreign
                .keys()
                .filter(|address| !old.contains_key(address));
            let added: Vec<Address> = added.copied().collect();
            for address in gone {
                if self.entry(&space, address).is_none() {
                    self.vacate(&space, address);
                }
            }
            for address in added {
                self.occupy(&space, address);
            }
        }
    }

    /// Returns the address spaces of the pools of served networks whose ranges contain an address.
    fn spaces_of_derived_pools(&self, address: IpAddr) -> Vec<Space> {
        let pools = self.pool_config.pools.values();
        let with_it = pools.filter(|pool| {
            pool.origin == PoolOrigin::Whereabouts && pool.range_of(address).is_some()
        });
        let spaces: HashSet<Space> = with_it.map(|pool| pool.space.clone()).collect();
        spaces.into_iter().collect()
    }

    /// Adds an address that a write of Whereabouts's records found in use, until the next
    /// [`Self::set_foreign`]: to the address spaces of all served pools with it, except the one that nadmit
    /// keeps it for.
    pub fn add_taken(&mut self, address: IpAddr, pod: Option<&ForeignPod>, kept_for: Option<&str>) {
        let giver = match kept_for {
            Some(_) => AddressGiver::Nadmit,
            None => AddressGiver::Plugin,
        };
        for space in self.spaces_of_derived_pools(address) {
            if kept_for == Some(space.network_name()) {
                continue;
            }
            self.add_foreign(ForeignUse {
                space,
                address,
                pod: pod.cloned(),
                interface: "".into(),
                giver,
            });
        }
    }

    fn add_foreign(&mut self, one: ForeignUse) {
        let space = one.space.clone();
        let address = Address::Ip(one.address);
        let state = self.spaces.entry(space.clone()).or_default();
        state.foreign.insert(address, one);
        self.occupy(&space, address);
    }

    /// Returns the use of an address that the record of the address space, if there is one, is not for.
    pub fn foreign_use(&self, space: &Space, address: Address) -> Option<&ForeignUse> {
        let found = self.spaces.get(space)?.foreign.get(&address)?;
        let record = self.holder_of(space, address);
        let pod = found.pod.as_ref();
        let is_recorded = record
            .zip(pod)
            .is_some_and(|(record, pod)| pod.is_of(record));
        (!is_recorded).then_some(found)
    }

    /// Returns the addresses of a range that another allocator has given to the requester's pod already:
    /// one at the most, unless the pod was bound to several nodes with slices.
    pub(super) fn foreign_ips(
        &self,
        requester: &Requester,
        interface: &str,
        pool: &Pool,
        range: usize,
    ) -> impl Iterator<Item = IpAddr> {
        let pod = requester.pod.as_ref().map(|pod| ForeignPod {
            namespace: Arc::clone(requester.holder.namespace()),
            name: Arc::clone(&pod.name),
        });
        let uses = pod.and_then(|pod| self.foreign.by_pod.get(&pod));
        let found = uses.into_iter().flatten().filter(move |one| {
            one.space == pool.space
                && (one.interface.is_empty() || *one.interface == *interface)
                && pool.range_of(one.address) == Some(range)
                && self.entry(&pool.space, one.address.into()).is_none()
        });
        found.map(|one| one.address)
    }
}
