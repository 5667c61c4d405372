//! `leaked-entry`, `drift` and `missing-reservation`: the entries of `IPPool`s, compared with their pods.

use std::{collections::BTreeSet, net::IpAddr};

use nadmit_cni::status::AttachmentStatus;
use nadmit_whereabouts::{SpaceAddress, reservation_name};

use crate::{
    AuditCode, AuditFinding, HasObject as _, PodName, PodRecord, PodState, RecordKind, fix,
    view::{Attachment, Entry, View, entry_in_words, interface_in_words},
};
use serde_json::json;

pub(crate) fn check(view: &View<'_>, findings: &mut Vec<AuditFinding>) {
    for entries in view.entries.values() {
        for one in entries {
            // An entry without pod only keeps the address from others.
            let Some(pod) = &one.entry.pod else { continue };
            let found = judge(view, one, pod);
            if found.is_none() {
                findings.extend(missing_reservation(view, one, pod));
            }
            findings.extend(found);
        }
    }
}

fn judge(view: &View<'_>, one: &Entry<'_>, pod: &PodName) -> Option<AuditFinding> {
    match view.pod(pod) {
        PodState::Unknown => None,
        PodState::Absent => Some(without_pod(view, one, pod, "does not exist")),
        PodState::Ended(_) => Some(without_pod(view, one, pod, "has ended")),
        PodState::Live(record) => compare(view, one, record),
    }
}

/// Returns the finding about an entry whose pod is gone: leaked, or another pod's by now.
fn without_pod(view: &View<'_>, one: &Entry<'_>, pod: &PodName, state: &str) -> AuditFinding {
    let address = one.entry.address;
    if let Some(taken) = taken(view, one, &format!("{pod}, which {state}")) {
        return taken;
    }
    let message = format!("{address} is recorded for pod {pod}, which {state}");
    let finding = with_entry(AuditFinding::new(AuditCode::LeakedEntry, message), one);
    finding
        .with(pod.object(), state)
        .command(fix::remove_entry(one.pool, one.entry))
}

/// Compares an entry with the network-status of its pod.
fn compare(view: &View<'_>, one: &Entry<'_>, pod: &PodRecord) -> Option<AuditFinding> {
    let entry = one.entry;
    let address = entry.address;
    let all = pod.whole_status(view.snapshot.now)?;
    let status: Vec<&AttachmentStatus> = all
        .iter()
        .filter(|status| view.may_be_of(one.space, &pod.name, status))
        .collect();
    let named = |status: &&AttachmentStatus| status.interface.as_deref() == Some(&*entry.interface);
    let unnamed = |status: &&AttachmentStatus| status.interface.is_none();
    let mut carrying = status.iter().filter(|status| status.ips.contains(&address));
    if let Some(first) = carrying.clone().next() {
        let is_named =
            entry.interface.is_empty() || carrying.any(|status| named(status) || unnamed(status));
        return (!is_named).then(|| on_other_interface(one, pod, first));
    }
    let interfaces = || status.iter().copied();
    let interface = interfaces()
        .find(named)
        .or_else(|| interfaces().find(unnamed));
    // Another pod may have the address, which then is not this pod's to give back.
    if let Some(taken) = taken(view, one, &pod.name.to_string()) {
        return Some(taken);
    }
    let moved = interface.and_then(|interface| {
        let target = target(view, one, pod, interface);
        Some((interface, target?))
    });
    if let Some((interface, carried)) = moved {
        let (name, own) = (&entry.interface, &pod.name);
        let message =
            format!("{address} is recorded for {name} of pod {own}, which has {carried} instead");
        let finding = with_entry(AuditFinding::new(AuditCode::Drift, message), one)
            .with(pod.object(), interface_in_words(interface));
        return Some(finding.command(fix::move_entry(one.pool, entry, carried)));
    }
    let value = interface.map_or_else(
        || {
            let name = &entry.interface;
            match all.iter().any(|status| named(&status)) {
                _ if pod.host_network => "spec.hostNetwork is true".to_owned(),
                true => format!("network-status has {name} on a network of other addresses"),
                false => format!("network-status has no interface {name}"),
            }
        },
        interface_in_words,
    );
    let message = format!(
        "{address} is recorded for pod {}, which does not have it",
        pod.name
    );
    Some(
        with_entry(AuditFinding::new(AuditCode::LeakedEntry, message), one)
            .with(pod.object(), value)
            .command(fix::remove_entry(one.pool, entry)),
    )
}

fn on_other_interface(
    one: &Entry<'_>,
    pod: &PodRecord,
    carrying: &AttachmentStatus,
) -> AuditFinding {
    let (address, recorded) = (one.entry.address, &one.entry.interface);
    let interface = carrying.interface.as_deref().unwrap_or_default();
    let message = format!(
        "{address} is recorded for {recorded} of pod {}, but is on {interface}",
        pod.name
    );
    let path = format!("{}/ifname", fix::entry_path(&one.entry.key));
    let operations = [
        fix::test(&path, &**recorded),
        fix::replace(&path, interface),
    ];
    with_entry(AuditFinding::new(AuditCode::Drift, message), one)
        .with(pod.object(), interface_in_words(carrying))
        .command(fix::patch(&one.pool.object(), &operations))
}

/// Returns the finding about an entry whose address is on an interface of a pod that no entry of the
/// address names. A pod that has just started, or that is being deleted, does not get the entry.
fn taken(view: &View<'_>, one: &Entry<'_>, pod: &str) -> Option<AuditFinding> {
    let users = || takers(view, one.address());
    let lasting = users().find(|user| user.is_lasting(view.snapshot.now));
    let user = lasting.or_else(|| users().next())?;
    let (address, holder) = (one.entry.address, &user.pod.name);
    let message = format!("{address} is recorded for pod {pod}, but pod {holder} has it");
    let finding = with_entry(AuditFinding::new(AuditCode::Drift, message), one)
        .with(user.pod.object(), user.in_words());
    Some(match lasting {
        Some(_) => finding.command(fix::hand_over_entry(
            one.pool,
            one.entry,
            holder,
            user.interface(),
        )),
        None => finding
            .lowered()
            .help("wait until the pod that has it has started or ended"),
    })
}

/// Returns the interfaces with an address whose pods no entry of the address names.
fn takers<'a, 's>(
    view: &'a View<'s>,
    address: SpaceAddress<'a>,
) -> impl Iterator<Item = &'a Attachment<'s>> {
    view.carriers(address)
        .filter(move |user| !view.is_recorded(address, &user.pod.name))
}

/// Returns the address of the interface to which a stale entry of its pod moves: of several such
/// entries the first one gets the first address without an entry, and so on.
fn target(
    view: &View<'_>,
    one: &Entry<'_>,
    pod: &PodRecord,
    interface: &AttachmentStatus,
) -> Option<IpAddr> {
    let range = one.pool.range.range();
    let in_space = |address| SpaceAddress {
        space: one.space,
        address,
    };
    let is_free = |address: &&IpAddr| {
        one.pool.offset(**address).is_some() && view.entries(in_space(**address)).is_empty()
    };
    let free: BTreeSet<IpAddr> = interface.ips.iter().filter(is_free).copied().collect();
    let key = |one: &Entry<'_>| (one.entry.offset, one.at);
    let before = view.entries_of(&pod.name).filter(|other| {
        other.space == one.space
            && key(other) < key(one)
            && *other.entry.interface == *one.entry.interface
            && other.pool.range.range().intersection(range).is_some()
            && !interface.ips.contains(&other.entry.address)
            && takers(view, other.address()).next().is_none()
    });
    let before = before.take(free.len()).count();
    free.into_iter().nth(before)
}

fn with_entry(finding: AuditFinding, one: &Entry<'_>) -> AuditFinding {
    finding.with(one.pool.object(), entry_in_words(one.entry))
}

/// Returns the finding about an entry without reservation, if every network of its pool makes one.
fn missing_reservation(view: &View<'_>, one: &Entry<'_>, pod: &PodName) -> Option<AuditFinding> {
    let used = &view.spaces.get(one.at)?.networks;
    let mut networks = used.iter().filter_map(|at| view.whereabouts.get(*at));
    let is_expected = !used.is_empty() && networks.all(|one| one.ipam.overlapping_ranges);
    let PodState::Live(record) = view.pod(pod) else {
        return None;
    };
    let settled = record.is_settled(view.snapshot.now) && record.status.is_some();
    if !is_expected || !settled || !view.snapshot.reads(RecordKind::OverlappingReservation) {
        return None;
    }
    if view.is_reserved(one.address()) {
        return None;
    }
    let address = one.entry.address;
    let message =
        format!("{address} of pod {pod} has no reservation, so another range can assign it, too");
    let object = json!({
        "apiVersion": "whereabouts.cni.cncf.io/v1alpha1",
        "kind": "OverlappingRangeIPReservation",
        "metadata": {
            "name": reservation_name(one.space, address),
            "namespace": one.pool.namespace,
        },
        "spec": {
            "containerid": one.entry.container_id,
            "ifname": one.entry.interface,
            "podref": pod.to_string(),
        },
    });
    let finding = AuditFinding::new(AuditCode::MissingReservation, message);
    Some(with_entry(finding, one).command(fix::create(&object)))
}
