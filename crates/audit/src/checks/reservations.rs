//! `orphaned-reservation`: reservations without pod, or without an entry for their pod.

use crate::{
    AuditCode, AuditFinding, OverlappingReservation, PodState, RecordKind, fix,
    view::{Spot, View},
};

pub(crate) fn check(view: &View<'_>, findings: &mut Vec<AuditFinding>) {
    for (one, spots) in &view.reservations {
        // A finalizer keeps one that is being deleted, on purpose.
        if !one.terminating {
            findings.extend(judge(view, one, spots));
        }
    }
}

fn judge(
    view: &View<'_>,
    one: &OverlappingReservation,
    spots: &[Spot<'_>],
) -> Option<AuditFinding> {
    let object = one.object();
    if spots.is_empty() {
        let message = format!("{object} has a value that cannot be read: its name has no address");
        let finding = AuditFinding::new(AuditCode::UnreadableRecord, message);
        return Some(finding.with(object, "metadata.name"));
    }
    let entries: Vec<_> = spots.iter().flat_map(|spot| view.entries(*spot)).collect();
    let Some(pod) = &one.pod else {
        let is_without = entries.is_empty() && covers(view, spots);
        return is_without.then(|| orphan(one, "has no pod and no entry in an IPPool".to_owned()));
    };
    let state = match view.pod(pod) {
        PodState::Unknown => return None,
        PodState::Absent => "does not exist",
        PodState::Ended(_) => "has ended",
        PodState::Live(record) => {
            let carries = |spot: &Spot<'_>| {
                let status = record.status.iter().flatten();
                status.clone().any(|status| status.ips.contains(&spot.1))
            };
            let has_entry = entries
                .iter()
                .any(|entry| entry.entry.pod.as_ref() == Some(pod));
            let is_settled = record.is_settled(view.snapshot.now) && record.status.is_some();
            // An address on the interface of its pod is the matter of the missing entry.
            if has_entry || !is_settled || spots.iter().any(carries) {
                return None;
            }
            let finding = match entries.first() {
                Some(other) => {
                    let message = format!("is of pod {pod}, but the entry is not");
                    let value = other.entry.in_words();
                    orphan(one, message).with(other.pool.object(), value)
                }
                None if covers(view, spots) => orphan(
                    one,
                    format!("is of pod {pod}, which has no entry in an IPPool"),
                ),
                None => return None,
            };
            return Some(finding.with(record.object(), "network-status does not have the address"));
        }
    };
    let finding = orphan(one, format!("is of pod {pod}, which {state}"));
    // A pod that has the address by now needs the reservation under its own name.
    let user = spots.iter().find_map(|spot| view.carriers(*spot).next());
    let Some(user) = user else {
        return Some(finding.with(pod.object(), state));
    };
    let operations = [
        fix::test("/spec/podref", pod.to_string()),
        fix::replace("/spec/podref", user.pod.name.to_string()),
    ];
    let mut finding = finding.with(user.pod.object(), user.in_words());
    finding.commands = fix::patch(&object, &operations).into_iter().collect();
    Some(finding)
}

/// Returns true if the pools were read that would record the address.
fn covers(view: &View<'_>, spots: &[Spot<'_>]) -> bool {
    if view.snapshot.is_complete(RecordKind::IpPool) {
        return true;
    }
    let mut pools = view.snapshot.ip_pools.iter().zip(&view.spaces);
    pools.any(|(pool, found)| {
        let around = |spot: &Spot<'_>| spot.0 == found.space && pool.range.range().contains(spot.1);
        spots.iter().any(around)
    })
}

fn orphan(one: &OverlappingReservation, what: String) -> AuditFinding {
    let message = format!("the reservation {}/{} {what}", one.namespace, one.name);
    let pod = one
        .pod
        .as_ref()
        .map(ToString::to_string)
        .unwrap_or_default();
    AuditFinding::new(AuditCode::OrphanedReservation, message)
        .with(one.object(), format!("spec.podref is {pod:?}"))
        .command(fix::delete(&one.object()))
}
