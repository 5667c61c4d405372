//! The uses of addresses that records show: each is a live pod that has an address, or is going to.
//!
//! A record that its pod's network-status contradicts is left out: it is stale, and another check
//! reports it. Pods that are being deleted are left out, too.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
};

use nadmit_cni::{
    ConfigState, Network, address::canonical, cni::Capability, ipam::Ipam, status::AttachmentStatus,
};
use nadmit_whereabouts::SpaceAddress;

use super::record_use::{Basis, Use};
use crate::{
    AllocationRecord, OverlappingReservation, PodName, PodRecord, PodState, RecordKind,
    RequestedNetwork,
    view::{Attachment, Entry, View},
};

/// Returns the uses by address.
pub(super) fn collect<'s>(view: &View<'s>) -> BTreeMap<IpAddr, Vec<Use<'s>>> {
    let mut found: BTreeMap<IpAddr, Vec<Use<'s>>> = BTreeMap::new();
    let mut add = |address: IpAddr, one: Use<'s>| found.entry(address).or_default().push(one);
    for one in view.attachments.iter().filter(|one| !one.pod.terminating) {
        for address in &one.status.ips {
            add(*address, carried(view, one));
        }
    }
    let reserved = reserved(view);
    for (at, entries) in &view.entries {
        let recorded: Vec<Use<'s>> = entries
            .iter()
            .filter_map(|one| of_entry(view, one, &reserved))
            .collect();
        for one in recorded {
            add(at.address, one);
        }
    }
    for record in &view.snapshot.allocations {
        if let (Some(address), Some(one)) =
            (record.allocation.address.ip(), of_allocation(view, record))
        {
            add(address, one);
        }
    }
    for pod in view.snapshot.pods.iter().filter(|pod| is_present(pod)) {
        for request in &pod.requested {
            of_request(view, pod, request, &mut add);
        }
    }
    for (one, meanings) in &view.reservations {
        if let Some((address, one)) = of_reservation(view, one, meanings) {
            add(address, one);
        }
    }
    found
}

fn is_present(pod: &PodRecord) -> bool {
    !pod.ended && !pod.terminating
}

/// Returns a live pod that is not being deleted.
fn present<'s>(view: &View<'s>, name: &PodName) -> Option<&'s PodRecord> {
    match view.pod(name) {
        PodState::Live(pod) if is_present(pod) => Some(pod),
        _ => None,
    }
}

/// Returns true if a network-status shows that the pod does not have an address where `carries` looks.
fn is_contradicted(
    view: &View<'_>,
    pod: &PodRecord,
    carries: impl Fn(&AttachmentStatus) -> bool,
) -> bool {
    let status = pod.whole_status(view.snapshot.now);
    status.is_some_and(|status| !status.iter().any(carries))
}

/// Returns the address space of a network's addresses; `None` if they are unique in a pool alone, or no
/// allocator has them.
fn space_of<'s>(view: &View<'s>, network: &'s Network) -> Option<&'s str> {
    if let Some(pool) = network.address_pool.as_deref() {
        let mut pools = view.snapshot.address_pools.iter();
        let record = pools.find(|record| &*record.pool.name == pool)?;
        return Some(record.pool.space.network_name());
    }
    match network.config.loaded()?.ipam()? {
        Ipam::Whereabouts(ipam) if ipam.overlapping_ranges => {
            Some(ipam.network_name.as_deref().unwrap_or_default())
        }
        _ => None,
    }
}

fn carried<'s>(view: &View<'s>, one: &Attachment<'s>) -> Use<'s> {
    Use {
        pod: one.pod,
        basis: Basis::Carried(one.status),
        network: Some(one.network),
        space: space_of(view, one.network),
        is_firm: true,
    }
}

/// Returns the pods that reservations name, by what the reservations can mean.
fn reserved<'s>(view: &View<'s>) -> HashMap<SpaceAddress<'s>, Vec<&'s PodName>> {
    let mut found: HashMap<SpaceAddress<'s>, Vec<&'s PodName>> = HashMap::new();
    for (one, meanings) in &view.reservations {
        for meaning in meanings {
            let known = found.entry(*meaning).or_default();
            known.extend(one.pod.as_ref());
        }
    }
    found
}

fn of_entry<'s>(
    view: &View<'s>,
    one: &Entry<'s>,
    reserved: &HashMap<SpaceAddress<'s>, Vec<&'s PodName>>,
) -> Option<Use<'s>> {
    let name = one.entry.pod.as_ref()?;
    let pod = present(view, name)?;
    let address = one.entry.address;
    if is_contradicted(view, pod, |status| {
        status.ips.contains(&address) && view.may_be_of(one.space, &pod.name, status)
    }) {
        return None;
    }
    let of_space = |request: &&RequestedNetwork| {
        let network = view.network(&request.namespace, &request.name);
        let ipam = network.and_then(|network| network.config.loaded()?.ipam());
        match ipam {
            Some(Ipam::Whereabouts(ipam)) => {
                ipam.has_file || ipam.network_name.as_deref().unwrap_or_default() == one.space
            }
            // A configuration that is not known may be the one.
            None => match network {
                Some(network) => matches!(network.config, ConfigState::OnNode),
                None => !view.snapshot.is_complete(RecordKind::Network),
            },
            Some(_) => false,
        }
    };
    let named = |request: &&RequestedNetwork| {
        one.entry.interface.is_empty() || request.interface == one.entry.interface
    };
    let mut requested = pod.requested.iter().filter(named);
    let request = requested.find(of_space);
    let network = request.and_then(|one| view.network(&one.namespace, &one.name));
    let network = network.filter(|network| network.config.loaded().is_some());
    let pods = reserved.get(&one.address());
    Some(Use {
        pod,
        basis: Basis::Entry {
            entry: *one,
            reserved: pods.is_some_and(|pods| pods.contains(&name)),
        },
        network,
        space: match network {
            Some(network) => space_of(view, network).map(|_| one.space),
            None => Some(one.space),
        },
        is_firm: request.is_some(),
    })
}

fn of_allocation<'s>(view: &View<'s>, record: &'s AllocationRecord) -> Option<Use<'s>> {
    let allocation = &record.allocation;
    let address = allocation.address.ip()?;
    let recorded = allocation.pod.as_ref()?;
    let pod = present(
        view,
        &PodName {
            namespace: (&**allocation.holder.namespace()).into(),
            name: (&*recorded.name).into(),
        },
    )?;
    let network = (&*allocation.network.namespace, &*allocation.network.name);
    let on_network = |one: &&Attachment<'_>| {
        (&*one.network.namespace, &*one.network.name) == network
            && one.status.ips.contains(&address)
    };
    let is_other = match (&recorded.uid, &pod.uid) {
        (Some(recorded), Some(uid)) => **recorded != **uid,
        _ => false,
    };
    let is_shown = pod.whole_status(view.snapshot.now).is_some();
    if is_other || (is_shown && !view.attachments_of(&pod.name).any(|one| on_network(&one))) {
        return None;
    }
    let mut requested = pod.requested.iter();
    Some(Use {
        pod,
        basis: Basis::Allocation(record),
        network: view.network(network.0, network.1),
        space: Some(allocation.space.network_name()),
        is_firm: requested.any(|one| (&*one.namespace, &*one.name) == network),
    })
}

/// Adds the addresses that the annotation requests, and those that the network configures.
fn of_request<'s>(
    view: &View<'s>,
    pod: &'s PodRecord,
    request: &'s RequestedNetwork,
    add: &mut impl FnMut(IpAddr, Use<'s>),
) {
    let network = view.network(&request.namespace, &request.name);
    let config = network.and_then(|network| network.config.loaded());
    let ipam = config.and_then(|config| config.ipam());
    let one = |basis: Basis<'s>, is_firm: bool| Use {
        pod,
        basis,
        network,
        space: network.and_then(|network| space_of(view, network)),
        is_firm,
    };
    let on_interface = |status: &AttachmentStatus, address: IpAddr| {
        let is_named = |name: &str| *name == *request.interface;
        status.interface.as_deref().is_none_or(is_named) && status.ips.contains(&address)
    };
    // In its place OVN-Kubernetes attaches the primary network of the namespace, if there is one.
    if request.is_default && network.is_none() {
        return;
    }
    let has = |address: IpAddr| !is_contradicted(view, pod, |status| on_interface(status, address));
    if let Some(is_firm) = takes_ips(network) {
        for address in request.ips.iter().copied().filter(|address| has(*address)) {
            add(address, one(Basis::Requested(request), is_firm));
        }
    }
    let replaced = config.is_some_and(|config| config.has(Capability::Ips));
    let (Some(network), Some(ipam)) = (network, ipam) else {
        return;
    };
    if !request.ips.is_empty() && replaced {
        return;
    }
    let configured = match ipam {
        Ipam::Static(ipam) => &ipam.addresses[..],
        Ipam::Whereabouts(ipam) => &ipam.addresses[..],
        _ => &[],
    };
    for address in configured.iter().filter_map(|one| canonical(&one.address)) {
        if has(address.address) {
            add(address.address, one(Basis::Configured(network), true));
        }
    }
}

/// Returns true if the network gives the addresses that a pod requests by `ips`, false if that is not
/// known, and `None` if it does not.
fn takes_ips(network: Option<&Network>) -> Option<bool> {
    let Some(config) = network.and_then(|network| network.config.loaded()) else {
        return Some(false);
    };
    let ovn = config.main().and_then(|main| main.ovn.as_deref());
    match config.ipam() {
        Some(Ipam::Static(_) | Ipam::Whereabouts(_) | Ipam::HostLocal(_)) => Some(true),
        Some(Ipam::Other(_)) => Some(false),
        Some(Ipam::Dhcp(_)) => None,
        None => ovn.and_then(|ovn| (!ovn.assigns_addresses()).then_some(true)),
    }
}

fn of_reservation<'s>(
    view: &View<'s>,
    one: &'s OverlappingReservation,
    meanings: &[SpaceAddress<'s>],
) -> Option<(IpAddr, Use<'s>)> {
    let name = one.pod.as_ref().filter(|_| !one.terminating)?;
    let pod = present(view, name)?;
    let mut meant = meanings
        .iter()
        .filter(|meaning| !view.entries(**meaning).is_empty());
    let meaning = meant.next()?;
    let is_contradicted = is_contradicted(view, pod, |status| {
        status.ips.contains(&meaning.address) && view.may_be_of(meaning.space, &pod.name, status)
    });
    if view.is_recorded(*meaning, name) || is_contradicted {
        return None;
    }
    let one = Use {
        pod,
        basis: Basis::Reservation(one),
        network: None,
        space: Some(meaning.space),
        is_firm: false,
    };
    Some((meaning.address, one))
}
