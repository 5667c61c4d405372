//! `host-network`: network annotations on a pod with `hostNetwork`, which Multus ignores.

use crate::{
    Check, Example, Levels, PodSubject, Report, Rule,
    examples::{HOST_NETWORK_POD, MACVLAN_CONF, pod},
};

pub(crate) const RULE: Rule = Rule {
    code: "host-network",
    levels: Levels::ADVICE,
    summary: "A pod on the node's own network asks for further networks",
    explanation: "A pod with hostNetwork: true runs in the node's network namespace; Multus \
        attaches nothing to it and ignores the annotation. Source: Multus.",
    wrong: Example(&[MACVLAN_CONF, HOST_NETWORK_POD]),
    right: Example(&[MACVLAN_CONF, pod!("macvlan-conf")]),
    check: Check::HostNetworkPod(check),
};

fn check(subject: &PodSubject<'_>, report: &mut Report<'_>) {
    for request in &subject.requests {
        report.add(
            request.field_ref(),
            "the pod has hostNetwork: true, so that Multus ignores this annotation",
            "remove the annotation, or hostNetwork",
        );
    }
}
