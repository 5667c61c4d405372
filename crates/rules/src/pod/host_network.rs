//! `host-network`: network annotations on a pod with `hostNetwork`, which Multus ignores.

use crate::{
    Check, Example, Levels, PodSubject, Report, Rule, RuleDocs,
    examples::{HOST_NETWORK_POD, MACVLAN_CONF, pod},
};

pub(crate) const RULE: Rule = Rule {
    code: "host-network",
    levels: Levels::ADVICE,
    summary: "A pod with hostNetwork requests networks, which Multus ignores",
    docs: RuleDocs {
        checks: "A pod with hostNetwork: true has an annotation that requests networks.",
        consequence: "The pod runs in the network namespace of the node. Multus attaches nothing to it \
            and ignores the annotation.",
        fix: "Remove the annotation, or remove hostNetwork: true.",
        source: "Multus.",
    },
    wrong: Example(&[MACVLAN_CONF, HOST_NETWORK_POD]),
    right: Example(&[MACVLAN_CONF, pod!("macvlan-conf")]),
    check: Check::HostNetworkPod(check),
};

fn check(subject: &PodSubject<'_>, report: &mut Report<'_>) {
    for request in &subject.requests {
        report.add(
            request.field_ref(),
            "Multus ignores this annotation, because the pod has hostNetwork: true",
            "remove the annotation, or remove hostNetwork: true",
        );
    }
}
