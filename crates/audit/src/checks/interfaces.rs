//! `missing-entry` and `untracked-address`: the addresses on interfaces of Whereabouts networks, compared
//! with the entries of `IPPool`s.

use std::net::IpAddr;

use nadmit_cni::address::canonical;
use nadmit_whereabouts::{SpaceAddress, WhereaboutsNetwork};

use crate::{
    AuditCode, AuditFinding, HasObject as _, RecordKind, fix,
    view::{Attachment, View, network_object},
};

pub(crate) fn check(view: &View<'_>, findings: &mut Vec<AuditFinding>) {
    if !view.snapshot.reads(RecordKind::IpPool) {
        return;
    }
    for one in &view.attachments {
        let Some(network) = view.whereabouts_of(one) else {
            continue;
        };
        if !one.pod.is_settled(view.snapshot.now) || one.pod.terminating {
            continue;
        }
        for address in one.status.ips.iter().copied() {
            let recorded = SpaceAddress {
                space: network.space,
                address,
            };
            // An address that is recorded for another pod is the matter of that entry.
            if view.entries(recorded).is_empty()
                && !configures(network, address)
                && !has_moved(view, network, one, address)
            {
                findings.extend(unrecorded(view, network, one, address));
            }
        }
    }
}

/// Returns true if the network's configuration names the address.
fn configures(network: &WhereaboutsNetwork<'_>, address: IpAddr) -> bool {
    let configured = network.ipam.addresses.iter();
    let mut configured = configured.filter_map(|one| canonical(&one.address));
    configured.any(|one| one.address == address)
}

/// Returns true if the interface has another entry, for an address that it does not have: the finding
/// about that entry moves it.
fn has_moved(
    view: &View<'_>,
    network: &WhereaboutsNetwork<'_>,
    one: &Attachment<'_>,
    address: IpAddr,
) -> bool {
    let mut entries = view
        .entries_of(&one.pod.name)
        .filter(|entry| entry.space == network.space && entry.pool.range.range().contains(address));
    entries.any(|entry| {
        let entry = entry.entry;
        let is_named = one.status.interface.as_deref();
        is_named.is_none_or(|name| *entry.interface == *name)
            && !one.status.ips.contains(&entry.address)
    })
}

fn unrecorded(
    view: &View<'_>,
    network: &WhereaboutsNetwork<'_>,
    one: &Attachment<'_>,
    address: IpAddr,
) -> Option<AuditFinding> {
    let requested = one.pod.request_of(one.interface());
    let is_requested = requested.is_some_and(|request| request.ips.contains(&address));
    let in_range = view.can_assign(network, address);
    let pool = view.pool_for(one.whereabouts?, address);
    if is_requested {
        return Some(untracked(one, address, in_range.then_some(pool).flatten()));
    }
    // Of files, the pool may be among those that were not given.
    let is_known = pool.is_some() || view.snapshot.is_complete(RecordKind::IpPool);
    if !in_range || !is_known {
        return None;
    }
    let name = &one.pod.name;
    let message =
        format!("{address} of pod {name} is in no IPPool, so Whereabouts can assign it again");
    let finding =
        AuditFinding::new(AuditCode::MissingEntry, message).with(one.pod.object(), one.in_words());
    Some(match pool {
        Some(pool) => finding
            .with(
                pool.object(),
                format!("spec.allocations has no entry of {address}"),
            )
            .command(
                fix::add_entry(pool, address, name, one.interface())
                    .or_else(|| fix::restart(one.pod)),
            ),
        None => finding
            .with(network_object(one.network), "its range has no IPPool")
            .command(fix::restart(one.pod))
            .help("a pod that is created again gets an address that is recorded"),
    })
}

fn untracked(one: &Attachment<'_>, address: IpAddr, pool: Option<&crate::IpPool>) -> AuditFinding {
    let name = &one.pod.name;
    let message =
        format!("{address} of pod {name} was requested by ips, which Whereabouts does not record");
    let finding = AuditFinding::new(AuditCode::UntrackedAddress, message)
        .with(one.pod.object(), one.in_words())
        .with(
            one.pod.object(),
            format!("the annotation requests {address} by ips"),
        )
        .help("remove ips from the pod's annotation, or serve the network by an AddressPool");
    match pool {
        // Without interface, so that no later ADD of the pod takes it for the address of the range.
        Some(pool) => finding
            .with(
                pool.object(),
                format!("spec.allocations has no entry of {address}"),
            )
            .command(fix::add_entry(pool, address, name, "")),
        None => finding.lowered(),
    }
}
