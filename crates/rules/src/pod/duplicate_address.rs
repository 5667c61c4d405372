//! `duplicate-address`: another pod on the same link has the address or MAC that a pod names.

use crate::{
    Attachment, Check, Example, Levels, PodSubject, Report, Rule, RuleDocs,
    examples::{STORAGE_NET, pod},
};
use nadmit_allocation::{Address, Holder};
use nadmit_catalog::Pod;
use nadmit_cni::mac::HardwareAddress;

pub(crate) const RULE: Rule = Rule {
    code: "duplicate-address",
    levels: Levels::ADVICE,
    summary: "Another pod on the same L2 segment has the address or MAC",
    docs: RuleDocs {
        checks: "Another pod on the same L2 segment (master, bridge, VLAN or device) has the requested \
            address or MAC. nadmit looks it up when a pod is created, among existing pods that are \
            not being deleted. It reads what their annotations request and what Multus reports of \
            them. Networks with an AddressPool are not reported, because the pool keeps addresses \
            unique. The rule only warns, because a replacement pod may be created before the previous \
            pod has ended.",
        consequence: "Without a pool, nothing records which addresses pods request. Two pods with one \
            address or MAC on one L2 segment disturb each other, and each works only intermittently.",
        fix: "Request a different address or MAC for each pod. To avoid duplicates, an administrator \
            serves the network with an AddressPool.",
        source: "RFC 5227 (IPv4 address conflicts); RFC 4862, section 5.4 (duplicate IPv6 addresses).",
    },
    wrong: Example(&[STORAGE_NET, OTHER_POD, NAMES_THE_SAME]),
    right: Example(&[STORAGE_NET, OTHER_POD, NAMES_ANOTHER]),
    check: Check::Pod(check),
};

const OTHER_POD: &str = r#"apiVersion: v1
kind: Pod
metadata:
  name: web-0
  namespace: db
  annotations:
    k8s.v1.cni.cncf.io/networks: '[{"name": "storage-net", "ips": ["198.51.100.5/24"]}]'
spec:
  containers: [{name: app, image: registry.example/app:1}]
"#;

const NAMES_THE_SAME: &str = pod!(r#"[{"name": "storage-net", "ips": ["198.51.100.5/24"]}]"#);

const NAMES_ANOTHER: &str = pod!(r#"[{"name": "storage-net", "ips": ["198.51.100.6/24"]}]"#);

fn check(subject: &PodSubject<'_>, report: &mut Report<'_>) {
    // The pods of a template legitimately have the addresses that it names.
    let Some(name) = subject.name else {
        return;
    };
    for attachment in subject.attachments() {
        if report.is_full() {
            return;
        }
        let ips = attachment.selection.ips.iter().flat_map(|ips| &ips.value);
        for (index, ip) in ips.enumerate() {
            if report.is_full() {
                return;
            }
            let Some(address) = ip.ok().map(|ip| ip.address) else {
                continue;
            };
            let field_ref = || attachment.field_ref(&format!("ips[{index}]"), ip.span);
            if let Some(other) = other_carrier(subject, attachment, name, Address::Ip(address)) {
                let message = message(&address.to_string(), other);
                report.add(field_ref(), message, HELP);
            }
        }
        let Some(written) = &attachment.selection.mac else {
            continue;
        };
        if let Some(HardwareAddress::Ethernet(mac)) = written.ok()
            && let Some(other) = other_carrier(subject, attachment, name, Address::Mac(*mac))
        {
            let field_ref = attachment.field_ref(attachment.member("mac"), written.span);
            report.add(field_ref, message(&mac.to_string(), other), HELP);
        }
    }
}

const HELP: &str = "request a different one, or let an AddressPool assign it";

/// Returns another pod that has the address on the link of an attachment. Networks of pools are left out,
/// because the pool keeps addresses unique. For a launcher pod, other launchers of its namespace are
/// ignored, because the pods of one virtual machine share addresses.
fn other_carrier<'a>(
    subject: &PodSubject<'a>,
    attachment: Attachment<'_, 'a>,
    name: &str,
    address: Address,
) -> Option<&'a Pod> {
    let network = attachment.network()?;
    if network.pool().is_some() {
        return None;
    }
    let own = (subject.namespace, name);
    let shares = |pod: &Pod| {
        let machine = matches!(pod.holder, Holder::VirtualMachine { .. });
        subject.is_launcher && machine && *pod.namespace == *subject.namespace
    };
    let found = subject
        .catalog
        .carrier_on_link(address, network, own, shares);
    found.map(|pod| &**pod)
}

fn message(address: &str, other: &Pod) -> String {
    let Pod {
        namespace, name, ..
    } = other;
    format!("pod {namespace}/{name} has {address} on the same L2 segment")
}
