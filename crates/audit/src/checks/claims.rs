//! `claim-mismatch`, `orphaned-claim` and `conflicting-records`: `IPAMClaim`s, compared with the interfaces
//! that refer to them, with their owners, and with each other.
//!
//! A claim outlives the pods of its virtual machine, so one that no pod uses is no finding. The primary
//! network of OVN-Kubernetes is on `ovn-udn1`, while the selection with its claim is that of `eth0`.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    net::IpAddr,
};

use nadmit_cni::{Network, ovn::OvnNetwork};

use super::claimants::{Claimant, claimants};
use crate::{
    AuditCode, AuditFinding, ClaimRecord, ObjectRef, RecordKind, finding::some_of, fix, view::View,
};

/// The finalizer with which kubevirt-ipam-controller keeps a claim until its machine is gone.
const KEPT_FOR_MACHINE: &str = "kubevirt.io/persistent-ipam";

pub(crate) fn check(view: &View<'_>, findings: &mut Vec<AuditFinding>) {
    let claims = view.snapshot.claims.iter();
    let claims: HashMap<(&str, &str), &ClaimRecord> = claims
        .map(|claim| ((&*claim.namespace, &*claim.name), claim))
        .collect();
    let mut used: HashSet<(&str, &str)> = HashSet::new();
    for one in claimants(view) {
        used.insert((one.namespace, one.claim));
        if let Some(claim) = claims.get(&(one.namespace, one.claim)) {
            findings.extend(mismatch(claim, &one));
        }
    }
    for claim in &view.snapshot.claims {
        if !used.contains(&(&*claim.namespace, &*claim.name)) {
            findings.extend(orphan(view, claim));
        }
    }
    conflicts(view, findings);
}

fn object(claim: &ClaimRecord) -> ObjectRef {
    ObjectRef::new(RecordKind::Claim, &claim.namespace, &claim.name)
}

fn mismatch(claim: &ClaimRecord, one: &Claimant<'_>) -> Option<AuditFinding> {
    let observed = one.observed.as_ref()?;
    if claim.ips.is_empty() || observed.ips.is_empty() || claim.ips == observed.ips {
        return None;
    }
    let object = object(claim);
    let (claimed, carried) = (in_words(&claim.ips), in_words(&observed.ips));
    let (name, interface) = (&one.pod.name, one.interface);
    let message = format!("{object} has {claimed}, but {interface} of pod {name} has {carried}");
    let finding = AuditFinding::new(AuditCode::ClaimMismatch, message)
        .with(object, format!("status.ips is {claimed}"))
        .with(one.pod.object(), &*observed.value);
    let is_ignored = |ovn: &OvnNetwork| !ovn.persistent || !ovn.assigns_addresses();
    if let Some(network) = one.network
        && ovn(network).is_some_and(is_ignored)
    {
        let (namespace, network) = (&network.namespace, &network.name);
        return Some(finding.lowered().help(format!(
            "OVN-Kubernetes ignores claims on network {namespace}/{network}: set allowPersistentIPs, \
             or remove the claim"
        )));
    }
    let of_other = claim.network.as_deref().filter(|named| {
        let config = one.network.and_then(|network| network.config.loaded());
        let own = config.and_then(|config| config.name.as_deref());
        own.is_some_and(|own| own != *named)
    });
    if let Some(other) = of_other {
        return Some(finding.help(format!(
            "the claim is of network {other}: refer to a claim of the network of the interface"
        )));
    }
    Some(
        finding
            .command(fix::restart(one.pod))
            .help("a pod that is created again gets the addresses of the claim"),
    )
}

/// Returns what OVN-Kubernetes reads of a network.
fn ovn(network: &Network) -> Option<&OvnNetwork> {
    network.config.loaded()?.main()?.ovn.as_deref()
}

/// Returns the finding about a claim whose machine does not exist. Claims without a machine as owner are
/// left out: somebody may keep them for a pod to come.
fn orphan(view: &View<'_>, claim: &ClaimRecord) -> Option<AuditFinding> {
    let owner = claim.machine.as_deref()?;
    let snapshot = view.snapshot;
    let is_known = [RecordKind::VirtualMachine, RecordKind::Pod]
        .into_iter()
        .all(|kind| snapshot.is_complete(kind));
    let is_of_owner = |namespace: &str, name: &str| *namespace == *claim.namespace && name == owner;
    let mut machines = snapshot.machines.iter();
    let mut pods = snapshot.pods.iter().filter(|pod| !pod.ended);
    if !is_known
        || machines.any(|machine| is_of_owner(&machine.namespace, &machine.name))
        || pods.any(|pod| {
            let machine = pod.machine();
            machine.is_some_and(|machine| is_of_owner(&pod.name.namespace, machine))
        })
    {
        return None;
    }
    let object = object(claim);
    let machine = ObjectRef::new(RecordKind::VirtualMachine, &claim.namespace, owner);
    let message = format!("{object} is of {machine}, which does not exist");
    let ips = match claim.ips.as_slice() {
        [] => "status.ips is empty".to_owned(),
        ips => format!("status.ips is {}", in_words(ips)),
    };
    let mut finding = AuditFinding::new(AuditCode::OrphanedClaim, message)
        .with(object.clone(), ips)
        .with(machine, "does not exist");
    let finalizers = claim.finalizers.as_slice();
    if finalizers.iter().any(|one| &**one != KEPT_FOR_MACHINE) {
        return Some(finding.help("delete it by the program whose finalizer it has"));
    }
    if !finalizers.is_empty() {
        let path = "/metadata/finalizers";
        let values: Vec<&str> = finalizers.iter().map(|one| &**one).collect();
        let operations = [fix::test(path, values), fix::remove(path)];
        finding = finding.command(fix::patch(&object, &operations));
    }
    if !claim.terminating {
        finding = finding.command(fix::delete(&object));
    }
    Some(finding.help("a claim that is restored from a backup waits for its machine"))
}

/// Adds the findings about addresses that several claims of a network have.
fn conflicts(view: &View<'_>, findings: &mut Vec<AuditFinding>) {
    let mut holders: BTreeMap<(&str, IpAddr), Vec<&ClaimRecord>> = BTreeMap::new();
    for claim in &view.snapshot.claims {
        let mut ips = claim.ips.clone();
        ips.dedup();
        for ip in ips {
            if let Some(network) = claim.network.as_deref() {
                holders.entry((network, ip)).or_default().push(claim);
            }
        }
    }
    for ((network, ip), mut claims) in holders {
        if claims.len() < 2 {
            continue;
        }
        claims.sort_by_key(|claim| (&claim.namespace, &claim.name));
        let names = some_of(claims.iter().map(|claim| object(claim).to_string()));
        let count = claims.len();
        let message = format!("{count} claims of network {network} have {ip}: {names}");
        let mut finding = AuditFinding::new(AuditCode::ConflictingRecords, message);
        for claim in &claims {
            let value = format!("status.ips is {}", in_words(&claim.ips));
            finding = finding.with(object(claim), value);
        }
        // Names of other plugins' networks do not say that the networks are one.
        let is_ovn = view.snapshot.networks.iter().any(|one| {
            let config = one.config.loaded();
            ovn(one).is_some() && config.and_then(|one| one.name.as_deref()) == Some(network)
        });
        if !is_ovn {
            finding = finding.lowered();
        }
        findings.push(finding.help(
            "stop all of their machines but one, delete their claims, and start them again: each gets \
             a new claim",
        ));
    }
}

fn in_words(ips: &[IpAddr]) -> String {
    let ips: Vec<String> = ips.iter().map(ToString::to_string).collect();
    ips.join(" and ")
}
