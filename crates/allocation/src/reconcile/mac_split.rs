//! Separate records for MACs of virtual machines that must outlive the address they are recorded with.
//!
//! In a pool that retains only MACs, a virtual machine's MAC has its own record from the start.
//! Exceptions are adopted addresses, records of older releases, and addresses assigned while the pool
//! retained addresses too or by a reservation.

use std::collections::HashSet;

use super::{Action, ActionReason, ClusterObserver, InterfaceKey, PodState, Reconciliation};
use crate::{Address, Allocation, Family, Write};

impl<'a, O: ClusterObserver> Reconciliation<'a, O> {
    /// Returns the actions that create these records.
    pub(super) fn mac_splits(&self) -> Vec<Action> {
        let records = self.addresses.iter().filter_map(|entry| entry.recorded);
        let split_records = records.filter_map(|(record, _)| self.split_record(record));
        split_records
            .map(|record| Action {
                write: Some(Write::Create(record)),
                reason: ActionReason::MacSplit,
            })
            .collect()
    }

    /// Returns the missing separate record for the MAC of this record, if one is needed.
    pub(super) fn split_record(&self, record: &'a Allocation) -> Option<Allocation> {
        let mac = Address::Mac(record.mac?);
        let pool = self.pool_config.pool(&record.pool)?;
        let detaches = pool.detaches_mac_of(record) && record.address.ip().is_some();
        let key = (&record.space, mac);
        let known = |key| {
            let entry = self.addresses.binary_search_by_key(&key, |entry| entry.key);
            entry.is_ok_and(|at| self.addresses[at].recorded.is_some())
        };
        if !detaches || known(key) || self.has_mac(record) {
            return None;
        }
        let split_record = Allocation {
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
                .release_reason(&split_record, Some(pool), ActionReason::PodGone)
                .is_none();
        stays.then_some(split_record)
    }

    /// Returns true if the holder has a MAC with a record of its own on this interface.
    fn has_mac(&self, record: &'a Allocation) -> bool {
        let interfaces = self.with_mac.get_or_init(|| {
            let records = self.addresses.iter().filter_map(|entry| entry.recorded);
            let macs = records.filter(|(record, _)| record.address.family() == Family::Mac);
            let of = |(record, _): (&'a Allocation, _)| -> InterfaceKey<'a> {
                (&record.holder, &record.network, &*record.interface)
            };
            macs.map(of).collect::<HashSet<_>>()
        });
        interfaces.contains(&(&record.holder, &record.network, &*record.interface))
    }
}
