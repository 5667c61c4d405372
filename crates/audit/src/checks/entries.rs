//! `leaked-entry`, `drift` and `missing-reservation`: the entries of `IPPool`s, compared with their pods.

use nadmit_cni::status::AttachmentStatus;

use crate::{
    AuditCode, AuditFinding, PodName, PodRecord, PodState, RecordKind, fix, spaces,
    view::{Attachment, Entry, Spot, View, interface_in_words},
};
use serde_json::json;

pub(crate) fn check(view: &View<'_>, findings: &mut Vec<AuditFinding>) {
    for (spot, entries) in &view.entries {
        for one in entries {
            // An entry without pod only keeps the address from others.
            let Some(pod) = &one.entry.pod else { continue };
            let found = judge(view, *spot, one, pod);
            if found.is_none() {
                findings.extend(missing_reservation(view, *spot, one, pod));
            }
            findings.extend(found);
        }
    }
}

fn judge(view: &View<'_>, spot: Spot<'_>, one: &Entry<'_>, pod: &PodName) -> Option<AuditFinding> {
    match view.pod(pod) {
        PodState::Unknown => None,
        PodState::Absent => Some(without_pod(view, spot, one, pod, "does not exist")),
        PodState::Ended(_) => Some(without_pod(view, spot, one, pod, "has ended")),
        PodState::Live(record) => compare(view, spot, one, record),
    }
}

/// Returns the finding about an entry whose pod is gone: leaked, or another pod's by now.
fn without_pod(
    view: &View<'_>,
    spot: Spot<'_>,
    one: &Entry<'_>,
    pod: &PodName,
    state: &str,
) -> AuditFinding {
    let address = spot.1;
    let user = view
        .carriers(spot)
        .find(|user| !is_recorded(view, spot, &user.pod.name));
    if let Some(user) = user {
        let message = format!(
            "{address} is recorded for pod {pod}, which {state}, but pod {} has it",
            user.pod.name
        );
        return with_entry(AuditFinding::new(AuditCode::Drift, message), one)
            .with(user.pod.object(), user.in_words())
            .command(fix::hand_over_entry(
                one.pool,
                one.entry,
                &user.pod.name,
                user.interface(),
            ));
    }
    let message = format!("{address} is recorded for pod {pod}, which {state}");
    let finding = with_entry(AuditFinding::new(AuditCode::LeakedEntry, message), one);
    finding
        .with(pod.object(), state)
        .command(fix::remove_entry(one.pool, one.entry))
}

/// Compares an entry with the network-status of its pod.
fn compare(
    view: &View<'_>,
    spot: Spot<'_>,
    one: &Entry<'_>,
    pod: &PodRecord,
) -> Option<AuditFinding> {
    let (entry, address) = (one.entry, spot.1);
    let status = pod.status.as_ref()?;
    if !pod.is_settled(view.snapshot.now) {
        return None;
    }
    let named = |status: &&AttachmentStatus| status.interface.as_deref() == Some(&*entry.interface);
    let carrying = status.iter().find(|status| status.ips.contains(&address));
    if let Some(carrying) = carrying {
        let is_named = entry.interface.is_empty()
            || status
                .iter()
                .filter(named)
                .any(|status| status.ips.contains(&address));
        return (!is_named).then(|| on_other_interface(one, pod, carrying));
    }
    let interface = status.iter().find(named);
    // Another pod may have the address, which then is not this pod's to give back.
    let other = view
        .carriers(spot)
        .find(|user| !is_recorded(view, spot, &user.pod.name));
    if let Some(other) = other {
        return Some(taken_by_other(one, pod, other));
    }
    let moved = interface.and_then(|interface| {
        let unrecorded = |address: &&std::net::IpAddr| {
            one.pool.range.range().contains(**address)
                && view.entries((spot.0, **address)).is_empty()
        };
        Some((interface, *interface.ips.iter().find(unrecorded)?))
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
        || format!("network-status has no interface {}", entry.interface),
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
    let path = format!("{}/ifname", fix::entry_path(one.entry.offset));
    let operations = [
        fix::test(&path, &**recorded),
        fix::replace(&path, interface),
    ];
    with_entry(AuditFinding::new(AuditCode::Drift, message), one)
        .with(pod.object(), interface_in_words(carrying))
        .command(fix::patch(&one.pool.object(), &operations))
}

fn taken_by_other(one: &Entry<'_>, pod: &PodRecord, other: &Attachment<'_>) -> AuditFinding {
    let (address, holder) = (one.entry.address, &other.pod.name);
    let message = format!(
        "{address} is recorded for pod {}, but pod {holder} has it",
        pod.name
    );
    with_entry(AuditFinding::new(AuditCode::Drift, message), one)
        .with(other.pod.object(), other.in_words())
        .command(fix::hand_over_entry(
            one.pool,
            one.entry,
            holder,
            other.interface(),
        ))
}

/// Returns true if an entry names the pod for this address.
fn is_recorded(view: &View<'_>, spot: Spot<'_>, pod: &PodName) -> bool {
    let mut entries = view.entries(spot).iter();
    entries.any(|one| one.entry.pod.as_ref() == Some(pod))
}

fn with_entry(finding: AuditFinding, one: &Entry<'_>) -> AuditFinding {
    finding.with(one.pool.object(), one.entry.in_words())
}

/// Returns the finding about an entry without reservation, if every network of its pool makes one.
fn missing_reservation(
    view: &View<'_>,
    spot: Spot<'_>,
    one: &Entry<'_>,
    pod: &PodName,
) -> Option<AuditFinding> {
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
    if view.is_reserved(spot) {
        return None;
    }
    let address = spot.1;
    let message =
        format!("{address} of pod {pod} has no reservation, so another range can assign it, too");
    let object = json!({
        "apiVersion": "whereabouts.cni.cncf.io/v1alpha1",
        "kind": "OverlappingRangeIPReservation",
        "metadata": {
            "name": spaces::reservation_name(spot.0, address),
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
