//! The interfaces that refer to `IPAMClaim`s, with the addresses that they have.

use std::net::IpAddr;

use nadmit_cni::{Network, status::AttachmentStatus};

use crate::{
    OvnAssignment, PodRecord, RequestedNetwork,
    view::{View, interface_in_words, network_name},
};

/// The interface of a primary network of OVN-Kubernetes; `eth0` is on the cluster's own network.
const PRIMARY_INTERFACE: &str = "ovn-udn1";

/// An interface whose addresses a claim has.
pub(super) struct Claimant<'s> {
    pub pod: &'s PodRecord,
    pub interface: &'s str,
    /// The namespace and the name of the claim.
    pub namespace: &'s str,
    pub claim: &'s str,
    /// The network of the interface, if it is known.
    pub network: Option<&'s Network>,
    /// The addresses; `None` if nothing shows them yet.
    pub observed: Option<Observed>,
}

/// The addresses of an interface, in order, and the value that shows them.
pub(super) struct Observed {
    pub ips: Vec<IpAddr>,
    pub value: String,
}

/// Returns the interfaces of live pods that refer to a claim.
pub(super) fn claimants<'s>(view: &View<'s>) -> Vec<Claimant<'s>> {
    let mut found = Vec::new();
    for pod in view.snapshot.pods.iter().filter(|pod| !pod.ended) {
        let (default, secondary): (Vec<_>, Vec<_>) =
            pod.requested.iter().partition(|one| one.is_default);
        for (at, request) in secondary.iter().enumerate() {
            if let Some(claim) = request.claim.as_deref() {
                let is_same = |one: &&&RequestedNetwork| {
                    (&one.namespace, &one.name) == (&request.namespace, &request.name)
                };
                let before = secondary.iter().take(at).filter(is_same).count();
                found.push(of_secondary(view, pod, request, claim, before));
            }
        }
        let of_default = default.first().and_then(|request| {
            let claim = request.claim.as_deref()?;
            Some((*request, claim))
        });
        let claim = of_default.map(|(_, claim)| claim);
        if let Some(claim) = claim.or(pod.primary_claim.as_deref()) {
            found.extend(of_primary(view, pod, claim));
        }
        if let Some((request, claim)) = of_default {
            found.extend(of_default_network(view, pod, request, claim));
        }
    }
    for one in &mut found {
        let is_new = one.pod.is_new(view.snapshot.now);
        if is_new || one.pod.terminating {
            one.observed = None;
        }
    }
    found
}

fn of_secondary<'s>(
    view: &View<'s>,
    pod: &'s PodRecord,
    request: &'s RequestedNetwork,
    claim: &'s str,
    before: usize,
) -> Claimant<'s> {
    let network = view.network(&request.namespace, &request.name);
    let main = network.and_then(|network| network.config.loaded()?.main());
    // OVN-Kubernetes looks for the claim where the network is.
    let is_ovn = main.is_some_and(|main| main.ovn.is_some());
    let namespace = match is_ovn {
        true => &*request.namespace,
        false => &*pod.name.namespace,
    };
    let (of, name) = (&request.namespace, &request.name);
    let key = match before {
        0 => format!("{of}/{name}"),
        index => format!("{of}/{name}/{index}"),
    };
    let assigned = pod.ovn.iter().find(|one| *one.key == *key);
    let reported = reported(pod, request).map(of_status);
    Claimant {
        pod,
        interface: &request.interface,
        namespace,
        claim,
        network,
        observed: reported.or_else(|| assigned.map(of_assignment)),
    }
}

/// Returns the interface on the primary network of the pod's namespace; `None` if nothing says that there
/// is one.
fn of_primary<'s>(view: &View<'s>, pod: &'s PodRecord, claim: &'s str) -> Option<Claimant<'s>> {
    let assigned = pod.ovn.iter().find(|one| one.is_primary);
    let mut status = pod.status.iter().flatten();
    let status = status.find(|one| one.interface.as_deref() == Some(PRIMARY_INTERFACE));
    let network = view.primary_network(&pod.name.namespace);
    let is_primary = network.is_some() || assigned.is_some() || status.is_some();
    let observed = status
        .map(of_status)
        .or_else(|| assigned.map(of_assignment));
    is_primary.then_some(Claimant {
        pod,
        interface: PRIMARY_INTERFACE,
        namespace: &pod.name.namespace,
        claim,
        network,
        observed,
    })
}

/// Returns the interface on another default network, which has its own name in network-status.
fn of_default_network<'s>(
    view: &View<'s>,
    pod: &'s PodRecord,
    request: &'s RequestedNetwork,
    claim: &'s str,
) -> Option<Claimant<'s>> {
    let status = reported(pod, request)?;
    Some(Claimant {
        pod,
        interface: &request.interface,
        namespace: &pod.name.namespace,
        claim,
        network: view.network(&request.namespace, &request.name),
        observed: Some(of_status(status)),
    })
}

/// Returns the element of network-status about a selection.
fn reported<'s>(pod: &'s PodRecord, request: &RequestedNetwork) -> Option<&'s AttachmentStatus> {
    let mut status = pod.status.iter().flatten();
    status.find(|one| {
        one.interface.as_deref() == Some(&*request.interface)
            && network_name(&pod.name, one) == (&*request.namespace, &*request.name)
    })
}

fn of_status(status: &AttachmentStatus) -> Observed {
    let mut ips = status.ips.clone();
    ips.sort_unstable();
    Observed {
        ips,
        value: interface_in_words(status),
    }
}

fn of_assignment(one: &OvnAssignment) -> Observed {
    let ips: Vec<String> = one.ips.iter().map(ToString::to_string).collect();
    let (key, words) = (&one.key, ips.join(" and "));
    Observed {
        ips: one.ips.clone(),
        value: format!("k8s.ovn.org/pod-networks: {key} has {words}"),
    }
}
