//! `cross-namespace-network`: a network of a namespace that pods of this namespace may not use.

use crate::{
    Check, Example, Levels, NamespaceIsolation, PodSubject, Report, Rule,
    examples::{MACVLAN_CONF, OTHER_NAMESPACE, pod},
    subject::{Attachment, Resolution},
};
use nadmit_cni::annotations;

pub(crate) const RULE: Rule = Rule {
    code: "cross-namespace-network",
    levels: Levels::FAILS,
    summary: "The network is in a namespace that the pod may not use",
    explanation: "Where Multus's namespaceIsolation is true, a pod may use the networks of its own \
        namespace and of those in globalNamespaces (by default the namespace \"default\"). Anything \
        else fails when the pod starts. Multus's own default is false; OpenShift sets true. \
        nadmit's settings namespaceIsolation and globalNamespaces have to say what Multus's say; \
        `nadmit install` and `nadmit check --cluster` read Multus's. In a cluster, and in `nadmit \
        check`, where namespaceIsolation is not set and Multus's setting is not known, this rule \
        only warns. Source: Multus, GetNetworkDelegates.",
    wrong: Example(&[MACVLAN_CONF, OTHER_NAMESPACE, pod!("web/front-net")]),
    right: Example(&[MACVLAN_CONF, OTHER_NAMESPACE, pod!("macvlan-conf")]),
    check: Check::Pod(check),
};

fn check(subject: &PodSubject<'_>, report: &mut Report<'_>) {
    let is_known = subject.policy.namespace_isolation() != NamespaceIsolation::Unknown;
    for attachment in subject.attachments() {
        let Some(written) = &attachment.selection.namespace else {
            continue;
        };
        let (own, other) = (subject.namespace, &*written.text);
        let field_ref = attachment.field_ref(attachment.member("namespace"), written.span);
        if matches!(attachment.resolution, Resolution::Forbidden(_)) {
            report.add(
                field_ref,
                format!("a pod of namespace \"{own}\" may not use networks of \"{other}\""),
                help(subject, attachment, other),
            );
        } else if !is_known && fails_if_isolated(subject, attachment, other) {
            report.add_capped(
                Levels::ADVICE,
                field_ref,
                format!(
                    "a pod of namespace \"{own}\" names a network of \"{other}\", which fails where \
                     Multus has namespaceIsolation: true, and works where it has false, its default"
                ),
                format!(
                    "set namespaceIsolation in nadmit's settings as Multus has it; where it is true, {}",
                    alternative(subject, attachment, other)
                ),
            );
        }
    }
}

/// Returns true if Multus rejects the network when it isolates namespaces. It never does for the default
/// network.
fn fails_if_isolated(
    subject: &PodSubject<'_>,
    attachment: Attachment<'_, '_>,
    other: &str,
) -> bool {
    let has_name = !matches!(attachment.resolution, Resolution::InvalidName);
    has_name
        && attachment.request.origin.key == annotations::NETWORKS
        && !subject.policy.may_use_if_isolated(subject.namespace, other)
}

/// Returns the remedy for isolated namespaces.
fn help(subject: &PodSubject<'_>, attachment: Attachment<'_, '_>, other: &str) -> String {
    format!(
        "{}; if Multus does not isolate namespaces, set namespaceIsolation: false in nadmit's settings",
        alternative(subject, attachment, other)
    )
}

/// Returns the remedy that works in spite of isolation.
fn alternative(subject: &PodSubject<'_>, attachment: Attachment<'_, '_>, other: &str) -> String {
    let own = subject.namespace;
    let name = attachment.selection.network_name().unwrap_or_default();
    if subject.catalog.network(own, name).is_some() {
        format!("leave the namespace out: \"{name}\" exists in \"{own}\", too")
    } else {
        format!(
            "use a network of \"{own}\", or add \"{other}\" to globalNamespaces of Multus and of nadmit"
        )
    }
}
