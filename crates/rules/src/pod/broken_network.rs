//! `broken-network`: a network whose configuration fails for every pod.

use crate::{
    Check, Example, Levels, PodSubject, Report, Rule,
    examples::{BROKEN_NET, MACVLAN_CONF, pod},
};
use nadmit_cni::ConfigState;

pub(crate) const RULE: Rule = Rule {
    code: "broken-network",
    levels: Levels::FAILS,
    summary: "The network's own configuration could not start any pod",
    explanation: "Multus or libcni refuses the NetworkAttachmentDefinition's spec.config (some \
        forms, like an empty \"plugins\", crash Multus), so every pod that names the network stays \
        in ContainerCreating. A network without spec.config is a file on each node, which nadmit \
        cannot see: that is only warned of. Source: the spec, section 3.4; libcni v1.3; executed \
        with Multus v4.3.0.",
    wrong: Example(&[BROKEN_NET, pod!("broken-net")]),
    right: Example(&[MACVLAN_CONF, pod!("macvlan-conf")]),
    check: Check::Pod(check),
};

fn check(subject: &PodSubject<'_>, report: &mut Report<'_>) {
    for attachment in subject.attachments() {
        let (Some(network), Some(name)) = (attachment.network(), &attachment.selection.name) else {
            continue;
        };
        let field_ref = || attachment.field_ref(attachment.member("name"), name.span);
        let full_name = || format!("{}/{}", network.namespace, network.name);
        match &network.config {
            ConfigState::Loaded(_) => {}
            ConfigState::Broken(error) => report.add(
                field_ref(),
                format!("network \"{}\" cannot start any pod: {error}", full_name()),
                "mend its spec.config, or name another network",
            ),
            ConfigState::OnNode => report.add_capped(
                Levels::ADVICE,
                field_ref(),
                format!(
                    "network \"{}\" has no spec.config: its configuration is a file on each node",
                    full_name()
                ),
                "make sure that the file is on every node that may run the pod",
            ),
        }
    }
}
