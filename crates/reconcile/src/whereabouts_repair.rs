//! Records that Whereabouts's plugin left behind: their pods do not use the addresses any more.
//!
//! | the pod that a record names | the record |
//! |---|---|
//! | does not exist or has ended | was left behind |
//! | reports its interfaces, without the address | was left behind |
//! | is being deleted, or reports nothing yet | stays |
//!
//! Records that nadmit keeps, and those of addresses that nadmit has recorded, are [`ServedPlan`]'s. A
//! reservation whose pod has an entry for the address stays. Nothing is removed while a node is not ready:
//! a pod may have been deleted although its containers run there. A record counts once two plans, with a
//! pause in between, contain it in the same state ([`LeakedState`]): a pod may be newer than the catalog.
//!
//! [`ServedPlan`]: crate::ServedPlan

use std::{
    collections::{BTreeSet, HashSet},
    net::IpAddr,
    sync::Arc,
};

use nadmit_allocation::{Space, Stored};
use nadmit_catalog::{Catalog, ObservedPool};
use nadmit_cni::{name, status};
use nadmit_whereabouts::{
    DesiredEntry, DesiredUse, OverlappingReservation, PodName, PoolEntry, ServedAddress,
};

use crate::RestsOn;

/// The records that the plugin left behind.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RepairPlan {
    /// The records, by their state.
    pub leaks: Vec<LeakedRecord>,
    /// The reason why none of them may be removed.
    pub hindrance: Option<RepairHindrance>,
}

/// A record that the plugin left behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeakedRecord {
    pub state: LeakedState,
    pub reason: LeakReason,
    /// The removal of the entry and its reservation.
    pub entry: DesiredEntry,
    /// The records of nadmit that do not exist: one of them would decide about the address.
    pub rests_on: Vec<RestsOn>,
}

/// The state of a record, which changes when a pod adopts it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum LeakedState {
    Entry {
        /// The namespace of the `IPPool`.
        namespace: Box<str>,
        /// The name of the `IPPool`.
        pool: Box<str>,
        /// The offset as written.
        key: Box<str>,
        pod: PodName,
        container: Box<str>,
    },
    Reservation {
        namespace: Box<str>,
        name: Box<str>,
        version: Option<Box<str>>,
    },
}

/// The reason why a record counts as left behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeakReason {
    /// The pod does not exist, or has ended.
    PodGone,
    /// The pod reports its interfaces, without the address.
    NotOnPod,
}

/// The reason why no record may be removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RepairHindrance {
    /// The nodes may not be listed.
    NodesUnknown,
    /// The kubelet of a node does not respond: containers of deleted pods may run there.
    NodeNotReady(Box<str>),
}

impl LeakReason {
    /// Returns the reason in words that follow the pod's name.
    pub fn in_words(self) -> &'static str {
        match self {
            Self::PodGone => "is gone",
            Self::NotOnPod => "reports its interfaces without the address",
        }
    }
}

impl RepairPlan {
    /// Finds the records that the plugin left behind. `records` are those of the ledger. Empty while
    /// Whereabouts's records are not known.
    pub fn of(catalog: &Catalog, records: &[Arc<Stored>]) -> Self {
        let known = catalog.whereabouts();
        if !known.knows_pools() || !known.knows_reservations() {
            return Self::default();
        }
        let recorded = records.iter().filter_map(|stored| {
            let record = &stored.allocation;
            Some((&record.space, record.address.ip()?))
        });
        let search = LeakSearch {
            catalog,
            recorded: recorded.collect(),
        };
        let mut leaks = Vec::new();
        let mut with_entry: BTreeSet<(&str, &str)> = BTreeSet::new();
        for observed in known.pools() {
            for entry in &observed.pool.entries {
                let Some(mut leak) = search.entry(observed, entry) else {
                    continue;
                };
                let mut reservations = known.reservations_of(&observed.usage.space, entry.address);
                let reservation = reservations.find(|one| {
                    let pod = entry.pod.as_ref();
                    pod.is_some_and(|pod| one.is_left_to_plugin(pod))
                });
                if let Some(one) = reservation {
                    leak.entry.at.reservation = Some(one.name.clone());
                    with_entry.insert((&*one.namespace, &*one.name));
                }
                leaks.push(leak);
            }
        }
        let alone = known.reservations().filter(|one| {
            let name = (&*one.namespace, &*one.name);
            !with_entry.contains(&name)
        });
        leaks.extend(alone.filter_map(|one| search.reservation(one)));
        let hindrance = match leaks.is_empty() {
            true => None,
            false => hindrance(catalog),
        };
        Self { leaks, hindrance }
    }

    /// Keeps the records that an earlier plan contains in the same state.
    pub fn retain_seen(&mut self, earlier: &Self) {
        let seen: BTreeSet<&LeakedState> = earlier.leaks.iter().map(|leak| &leak.state).collect();
        self.leaks.retain(|leak| seen.contains(&leak.state));
    }
}

/// The data by which leaks are found.
struct LeakSearch<'c> {
    catalog: &'c Catalog,
    /// The addresses that nadmit has recorded.
    recorded: HashSet<(&'c Space, IpAddr)>,
}

impl LeakSearch<'_> {
    /// Returns the leak of an entry, without its reservation.
    fn entry(&self, observed: ObservedPool<'_>, entry: &PoolEntry) -> Option<LeakedRecord> {
        let pod = entry.pod.as_ref().filter(|_| !entry.is_kept())?;
        let reason = self.reason(pod, entry.address)?;
        let spaces = self.catalog.spaces_of(observed);
        let rests_on = self.unrecorded(&spaces, entry.address)?;
        let pool = &observed.pool;
        Some(LeakedRecord {
            state: LeakedState::Entry {
                namespace: pool.namespace.clone(),
                pool: pool.name.clone(),
                key: entry.key.clone(),
                pod: pod.clone(),
                container: entry.container_id.clone(),
            },
            reason,
            entry: DesiredEntry {
                at: ServedAddress {
                    namespace: pool.namespace.clone(),
                    pool: Some(pool.reference()),
                    address: entry.address,
                    space: "".into(),
                    reservation: None,
                },
                desired: DesiredUse::Leaked {
                    pod: pod.clone(),
                    container: entry.container_id.clone(),
                },
            },
            rests_on,
        })
    }

    /// Returns the leak of a reservation whose pod has no entry of the address.
    fn reservation(&self, one: &OverlappingReservation) -> Option<LeakedRecord> {
        let pod = one.pod.as_ref().filter(|pod| one.is_left_to_plugin(pod))?;
        let known = self.catalog.whereabouts();
        let meanings = known.addresses_of(one);
        let (_, address) = meanings.first()?;
        let mut rests_on = Vec::new();
        let mut reason = None;
        for (space, address) in &meanings {
            let mut entries = known.entries_at(*address);
            if entries.any(|found| found.entry.pod.as_ref() == Some(pod)) {
                return None;
            }
            reason = Some(self.reason(pod, *address)?);
            rests_on.extend(self.unrecorded(std::slice::from_ref(space), *address)?);
        }
        Some(LeakedRecord {
            state: LeakedState::Reservation {
                namespace: one.namespace.clone(),
                name: one.name.clone(),
                version: one.version.clone(),
            },
            reason: reason?,
            entry: DesiredEntry {
                at: ServedAddress {
                    namespace: one.namespace.clone(),
                    pool: None,
                    address: *address,
                    space: "".into(),
                    reservation: Some(one.name.clone()),
                },
                desired: DesiredUse::Leaked {
                    pod: pod.clone(),
                    container: "".into(),
                },
            },
            rests_on,
        })
    }

    /// Returns why a pod does not use an address; `None` if it may use it, or no pod can have the name.
    fn reason(&self, pod: &PodName, address: IpAddr) -> Option<LeakReason> {
        let can_exist = name::subdomain(&pod.name).is_ok() && name::label(&pod.namespace).is_ok();
        let Some(found) = self.catalog.pod(&pod.namespace, &pod.name) else {
            return can_exist.then_some(LeakReason::PodGone);
        };
        let reported = status::reports(found.network_status.as_deref(), address);
        (reported == Some(false) && !found.terminating).then_some(LeakReason::NotOnPod)
    }

    /// Returns the absence of records of an address; `None` if there is one.
    fn unrecorded(&self, spaces: &[Space], address: IpAddr) -> Option<Vec<RestsOn>> {
        let mut spaces = spaces.iter();
        spaces.try_fold(Vec::new(), |mut found, space| {
            found.push(RestsOn {
                record: space.record_name(address.into()),
                version: None,
            });
            (!self.recorded.contains(&(space, address))).then_some(found)
        })
    }
}

fn hindrance(catalog: &Catalog) -> Option<RepairHindrance> {
    let nodes = catalog.nodes();
    if !nodes.are_known() {
        return Some(RepairHindrance::NodesUnknown);
    }
    let mut waiting = nodes
        .iter()
        .filter(|(_, node)| !node.ready && !node.out_of_service);
    waiting
        .next()
        .map(|(name, _)| RepairHindrance::NodeNotReady(name.into()))
}
