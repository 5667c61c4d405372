//! Adoption of unrecorded addresses, duplicates, and reservations.

use std::{collections::HashSet, sync::Arc};

use super::{
    Action, ActionReason, ClusterObserver, InUse, Reconciliation, VersionedRecord, is_holder,
    is_same_pod,
};
use crate::{Allocation, Holder, PodRef, Write};

impl<O: ClusterObserver> Reconciliation<'_, O> {
    /// Returns the actions for unrecorded addresses, duplicates, and newly identified pods.
    pub(super) fn adoptions(&self) -> Vec<Action> {
        let mut actions = Vec::new();
        for entry in &self.addresses {
            let Some(first) = entry.users.iter().copied().min_by_key(precedence) else {
                continue;
            };
            let (recorded, users) = (entry.recorded, &entry.users);
            // After a transfer the recorded holder no longer has the address.
            let transferred = |action: Action| action.reason == ActionReason::Transferred;
            let stays = recorded.filter(|_| !self.evaluate(entry).is_some_and(transferred));
            let holders = holders(stays, users);
            if holders.len() > 1 {
                let reason = ActionReason::Duplicate {
                    address: entry.key.1,
                    users: holders,
                };
                actions.push(Action {
                    write: None,
                    reason,
                });
            }
            match recorded {
                None => actions.extend(self.adopt(first)),
                Some(recorded) => actions.extend(identified(recorded, users)),
            }
        }
        actions
    }

    fn adopt(&self, one: &InUse) -> Option<Action> {
        Some(Action {
            write: Some(Write::Create(self.record_of(one)?)),
            reason: ActionReason::Adopted,
        })
    }

    /// Returns the record for the user of an address.
    pub(super) fn record_of(&self, one: &InUse) -> Option<Allocation> {
        let pool = self.pool_config.pool(&one.pool)?;
        Some(Allocation {
            address: one.address,
            space: pool.space.clone(),
            pool: Arc::clone(&pool.name),
            network: one.network.clone(),
            interface: Arc::clone(&one.interface),
            holder: one.holder.clone(),
            pod: one.pod.clone(),
            mac: one.mac.filter(|_| one.address.ip().is_some()),
            former_nodes: Vec::new(),
            taken: None,
            reservation: None,
            since: self.now,
        })
    }

    /// Returns the actions that record new reservations.
    pub(super) fn reservations(&self) -> Vec<Action> {
        let mut taken = HashSet::new();
        let mut actions = Vec::new();
        for (reservation, pool) in &self.pool_config.reservations {
            let pool = pool.as_ref().and_then(|pool| self.pool_config.pool(pool));
            let Some(pool) = pool else { continue };
            for address in reservation.reserved_addresses(pool) {
                let key = (&pool.space, address);
                let known = self.addresses.binary_search_by_key(&key, |entry| entry.key);
                if known.is_ok() || !taken.insert(key) {
                    continue;
                }
                let record = Allocation {
                    address,
                    space: pool.space.clone(),
                    pool: Arc::clone(&pool.name),
                    network: reservation.network.clone(),
                    interface: reservation.interface.clone().unwrap_or_default(),
                    holder: reservation.as_holder(),
                    pod: None,
                    mac: reservation.mac.filter(|_| address.ip().is_some()),
                    former_nodes: Vec::new(),
                    taken: None,
                    reservation: None,
                    since: self.now,
                };
                actions.push(Action {
                    write: Some(Write::Create(record)),
                    reason: ActionReason::Reserved,
                });
            }
        }
        actions
    }
}

/// Returns the sort key of users of one address: pods before networks, bound pods before pending ones
/// (which may only request the address), assigned addresses before others, then by namespace and name.
pub(super) fn precedence<'a>(one: &&'a InUse) -> (bool, bool, bool, &'a str, Option<&'a str>) {
    let pod = one.pod.as_ref();
    let is_unbound = pod.is_some_and(|pod| pod.node.is_none());
    let name = pod.map(|pod| &*pod.name);
    (
        name.is_none(),
        is_unbound,
        !one.assigned,
        one.holder.namespace(),
        name,
    )
}

/// Returns all holders that have an address. A reservation that is not taken yet does not count: its
/// holder may have got the address without nadmit. An address configured by a network belongs to the
/// pod that uses it there.
fn holders(recorded: Option<VersionedRecord<'_>>, users: &[&InUse]) -> Vec<Holder> {
    let mut holders: Vec<Holder> = Vec::new();
    if let Some((record, _)) = recorded
        && !matches!(record.holder, Holder::Reservation { .. })
    {
        holders.push(record.holder.clone());
    }
    for one in users {
        let known = recorded.is_some_and(|(record, _)| is_same_pod(record, one));
        if !known && !holders.contains(&one.holder) {
            holders.push(one.holder.clone());
        }
    }
    let configures = |holder: &Holder, one: &InUse| match holder {
        Holder::Network { namespace, name } => {
            one.holder != *holder
                && (namespace, name) == (&one.network.namespace, &one.network.name)
        }
        _ => false,
    };
    holders.retain(|holder| !users.iter().any(|one| configures(holder, one)));
    holders
}

/// Returns the update of a record with the pod that uses its address, if that adds information.
fn identified((record, version): VersionedRecord<'_>, users: &[&InUse]) -> Option<Action> {
    let pods: Vec<&PodRef> = users
        .iter()
        .filter(|user| is_holder(record, user))
        .filter_map(|user| user.pod.as_ref().filter(|pod| pod.uid.is_some()))
        .collect();
    let before = record.pod.as_ref();
    let uid = before.and_then(|pod| pod.uid.as_ref());
    let same = pods.iter().find(|pod| pod.uid.as_ref() == uid);
    let pod = match (same, &record.holder) {
        (Some(same), _) => same,
        // A holder token identifies one pod: another pod cannot take the record over, and among several
        // the owner cannot be determined.
        (None, Holder::Unnamed { .. }) if uid.is_some() || pods.len() != 1 => return None,
        (None, _) => pods.first()?,
    };
    let known = before.is_some_and(|before| {
        let node = pod.node.is_none() || before.node == pod.node;
        (&before.name, &before.uid) == (&pod.name, &pod.uid) && node
    });
    let now = Allocation {
        pod: Some((*pod).clone()),
        former_nodes: record.former_nodes_for(Some(*pod)),
        ..record.clone()
    };
    (!known).then_some(Action {
        write: Some(Write::Update(now, version)),
        reason: ActionReason::PodIdentified,
    })
}
