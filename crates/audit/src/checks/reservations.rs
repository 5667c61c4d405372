//! `orphaned-reservation`: reservations without pod, or without an entry for their pod.

use nadmit_whereabouts::SpaceAddress;

use crate::{
    AuditCode, AuditFinding, HasObject as _, OverlappingReservation, PodName, PodState, RecordKind,
    fix,
    view::{View, entry_in_words},
};

pub(crate) fn check(view: &View<'_>, findings: &mut Vec<AuditFinding>) {
    for (one, addresses) in &view.reservations {
        // A finalizer keeps one that is being deleted, on purpose.
        if !one.terminating {
            findings.extend(judge(view, one, addresses));
        }
    }
}

fn judge(
    view: &View<'_>,
    one: &OverlappingReservation,
    addresses: &[SpaceAddress<'_>],
) -> Option<AuditFinding> {
    let object = one.object();
    if addresses.is_empty() {
        let message = format!("{object} has a value that cannot be read: its name has no address");
        let finding = AuditFinding::new(AuditCode::UnreadableRecord, message);
        return Some(finding.with(object, "metadata.name"));
    }
    let entries: Vec<_> = addresses
        .iter()
        .flat_map(|address| view.entries(*address))
        .collect();
    let Some(pod) = &one.pod else {
        let is_without = entries.is_empty() && covers(view, addresses);
        // It may keep the address from others on purpose.
        let what = "has no pod and no entry in an IPPool";
        let command = || fix::delete(&one.object());
        return is_without.then(|| orphan(one, what.to_owned()).lowered().command(command()));
    };
    let state = match view.pod(pod) {
        PodState::Unknown => return None,
        PodState::Absent => "does not exist",
        PodState::Ended(_) => "has ended",
        PodState::Live(record) => {
            let carries = |one: &SpaceAddress<'_>| {
                let mut status = record.status.iter().flatten();
                status.any(|status| {
                    status.ips.contains(&one.address) && view.may_be_of(one.space, pod, status)
                })
            };
            let has_entry = entries
                .iter()
                .any(|entry| entry.entry.pod.as_ref() == Some(pod));
            let is_shown = record.whole_status(view.snapshot.now).is_some();
            // An address on the interface of its pod is the matter of the missing entry.
            if has_entry || !is_shown || addresses.iter().any(carries) {
                return None;
            }
            let finding = match entries.first() {
                Some(other) => {
                    let message = format!("is of pod {pod}, but the entry is not");
                    let value = entry_in_words(other.entry);
                    orphan(one, message).with(other.pool.object(), value)
                }
                None if covers(view, addresses) => orphan(
                    one,
                    format!("is of pod {pod}, which has no entry in an IPPool"),
                ),
                None => return None,
            };
            let finding = finding.with(record.object(), "network-status does not have the address");
            return Some(handed_over(view, one, pod, addresses, finding));
        }
    };
    let finding = orphan(one, format!("is of pod {pod}, which {state}"));
    let finding = finding.with(pod.object(), state);
    Some(handed_over(view, one, pod, addresses, finding))
}

/// Hands the reservation over, if another pod has the address or an entry of it: that pod needs the
/// reservation under its own name.
fn handed_over(
    view: &View<'_>,
    one: &OverlappingReservation,
    pod: &PodName,
    addresses: &[SpaceAddress<'_>],
    finding: AuditFinding,
) -> AuditFinding {
    let (object, now) = (one.object(), view.snapshot.now);
    let users = || addresses.iter().flat_map(|address| view.carriers(*address));
    let recorded = addresses.iter().find_map(|address| {
        let mut users = view.carriers(*address);
        users.find(|user| view.is_recorded(*address, &user.pod.name))
    });
    let user = recorded.or_else(|| users().find(|user| user.is_lasting(now)));
    let (finding, heir, interface) = match user {
        Some(user) => {
            let finding = finding.with(user.pod.object(), user.in_words());
            (finding, &user.pod.name, user.interface())
        }
        None => {
            let entries = addresses.iter().flat_map(|address| view.entries(*address));
            let mut entries = entries.filter_map(|entry| Some((entry, entry.entry.pod.as_ref()?)));
            let of_other = entries.find(|(_, other)| {
                let state = view.pod(other);
                *other != pod && matches!(state, PodState::Live(_) | PodState::Unknown)
            });
            match of_other {
                Some((entry, heir)) => {
                    let value = entry_in_words(entry.entry);
                    let finding = finding.with(entry.pool.object(), value);
                    (finding, heir, &*entry.entry.interface)
                }
                None if users().next().is_some() => {
                    let help = "wait until the pod that has the address has started or ended";
                    return finding.lowered().help(help);
                }
                None => return finding.command(fix::delete(&object)),
            }
        }
    };
    let mut operations = vec![
        fix::test("/spec/podref", pod.to_string()),
        fix::replace("/spec/podref", heir.to_string()),
    ];
    if !interface.is_empty() && *interface != *one.interface {
        operations.push(fix::add("/spec/ifname", interface));
    }
    finding.command(fix::patch(&object, &operations))
}

/// Returns true if the pools were read that would record the address.
fn covers(view: &View<'_>, addresses: &[SpaceAddress<'_>]) -> bool {
    if view.snapshot.is_complete(RecordKind::IpPool) {
        return true;
    }
    let mut pools = view.snapshot.ip_pools.iter().zip(&view.spaces);
    pools.any(|(pool, found)| {
        let around = |one: &SpaceAddress<'_>| {
            one.space == found.space && pool.range.range().contains(one.address)
        };
        addresses.iter().any(around)
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
}
