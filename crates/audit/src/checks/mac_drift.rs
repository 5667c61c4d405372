//! `drift` of MACs: an interface has another MAC than its pod's annotation requests, than is recorded for
//! it, or than the spec of its virtual machine has.
//!
//! network-status has the MAC that the plugins left on the interface. It is a warning where the plugins
//! ignore a requested MAC or are not known, and where a machine's spec was changed while it runs. The
//! MAC of the pod network is left out: a binding of KubeVirt, or a primary network of OVN-Kubernetes,
//! decides it.

use std::collections::{BTreeMap, BTreeSet};

use nadmit_allocation::Address;
use nadmit_cni::{Mac, Network, cni::Capability, ovn};

use crate::{
    AuditCode, AuditFinding, MachineInterface, MachineRecord, ObjectRef, PodName, RecordKind, fix,
    view::{Attachment, View, interface_and_mac},
};

/// Plugins that set a requested MAC, with the capability `mac` or by `CNI_ARGS` alone; tuning does so
/// behind any other plugin. OVN-Kubernetes reads the annotation itself.
const SETS_MAC: &[&str] = &["bridge", "macvlan", "sriov", "tuning", ovn::PLUGIN];

/// A MAC that an interface should have, with the object that says so.
struct Wanted {
    mac: Mac,
    object: ObjectRef,
    value: String,
}

pub(crate) fn check(view: &View<'_>, findings: &mut Vec<AuditFinding>) {
    let recorded = recorded(view);
    let lasting = view.attachments.iter();
    let lasting = lasting.filter(|one| one.is_lasting(view.snapshot.now));
    for one in lasting {
        let Some(mac) = one.mac else { continue };
        let records = recorded.get(&one.pod.name);
        let of_interface = records.into_iter().flatten();
        let of_interface = of_interface.filter(|record| record.is_of(one));
        let wanted = of_interface.map(|record| record.wanted(one)).collect();
        let wanted: Vec<Wanted> = requested(one)
            .into_iter()
            .chain(differing(wanted, mac))
            .collect();
        findings.extend(finding(one, mac, &wanted));
    }
    machines(view, findings);
}

/// Returns what is wanted, if none of it is the MAC: of several records one may be left over.
fn differing(wanted: Vec<Wanted>, mac: Mac) -> Vec<Wanted> {
    match wanted.iter().any(|one| one.mac == mac) {
        true => Vec::new(),
        false => wanted,
    }
}

/// A MAC of an AddressAllocation.
struct Recorded<'s> {
    mac: Mac,
    name: &'s str,
    uid: Option<&'s str>,
    network: (&'s str, &'s str),
    interface: &'s str,
}

/// Returns the MACs of allocations, by pod.
fn recorded<'s>(view: &View<'s>) -> BTreeMap<PodName, Vec<Recorded<'s>>> {
    let mut found: BTreeMap<PodName, Vec<Recorded<'s>>> = BTreeMap::new();
    for record in &view.snapshot.allocations {
        let allocation = &record.allocation;
        let mac = match allocation.address {
            Address::Mac(mac) => Some(mac),
            Address::Ip(_) => allocation.mac,
        };
        let (Some(mac), Some(pod)) = (mac, &allocation.pod) else {
            continue;
        };
        let name = PodName {
            namespace: (&**allocation.holder.namespace()).into(),
            name: (&*pod.name).into(),
        };
        found.entry(name).or_default().push(Recorded {
            mac,
            name: &record.name,
            uid: pod.uid.as_deref(),
            network: (&allocation.network.namespace, &allocation.network.name),
            interface: &allocation.interface,
        });
    }
    found
}

impl Recorded<'_> {
    fn is_of(&self, one: &Attachment<'_>) -> bool {
        let is_other = self
            .uid
            .is_some_and(|uid| one.pod.uid.as_deref() != Some(uid));
        !is_other
            && self.network == (&*one.network.namespace, &*one.network.name)
            && (self.interface.is_empty() || self.interface == one.interface())
    }

    fn wanted(&self, one: &Attachment<'_>) -> Wanted {
        let (mac, interface, pod) = (self.mac, one.interface(), &one.pod.name);
        Wanted {
            mac,
            object: ObjectRef::new(RecordKind::Allocation, "", self.name),
            value: format!("MAC {mac} is recorded for {interface} of pod {pod}"),
        }
    }
}

/// Returns the MAC that the annotation requests, if the interface has another one.
fn requested(one: &Attachment<'_>) -> Option<Wanted> {
    let request = one.pod.request_of(one.interface())?;
    let is_of =
        (&*request.namespace, &*request.name) == (&*one.network.namespace, &*one.network.name);
    let mac = request.mac.filter(|_| is_of)?;
    // tuning prefers the MAC of cni-args.
    let carried = one.mac?;
    if carried == mac || request.args_mac == Some(carried) {
        return None;
    }
    let name = format!("{}/{}", request.namespace, request.name);
    Some(Wanted {
        mac,
        object: one.pod.object(),
        value: format!("the annotation requests MAC {mac} on {name}"),
    })
}

/// The treatment of a requested MAC by the plugins of a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Treatment<'n> {
    /// One of the plugins sets it.
    Set,
    /// All plugins ignore it; the kind of the one that creates the interface.
    Ignored(&'n str),
    Unknown,
}

fn treatment(network: &Network) -> Treatment<'_> {
    let Some(config) = network.config.loaded() else {
        return Treatment::Unknown;
    };
    let mut plugins = config.plugins.iter();
    if plugins.any(|plugin| SETS_MAC.contains(&plugin.family())) {
        return Treatment::Set;
    }
    let mut plugins = config.plugins.iter();
    match config.main() {
        Some(main) if !plugins.any(|plugin| plugin.reads(Capability::Mac)) => {
            Treatment::Ignored(&main.kind)
        }
        _ => Treatment::Unknown,
    }
}

fn finding(one: &Attachment<'_>, mac: Mac, wanted: &[Wanted]) -> Option<AuditFinding> {
    let first = wanted.first()?;
    let (pod, interface) = (&one.pod.name, one.interface());
    let message = format!(
        "{interface} of pod {pod} has MAC {mac} instead of {}",
        first.mac
    );
    let mut finding = AuditFinding::new(AuditCode::Drift, message);
    for one in wanted {
        finding = finding.with(one.object.clone(), &*one.value);
    }
    let finding = finding.with(one.pod.object(), interface_and_mac(one, mac));
    Some(match treatment(one.network) {
        Treatment::Set => finding
            .command(fix::restart(one.pod))
            .help("a pod that is created again gets the MAC that is requested by then"),
        Treatment::Ignored("ipvlan") => finding
            .lowered()
            .help("all interfaces of ipvlan have the MAC of their master: remove the MAC"),
        Treatment::Ignored(kind) => finding.lowered().help(format!(
            "{kind} ignores a requested MAC: remove it, or add tuning to the list of plugins, which sets it"
        )),
        Treatment::Unknown => finding.lowered().help(
            "the plugin may ignore a requested MAC: see its documentation, or remove the MAC",
        ),
    })
}

/// Adds the findings about virtual machines whose launcher pods have other MACs on a network.
fn machines(view: &View<'_>, findings: &mut Vec<AuditFinding>) {
    let mut launchers: BTreeMap<(&str, &str), Vec<&Attachment<'_>>> = BTreeMap::new();
    for one in &view.attachments {
        if let Some(machine) = one
            .pod
            .machine()
            .filter(|_| one.is_lasting(view.snapshot.now))
        {
            let key = (&*one.pod.name.namespace, &**machine);
            launchers.entry(key).or_default().push(one);
        }
    }
    for machine in &view.snapshot.machines {
        let key = (&*machine.namespace, &*machine.name);
        let Some(attached) = launchers.get(&key) else {
            continue;
        };
        let pods: BTreeSet<&PodName> = attached.iter().map(|one| &one.pod.name).collect();
        for interface in &machine.interfaces {
            for pod in &pods {
                let of_pod = attached.iter().copied().filter(|one| one.pod.name == **pod);
                findings.extend(of_machine(machine, interface, of_pod));
            }
        }
    }
}

/// Compares a machine's interface with those of a launcher pod on its network. Names of interfaces say
/// nothing: KubeVirt makes them.
fn of_machine<'a, 's: 'a>(
    machine: &MachineRecord,
    interface: &MachineInterface,
    attached: impl Iterator<Item = &'a Attachment<'s>>,
) -> Option<AuditFinding> {
    let name = (&*interface.network_namespace, &*interface.network);
    let own: Vec<(&Attachment<'_>, Mac)> = attached
        .filter(|one| (&*one.network.namespace, &*one.network.name) == name)
        .filter_map(|one| Some((one, one.mac?)))
        .collect();
    let is_shown = |mac: Mac| own.iter().any(|(_, carried)| *carried == mac);
    let (first, carried) = own.first()?;
    // A launcher requests what its instance has: if the plugin ignored that, its own finding says so.
    let is_requested = |(one, _): &(&Attachment<'_>, Mac)| {
        let request = one.pod.request_of(one.interface());
        request.and_then(|request| request.mac) == Some(interface.mac)
    };
    if is_shown(interface.mac) || own.iter().any(is_requested) {
        return None;
    }
    let (mac, pod) = (interface.mac, &first.pod.name);
    let object = ObjectRef::new(
        RecordKind::VirtualMachine,
        &machine.namespace,
        &machine.name,
    );
    let message = format!(
        "{object} has MAC {mac} on {}/{}, but its pod {pod} has {carried}",
        name.0, name.1
    );
    let index = interface.index;
    let field = format!("spec.template.spec.domain.devices.interfaces[{index}].macAddress");
    let mut finding = AuditFinding::new(AuditCode::Drift, message)
        .with(object, format!("{field} is {}", interface.mac_text))
        .lowered();
    for (one, mac) in &own {
        finding = finding.with(one.pod.object(), interface_and_mac(one, *mac));
    }
    Some(
        finding
            .command(fix::restart_machine(&machine.namespace, &machine.name))
            .help("a change of the spec takes effect when the machine starts again"),
    )
}
