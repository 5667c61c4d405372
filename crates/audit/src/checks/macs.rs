//! `shared-mac`: two live pods or virtual machines with one MAC on one L2 segment.
//!
//! A virtual machine's MAC is what its spec says, a pod's what its network-status reports; a launcher
//! pod counts as its machine. ipvlan is left out: all its interfaces have the MAC of the node.

use std::collections::{BTreeMap, BTreeSet};

use nadmit_allocation::Holder;
use nadmit_cni::{Mac, Network};

use crate::{
    AuditCode, AuditFinding, MachineInterface, MachineRecord, ObjectRef, RecordKind,
    finding::some_of,
    fix,
    segment::{self, Segment},
    view::{Attachment, View, interface_and_mac},
};

/// A user of a MAC.
enum User<'v, 's> {
    Pod(&'v Attachment<'s>),
    Machine(&'s MachineRecord, &'s MachineInterface, &'s Network),
}

pub(crate) fn check(view: &View<'_>, findings: &mut Vec<AuditFinding>) {
    let mut users: BTreeMap<(Mac, Segment<'_>), Vec<User<'_, '_>>> = BTreeMap::new();
    let counts =
        |mac: &Mac, network: &Network| !mac.is_zero() && !segment::has_mac_of_node(network);
    for one in &view.attachments {
        if let Some(mac) = one.mac.filter(|mac| counts(mac, one.network)) {
            let known = users.entry((mac, Segment::of(one.network))).or_default();
            known.push(User::Pod(one));
        }
    }
    for machine in &view.snapshot.machines {
        for one in &machine.interfaces {
            let network = view.network(&one.network_namespace, &one.network);
            let Some(network) = network.filter(|network| counts(&one.mac, network)) else {
                continue;
            };
            let known = users.entry((one.mac, Segment::of(network))).or_default();
            known.push(User::Machine(machine, one, network));
        }
    }
    for ((mac, _), users) in users {
        let holders: BTreeSet<Holder> = users.iter().map(User::holder).collect();
        if holders.len() > 1 {
            findings.push(finding(mac, &users));
        }
    }
}

fn finding(mac: Mac, users: &[User<'_, '_>]) -> AuditFinding {
    let names: BTreeSet<String> = users.iter().map(|one| one.object().to_string()).collect();
    let message = format!(
        "{mac} is the MAC of {} objects: {}",
        names.len(),
        some_of(names.into_iter())
    );
    let mut finding = AuditFinding::new(AuditCode::SharedMac, message);
    let mut sorted: Vec<&User<'_, '_>> = users.iter().collect();
    sorted.sort_by_key(|one| one.object());
    for one in &sorted {
        finding = finding.with(one.object(), one.in_words());
    }
    for command in commands(&sorted) {
        finding = finding.command(command);
    }
    let active = users.iter().filter(|one| one.is_active());
    let active: BTreeSet<Holder> = active.map(User::holder).collect();
    if active.len() < 2 || !is_one_wire(users) {
        finding = finding.lowered();
    }
    finding.help(
        "remove the MAC from the spec or the annotation that writes it, so that each gets its own",
    )
}

/// Returns the commands that give each holder but one another MAC. That one keeps it in all of its
/// objects: a machine and its launcher pods have one MAC.
fn commands(users: &[&User<'_, '_>]) -> Vec<String> {
    let owner = users.iter().find(|one| one.is_active()).or(users.first());
    let owner = owner.map(|one| one.holder());
    let others = || {
        let others = users.iter().filter(|one| Some(one.holder()) != owner);
        others.copied()
    };
    let mut commands: Vec<String> = others().filter_map(User::unset).collect();
    let written: BTreeSet<Holder> = others()
        .filter(|one| matches!(one, User::Machine(..)))
        .map(User::holder)
        .collect();
    // A pod that is being deleted gives its MAC back.
    for one in others().filter(|one| one.is_active()) {
        let command = one.restart(written.contains(&one.holder()));
        commands.extend(command.filter(|command| !commands.contains(command)));
    }
    commands
}

/// Returns true if the users see each other's frames whichever node they are on, or are on one node.
fn is_one_wire(users: &[User<'_, '_>]) -> bool {
    if !users.iter().any(|one| segment::is_in_node(one.network())) {
        return true;
    }
    let nodes: BTreeSet<Option<&str>> = users.iter().map(User::node).collect();
    nodes.len() == 1 && !nodes.contains(&None)
}

impl User<'_, '_> {
    fn holder(&self) -> Holder {
        match self {
            Self::Pod(one) => one.pod.holder.clone(),
            Self::Machine(machine, ..) => Holder::VirtualMachine {
                namespace: (&*machine.namespace).into(),
                name: (&*machine.name).into(),
            },
        }
    }

    fn object(&self) -> ObjectRef {
        match self {
            Self::Pod(one) => one.pod.object(),
            Self::Machine(machine, ..) => {
                let kind = RecordKind::VirtualMachine;
                ObjectRef::new(kind, &machine.namespace, &machine.name)
            }
        }
    }

    fn network(&self) -> &Network {
        match self {
            Self::Pod(one) => one.network,
            Self::Machine(_, _, network) => network,
        }
    }

    fn node(&self) -> Option<&str> {
        match self {
            Self::Pod(one) => one.pod.node.as_deref(),
            Self::Machine(..) => None,
        }
    }

    fn is_active(&self) -> bool {
        match self {
            Self::Pod(one) => !one.pod.terminating,
            Self::Machine(machine, ..) => machine.running,
        }
    }

    fn in_words(&self) -> String {
        match self {
            Self::Pod(one) => one
                .mac
                .map(|mac| interface_and_mac(one, mac))
                .unwrap_or_default(),
            Self::Machine(_, one, _) => {
                let (index, mac) = (one.index, &one.mac_text);
                let network = format!("{}/{}", one.network_namespace, one.network);
                format!(
                    "spec.template.spec.domain.devices.interfaces[{index}].macAddress on {network} is {mac}"
                )
            }
        }
    }

    /// Returns the command that takes the MAC out of the spec of a machine.
    fn unset(&self) -> Option<String> {
        let Self::Machine(_, one, _) = self else {
            return None;
        };
        let path = format!(
            "/spec/template/spec/domain/devices/interfaces/{}/macAddress",
            one.index
        );
        let operations = [fix::test(&path, &*one.mac_text), fix::remove(&path)];
        fix::patch(&self.object(), &operations)
    }

    /// Returns the command that creates a pod again, or restarts its machine; none for a MAC that the
    /// pod's annotation requests, which comes back with it. KubeVirt requests what is in the spec of
    /// the machine, from which another command takes it if `is_unset`.
    fn restart(&self, is_unset: bool) -> Option<String> {
        let Self::Pod(one) = self else { return None };
        let requested = one.pod.request_of(one.interface());
        let comes_back = requested.is_some_and(|one| one.mac.is_some()) && !is_unset;
        fix::restart(one.pod).filter(|_| !comes_back)
    }
}
