//! `cross-namespace-network`: a network that pods of this namespace may not use.

use crate::rules::{
    Check, Example, Levels, PodSubject, Report, Rule,
    examples::{MACVLAN_CONF, OTHER_NAMESPACE, pod},
    subject::Resolution,
};

/// The rule.
pub const RULE: Rule = Rule {
    code: "cross-namespace-network",
    levels: Levels::FAILS,
    summary: "The network is in a namespace that the pod may not use",
    explanation: "With Multus's namespaceIsolation a pod may use the networks of its own namespace \
        and of those in globalNamespaces (by default the namespace \"default\"). Anything else \
        fails when the pod starts. nadmit's settings namespaceIsolation and globalNamespaces have \
        to say what Multus's say. Source: Multus, GetNetworkDelegates.",
    wrong: Example(&[MACVLAN_CONF, OTHER_NAMESPACE, pod!("web/front-net")]),
    right: Example(&[MACVLAN_CONF, OTHER_NAMESPACE, pod!("macvlan-conf")]),
    check: Check::Pod(check),
};

fn check(subject: &PodSubject<'_>, report: &mut Report<'_>) {
    for attachment in subject.attachments() {
        let (Resolution::Forbidden, Some(written)) =
            (attachment.resolution, &attachment.selection.namespace)
        else {
            continue;
        };
        let (own, other) = (subject.namespace, &written.text);
        let name = attachment.selection.network_name().unwrap_or_default();
        let help = if subject.catalog.network(own, name).is_some() {
            format!("leave the namespace out: \"{name}\" exists in \"{own}\", too")
        } else {
            format!(
                "use a network of \"{own}\", or have \"{other}\" added to globalNamespaces of \
                 Multus and of nadmit"
            )
        };
        report.add(
            attachment.place(attachment.member("namespace"), written.span),
            format!("a pod of namespace \"{own}\" may not use networks of \"{other}\""),
            help,
        );
    }
}
