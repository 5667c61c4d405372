//! The MACs of virtual machines that are recorded with an address only, and are to outlive it.
//!
//! A machine whose addresses the pool does not keep has a MAC with a record of its own from the start.
//! There are others: what was adopted, what an older release recorded, what was given while the pool
//! kept addresses, too, or a reservation did.

use std::collections::HashSet;

use super::{Action, ActionReason, ClusterObserver, Interface, PodState, View};
use crate::allocation::{Address, Allocation, Family, Write};

impl<'a, O: ClusterObserver> View<'a, O> {
    /// The records that these MACs are to have.
    pub(super) fn partings(&self) -> Vec<Action> {
        let records = self.places.iter().filter_map(|place| place.recorded);
        let parted = records.filter_map(|(record, _)| self.parted(record));
        parted
            .map(|record| Action {
                write: Some(Write::Create(record)),
                reason: ActionReason::MacSplit,
            })
            .collect()
    }

    /// The record of its own that the MAC of this record lacks.
    pub(super) fn parted(&self, record: &'a Allocation) -> Option<Allocation> {
        let mac = Address::Mac(record.mac?);
        let pool = self.layout.pool(&record.pool)?;
        let parts = pool.detaches_mac_of(record) && record.address.ip().is_some();
        let key = (&record.space, mac);
        let known = |key| {
            let place = self.places.binary_search_by_key(&key, |place| place.key);
            place.is_ok_and(|at| self.places[at].recorded.is_some())
        };
        if !parts || known(key) || self.has_mac(record) {
            return None;
        }
        let parted = Allocation {
            address: mac,
            mac: None,
            since: self.now,
            ..record.clone()
        };
        let there = matches!(
            self.observer.pod(record),
            PodState::Present | PodState::Unknown
        );
        let stays = there
            || self
                .outlives(&parted, Some(pool), ActionReason::PodGone)
                .is_none();
        stays.then_some(parted)
    }

    /// Whether the holder has a MAC with a record of its own on this interface.
    fn has_mac(&self, record: &'a Allocation) -> bool {
        let interfaces = self.with_mac.get_or_init(|| {
            let records = self.places.iter().filter_map(|place| place.recorded);
            let macs = records.filter(|(record, _)| record.address.family() == Family::Mac);
            let of = |(record, _): (&'a Allocation, _)| -> Interface<'a> {
                (&record.holder, &record.network, &*record.interface)
            };
            macs.map(of).collect::<HashSet<_>>()
        });
        interfaces.contains(&(&record.holder, &record.network, &*record.interface))
    }
}
