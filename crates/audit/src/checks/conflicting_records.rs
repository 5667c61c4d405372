//! `conflicting-records`: records that give one address to two live pods, before or without a
//! network-status that shows it.
//!
//! Two pods whose network-status has the address are a duplicate, which another check reports. The level
//! is deny if two firm records meet on one segment, or in one address space whose links are not known.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use nadmit_allocation::Holder;

use super::{
    duplicates::is_link_local,
    record_use::{Basis, Scope, Use},
    uses::collect,
};
use crate::{AuditCode, AuditFinding, HasObject as _, PodName, finding::some_of, fix, view::View};

pub(crate) fn check(view: &View<'_>, findings: &mut Vec<AuditFinding>) {
    for (address, uses) in collect(view) {
        if holders(uses.iter()).len() < 2 {
            continue;
        }
        for group in groups(&uses) {
            let group: Vec<&Use<'_>> = group.iter().filter_map(|at| uses.get(*at)).collect();
            findings.extend(finding(address, &group));
        }
    }
}

/// Returns the indices of the uses of each scope that has several holders; a scope is left out if
/// another one has all of its uses.
fn groups(uses: &[Use<'_>]) -> Vec<BTreeSet<usize>> {
    let mut scopes: BTreeMap<Scope<'_>, BTreeSet<usize>> = BTreeMap::new();
    for (at, one) in uses.iter().enumerate() {
        for scope in one.scopes() {
            scopes.entry(scope).or_default().insert(at);
        }
    }
    let mut found: Vec<BTreeSet<usize>> = scopes.into_values().collect();
    found.retain(|group| holders(group.iter().filter_map(|at| uses.get(*at))).len() > 1);
    found.sort_by_key(|group| std::cmp::Reverse(group.len()));
    let mut kept: Vec<BTreeSet<usize>> = Vec::new();
    for group in found {
        if !kept.iter().any(|other| group.is_subset(other)) {
            kept.push(group);
        }
    }
    kept
}

/// Returns the holders of uses.
fn holders<'a, 's: 'a>(uses: impl Iterator<Item = &'a Use<'s>>) -> BTreeSet<&'s Holder> {
    uses.map(Use::holder).collect()
}

/// The relation of the uses of one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Relation {
    /// Two holders get the address on one segment, or in one address space.
    Certain,
    /// A reservation of another pod keeps a pod from starting.
    Blocked,
    /// The networks are on different links.
    Apart,
    /// One of the records may be stale, or the plugin may ignore it.
    Possible,
}

fn finding(address: IpAddr, group: &[&Use<'_>]) -> Option<AuditFinding> {
    let is_carried = |one: &&&Use<'_>| matches!(one.basis, Basis::Carried(_));
    let carrying = holders(group.iter().filter(is_carried).copied());
    let relation = relation(group);
    // Of interfaces alone, the check of duplicates says whether they see each other.
    if carrying == holders(group.iter().copied()) && relation != Relation::Apart {
        return None;
    }
    let has_record = group
        .iter()
        .any(|one| !matches!(one.basis, Basis::Carried(_)));
    if !has_record {
        return None;
    }
    let pods: BTreeSet<&PodName> = group.iter().map(|one| &one.pod.name).collect();
    let message = format!(
        "records give {address} to {} live pods: {}",
        pods.len(),
        some_of(pods.iter().map(ToString::to_string))
    );
    let mut finding = AuditFinding::new(AuditCode::ConflictingRecords, message);
    let mut evidence: Vec<_> = group.iter().map(|one| one.evidence(address)).collect();
    evidence.sort();
    evidence.dedup();
    for (object, value) in evidence {
        finding = finding.with(object, value);
    }
    Some(match relation {
        _ if is_link_local(address) => finding
            .lowered()
            .help("no action needed if each pod uses the address for itself"),
        Relation::Certain | Relation::Blocked => mended(finding, address, group),
        Relation::Apart => finding
            .lowered()
            .help("the pods are on different links: use one network_name for each link"),
        Relation::Possible => finding.lowered().help(
            "look at the pods: one of these records may be stale, or its plugin may ignore it",
        ),
    })
}

fn relation(group: &[&Use<'_>]) -> Relation {
    let firm = || group.iter().copied().filter(|one| one.is_firm);
    let mut scopes: BTreeMap<Scope<'_>, (BTreeSet<&Holder>, bool)> = BTreeMap::new();
    for one in firm() {
        for scope in one.scopes() {
            let (holders, is_linked) = scopes.entry(scope).or_default();
            holders.insert(one.holder());
            *is_linked |= one.network.is_none();
        }
    }
    let shared = |(scope, (holders, has_unknown)): (&Scope<'_>, &(BTreeSet<&Holder>, bool))| {
        holders.len() > 1 && (*has_unknown || !matches!(scope, Scope::Space(_)))
    };
    if scopes.iter().any(shared) {
        return Relation::Certain;
    }
    let is_reserved = group
        .iter()
        .any(|one| matches!(one.basis, Basis::Reservation(_)));
    // The plugin of a pod that has not started fails on the reservation of another pod.
    let waits = |one: &Use<'_>| {
        matches!(one.basis, Basis::Entry { .. })
            && one.network.is_some()
            && one.pod.status.is_none()
    };
    if is_reserved && firm().any(waits) {
        return Relation::Blocked;
    }
    match holders(firm()).len() > 1 {
        true => Relation::Apart,
        false => Relation::Possible,
    }
}

/// Adds the commands that leave the address to one holder, and what people have to do.
fn mended(finding: AuditFinding, address: IpAddr, group: &[&Use<'_>]) -> AuditFinding {
    let Some(owner) = owner(group) else {
        return finding;
    };
    let mut finding = finding;
    let mut others: BTreeMap<&PodName, Vec<&Use<'_>>> = BTreeMap::new();
    for one in group.iter().filter(|one| one.holder() != owner.holder()) {
        others.entry(&one.pod.name).or_default().push(one);
    }
    let mut restarted: BTreeSet<&Holder> = BTreeSet::new();
    let mut helps: BTreeSet<String> = BTreeSet::new();
    for (name, uses) in others {
        let mut comes_back = false;
        let mut has_started = uses
            .iter()
            .any(|one| one.pod.status.is_some() || !one.pod.pending);
        for one in &uses {
            match one.basis {
                Basis::Entry { entry, .. } if !entry.entry.is_kept() => {
                    has_started |= !entry.entry.container_id.is_empty();
                    finding = finding.command(fix::remove_entry(entry.pool, entry.entry));
                }
                Basis::Reservation(reservation) => {
                    let to = &owner.pod.name;
                    let operations = [
                        fix::test("/spec/podref", name.to_string()),
                        fix::replace("/spec/podref", to.to_string()),
                    ];
                    finding = finding.command(fix::patch(&reservation.object(), &operations));
                }
                Basis::Requested(_) => {
                    comes_back = true;
                    helps.insert(format!(
                        "remove {address} from ips in the workload of pod {name}"
                    ));
                }
                Basis::Configured(network) => {
                    comes_back = true;
                    let (namespace, name) = (&network.namespace, &network.name);
                    let is_same =
                        matches!(owner.basis, Basis::Configured(other) if other == network);
                    helps.insert(match is_same {
                        true => format!(
                            "let only one pod use network {namespace}/{name}, which configures {address}"
                        ),
                        false => format!(
                            "remove {address} from the configuration of network {namespace}/{name}"
                        ),
                    });
                }
                Basis::Allocation(_) | Basis::Entry { .. } => {
                    comes_back = true;
                    helps.insert(format!(
                        "delete pod {name} and release {address} with nadmit release: it gets the \
                         address again as long as nadmit records it"
                    ));
                }
                Basis::Carried(_) => {}
            }
        }
        let is_only_reserved = uses
            .iter()
            .all(|one| matches!(one.basis, Basis::Reservation(_)));
        let pod = uses.first().map(|one| one.pod);
        let pod = pod.filter(|_| has_started && !comes_back && !is_only_reserved);
        if let Some(pod) = pod.filter(|pod| restarted.insert(&pod.holder)) {
            finding = finding.command(fix::restart(pod));
        }
    }
    let helps: Vec<String> = helps.into_iter().take(3).collect();
    let name = &owner.pod.name;
    let kept = format!("pod {name} keeps the address");
    finding.help(match helps.is_empty() {
        true => kept,
        false => format!("{kept}; {}", helps.join("; ")),
    })
}

/// Returns the use of the holder that may keep the address: the strongest one, or else that of the oldest
/// pod.
fn owner<'a, 's>(group: &[&'a Use<'s>]) -> Option<&'a Use<'s>> {
    let group = group.iter().copied();
    group.min_by(|a, b| {
        let key = |one: &Use<'_>| (one.rank(), one.pod.created.is_none(), one.pod.created);
        let by_name = || a.pod.name.cmp(&b.pod.name);
        key(a).cmp(&key(b)).then_with(by_name)
    })
}
