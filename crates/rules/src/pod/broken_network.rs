//! `broken-network`: a network whose configuration fails for every pod.

use crate::{
    Check, Example, Levels, PodSubject, Report, Rule, RuleDocs,
    examples::{BROKEN_NET, MACVLAN_CONF, pod},
};
use nadmit_cni::ConfigState;

pub(crate) const RULE: Rule = Rule {
    code: "broken-network",
    levels: Levels::FAILS,
    summary: "No pod can start with the network's configuration",
    docs: RuleDocs {
        checks: "A requested network has a spec.config that Multus or libcni refuses. A network \
            without spec.config takes its configuration from a file on each node. nadmit cannot see \
            this file, so it only warns.",
        consequence: "Every pod that requests the network hangs in ContainerCreating. Some \
            configurations, such as an empty \"plugins\" list, crash Multus.",
        fix: "Request another network. An administrator fixes spec.config of the network, or checks \
            that the file exists on each node.",
        source: "The spec, section 3.4; libcni v1.3; run with Multus v4.3.0.",
    },
    wrong: Example(&[BROKEN_NET, pod!("broken-net")]),
    right: Example(&[MACVLAN_CONF, pod!("macvlan-conf")]),
    check: Check::Pod(check),
};

fn check(subject: &PodSubject<'_>, report: &mut Report<'_>) {
    for attachment in subject.attachments() {
        if report.is_complete() {
            return;
        }
        let (Some(network), Some(name)) = (attachment.network(), &attachment.selection.name) else {
            continue;
        };
        let field_ref = || attachment.field_ref(attachment.member("name"), name.span);
        let full_name = || format!("{}/{}", network.namespace, network.name);
        match &network.config {
            ConfigState::Loaded(_) => {}
            ConfigState::Broken(error) => report.add(
                field_ref(),
                format!("no pod can start with network \"{}\": {error}", full_name()),
                "request another network; an administrator fixes the spec.config of this one",
            ),
            ConfigState::OnNode => report.add_capped(
                Levels::ADVICE,
                field_ref(),
                format!(
                    "network \"{}\" has no spec.config: its configuration is a file on each node",
                    full_name()
                ),
                "check that the file exists on each node that can run the pod",
            ),
        }
    }
}
