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

use crate::{
    AuditCode, AuditFinding, fix,
    segment::{self, Segment},
    view::{Attachment, View},
};

/// The scope in which an address has to be unique: the segment, and a node if it is in one.
type Scope<'s> = (IpAddr, Segment<'s>, Option<&'s str>);

pub(crate) fn check(view: &View<'_>, findings: &mut Vec<AuditFinding>) {
    let mut users: BTreeMap<Scope<'_>, Vec<&Attachment<'_>>> = BTreeMap::new();
    for one in &view.attachments {
        let in_node = segment::is_in_node(one.network) && !segment::is_cluster_wide(one.network);
        let node = in_node.then(|| one.pod.node.as_deref().unwrap_or_default());
        let segment = Segment::of(one.network);
        for address in &one.status.ips {
            let key = (*address, segment.clone(), node);
            users.entry(key).or_default().push(one);
        }
    }
    for ((address, ..), users) in users {
        let holders: BTreeSet<&Holder> = users.iter().map(|one| &one.pod.holder).collect();
        if holders.len() > 1 {
            findings.push(finding(view, address, &users));
        }
    }
}

fn finding(view: &View<'_>, address: IpAddr, users: &[&Attachment<'_>]) -> AuditFinding {
    let mut users = users.to_vec();
    users.sort_by(|a, b| (&a.pod.name, a.interface()).cmp(&(&b.pod.name, b.interface())));
    let pods: BTreeSet<_> = users.iter().map(|one| &one.pod.name).collect();
    let names: Vec<String> = pods.iter().map(ToString::to_string).collect();
    let message = format!(
        "{address} is on the interfaces of {} pods: {}",
        names.len(),
        names.join(", ")
    );
    let mut finding = AuditFinding::new(AuditCode::DuplicateAddress, message);
    for one in &users {
        finding = finding.with(one.pod.object(), one.in_words());
    }
    // A pod that is being deleted may keep its address until its node has ended it.
    let staying = users.iter().filter(|one| !one.pod.terminating);
    let staying: BTreeSet<&Holder> = staying.map(|one| &one.pod.holder).collect();
    if staying.len() < 2 {
        return finding
            .lowered()
            .help("wait until the pods that are being deleted have ended");
    }
    let owner = owner(view, address, &users);
    for name in pods {
        if Some(name) != owner.map(|one| &one.pod.name) {
            finding = finding.command(fix::delete(&name.object()));
        }
    }
    finding
        .help("the pods that the commands delete get other addresses when they are created again")
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
        let entries = space.map_or(&[][..], |space| view.entries((space, address)));
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
