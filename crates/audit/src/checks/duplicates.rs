//! `duplicate-address`: two live pods with one address on one L2 segment.
//!
//! network-status says what is on an interface. The launcher pods of one virtual machine may have one
//! address while it migrates. Interfaces on a bridge of their node count by node, unless one allocator
//! gives the addresses for all nodes.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use nadmit_allocation::Holder;
use nadmit_whereabouts::SpaceAddress;

use crate::{
    AuditCode, AuditFinding,
    finding::some_of,
    fix,
    segment::{self, Segment},
    view::{Attachment, View},
};

/// The interfaces that have an address on one segment.
type Users<'a, 's> = Vec<&'a Attachment<'s>>;

pub(crate) fn check(view: &View<'_>, findings: &mut Vec<AuditFinding>) {
    let mut users: BTreeMap<(IpAddr, Segment<'_>), Users<'_, '_>> = BTreeMap::new();
    for one in &view.attachments {
        let segment = Segment::of(one.network);
        for address in &one.status.ips {
            let known = users.entry((*address, segment.clone())).or_default();
            known.push(one);
        }
    }
    for ((address, _), users) in users {
        for users in scopes(users) {
            let holders: BTreeSet<&Holder> = users.iter().map(|one| &one.pod.holder).collect();
            if holders.len() > 1 {
                findings.push(finding(view, address, &users));
            }
        }
    }
}

/// Divides the interfaces on a segment into the groups in which an address has to be unique: those that
/// see each other on any node, those whose addresses one allocator gives for all nodes, and those of a
/// node. A group is left out if another one has all of it.
fn scopes<'a, 's>(users: Users<'a, 's>) -> Vec<Users<'a, 's>> {
    let is_linked = |one: &&Attachment<'_>| !segment::is_in_node(one.network);
    let is_wide = |one: &&Attachment<'_>| segment::is_cluster_wide(one.network);
    if users.len() < 2 || users.iter().all(is_linked) || users.iter().all(is_wide) {
        return vec![users];
    }
    let of = |counts: &dyn Fn(&&Attachment<'_>) -> bool| -> Users<'a, 's> {
        users.iter().copied().filter(|one| counts(one)).collect()
    };
    let (linked, wide) = (of(&is_linked), of(&is_wide));
    let mut nodes: BTreeMap<Option<&str>, Users<'_, '_>> = BTreeMap::new();
    for one in &users {
        let known = nodes.entry(one.pod.node.as_deref()).or_default();
        known.push(*one);
    }
    nodes.retain(|_, own| !own.iter().all(is_linked) && !own.iter().all(is_wide));
    let is_in_a_node = |group: &Users<'_, '_>| {
        let node = group.first().map(|one| one.pod.node.as_deref());
        let is_one = group
            .iter()
            .all(|one| Some(one.pod.node.as_deref()) == node);
        is_one && node.is_some_and(|node| nodes.contains_key(&node))
    };
    let mut found = Vec::new();
    let is_equal = linked.len() == wide.len();
    if !linked.iter().all(is_wide) && !is_in_a_node(&linked) {
        found.push(linked);
    }
    if (is_equal || !wide.iter().all(is_linked)) && !is_in_a_node(&wide) {
        found.push(wide);
    }
    found.extend(nodes.into_values());
    found
}

fn finding(view: &View<'_>, address: IpAddr, users: &[&Attachment<'_>]) -> AuditFinding {
    let mut users = users.to_vec();
    users.sort_by(|a, b| (&a.pod.name, a.interface()).cmp(&(&b.pod.name, b.interface())));
    let pods: BTreeSet<_> = users.iter().map(|one| &one.pod.name).collect();
    let message = format!(
        "{address} is on the interfaces of {} pods: {}",
        pods.len(),
        some_of(pods.iter().map(ToString::to_string))
    );
    let mut finding = AuditFinding::new(AuditCode::DuplicateAddress, message);
    for one in &users {
        finding = finding.with(one.pod.object(), one.in_words());
    }
    // A pod that is being deleted may keep its address until its node has ended it.
    let staying: Users<'_, '_> = users
        .into_iter()
        .filter(|one| !one.pod.terminating)
        .collect();
    let holders: BTreeSet<&Holder> = staying.iter().map(|one| &one.pod.holder).collect();
    if holders.len() < 2 {
        return finding
            .lowered()
            .help("wait until the pods that are being deleted have ended");
    }
    if is_link_local(address) {
        return finding
            .lowered()
            .help("no action needed if each pod uses the address for itself");
    }
    // The launcher pods of a virtual machine keep the address together, or lose it together.
    let owner = owner(view, address, &staying);
    let others = staying
        .iter()
        .filter(|one| owner.is_none_or(|owner| one.pod.holder != owner.pod.holder));
    let mut commands = BTreeMap::new();
    for one in others {
        commands.entry(&one.pod.holder).or_insert(one.pod);
    }
    let mut restarted: Vec<_> = commands.into_values().collect();
    restarted.sort_by_key(|pod| &pod.name);
    for pod in restarted {
        finding = finding.command(fix::restart(pod));
    }
    finding
        .help("the pods that the commands delete get other addresses when they are created again")
}

/// Returns true for addresses that nodes use for their own pods: each may have the same.
pub(super) fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

/// Returns the interface that may keep the address: the one that a record names, or else that of the
/// oldest pod.
fn owner<'a, 's>(
    view: &View<'_>,
    address: IpAddr,
    users: &[&'a Attachment<'s>],
) -> Option<&'a Attachment<'s>> {
    let is_recorded = |one: &&&Attachment<'_>| {
        let space = view.whereabouts_of(one).map(|network| network.space);
        let entries = space.map_or(&[][..], |space| {
            view.entries(SpaceAddress { space, address })
        });
        let allocations = &view.snapshot.allocations;
        entries
            .iter()
            .any(|entry| entry.entry.pod.as_ref() == Some(&one.pod.name))
            || allocations.iter().any(|record| {
                record.allocation.address.ip() == Some(address)
                    && record.allocation.holder == one.pod.holder
            })
    };
    let recorded = users.iter().find(is_recorded);
    let oldest = || users.iter().min_by_key(|one| one.pod.created);
    recorded.or_else(oldest).copied()
}
