//! What is used and not recorded, what more than one uses, and what is reserved.

use std::{collections::HashSet, sync::Arc};

use super::{Action, ActionReason, ClusterObserver, InUse, Recorded, View, is_same, is_same_pod};
use crate::allocation::{Allocation, Holder, PodRef, Write};

impl<O: ClusterObserver> View<'_, O> {
    /// What is used and not recorded, what more than one uses, and who it is that does.
    pub(super) fn adoptions(&self) -> Vec<Action> {
        let mut actions = Vec::new();
        for place in &self.places {
            let Some(first) = place.users.iter().copied().min_by_key(order) else {
                continue;
            };
            let (recorded, users) = (place.recorded, &place.users);
            // Whose record is handed over has the address no more.
            let handed_over = |action: Action| action.reason == ActionReason::Transferred;
            let stays = recorded.filter(|_| !self.judge(place).is_some_and(handed_over));
            let holders = holders(stays, users);
            if holders.len() > 1 {
                let reason = ActionReason::Duplicate {
                    address: place.key.1,
                    users: holders,
                };
                actions.push(Action {
                    write: None,
                    reason,
                });
            }
            match recorded {
                None => actions.extend(self.adopt(first)),
                Some(recorded) => actions.extend(named(recorded, users)),
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

    /// What is to be recorded for who uses an address.
    pub(super) fn record_of(&self, one: &InUse) -> Option<Allocation> {
        let pool = self.layout.pool(&one.pool)?;
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

    /// Reservations that are not recorded yet.
    pub(super) fn reservations(&self) -> Vec<Action> {
        let mut taken = HashSet::new();
        let mut actions = Vec::new();
        for (reservation, pool) in &self.layout.reservations {
            let pool = pool.as_ref().and_then(|pool| self.layout.pool(pool));
            let Some(pool) = pool else { continue };
            for address in reservation.reserved_addresses(pool) {
                let key = (&pool.space, address);
                let known = self.places.binary_search_by_key(&key, |place| place.key);
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

/// Who of several comes first: pods that are on a node, for one that waits may only have asked for the
/// address; pods before networks; what a pool gave before what none did; and by name.
pub(super) fn order<'a>(one: &&'a InUse) -> (bool, bool, bool, &'a str, Option<&'a str>) {
    let pod = one.pod.as_ref();
    let waits = pod.is_some_and(|pod| pod.node.is_none());
    let name = pod.map(|pod| &*pod.name);
    (
        name.is_none(),
        waits,
        !one.assigned,
        one.holder.namespace(),
        name,
    )
}

/// All who have an address. A reservation that nobody has taken is nobody: its holder may have come
/// past us. What a network configures, its pod has.
fn holders(recorded: Option<Recorded<'_>>, users: &[&InUse]) -> Vec<Holder> {
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

/// The record with the pod that carries its address, if that says more than the record does.
fn named((record, version): Recorded<'_>, users: &[&InUse]) -> Option<Action> {
    let pods: Vec<&PodRef> = users
        .iter()
        .filter(|user| is_same(record, user))
        .filter_map(|user| user.pod.as_ref().filter(|pod| pod.uid.is_some()))
        .collect();
    let before = record.pod.as_ref();
    let uid = before.and_then(|pod| pod.uid.as_ref());
    let same = pods.iter().find(|pod| pod.uid.as_ref() == uid);
    let pod = match (same, &record.holder) {
        (Some(same), _) => same,
        // A token is good for one pod: nobody takes it over, and of two nobody knows whose it is.
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
