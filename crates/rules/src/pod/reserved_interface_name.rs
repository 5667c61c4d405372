//! `reserved-interface-name`: the name of an interface that every pod has already.

use crate::{
    Check, Example, Levels, PodSubject, Report, Rule, RuleDocs,
    examples::{MACVLAN_CONF, pod},
};
use nadmit_cni::{annotations, interface};

pub(crate) const RULE: Rule = Rule {
    code: "reserved-interface-name",
    levels: Levels::FAILS,
    summary: "The interface has the name of the cluster network's interface or the loopback",
    docs: RuleDocs {
        checks: "A network entry requests the interface name eth0 or lo. eth0 is accepted in the \
            annotation for the default network, whose interface it is.",
        consequence: "Both interfaces are in the pod before its first additional network. The \
            attachment fails, and the pod stays in ContainerCreating.",
        fix: "Write another name, such as \"net1\", or leave it out for an automatic one.",
        source: "Linux; executed with Multus v4.3.0.",
    },
    wrong: Example(&[MACVLAN_CONF, pod!("macvlan-conf@eth0")]),
    right: Example(&[MACVLAN_CONF, pod!("macvlan-conf@eth1")]),
    check: Check::Pod(check),
};

fn check(subject: &PodSubject<'_>, report: &mut Report<'_>) {
    for attachment in subject.attachments() {
        if report.is_full() {
            return;
        }
        let Some(written) = &attachment.selection.interface else {
            continue;
        };
        // The interface of the default network is eth0.
        let own = attachment.request.origin.key == annotations::DEFAULT_NETWORK
            && written.text == interface::CLUSTER;
        if own || !interface::RESERVED.contains(&&*written.text) {
            continue;
        }
        report.add(
            attachment.field_ref(attachment.member("interface"), written.span),
            format!("the pod already has an interface \"{}\"", written.text),
            "write another name, such as \"net1\", or leave it out for an automatic one",
        );
    }
}
