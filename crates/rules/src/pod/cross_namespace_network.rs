//! `cross-namespace-network`: a network of a namespace that pods of this namespace may not use.

use crate::{
    Check, Example, Levels, NamespaceIsolation, PodSubject, Report, Rule, RuleDocs,
    examples::{MACVLAN_CONF, OTHER_NAMESPACE, pod},
    subject::{Attachment, Resolution},
};
use nadmit_cni::annotations;

pub(crate) const RULE: Rule = Rule {
    code: "cross-namespace-network",
    levels: Levels::FAILS,
    summary: "The network is in a namespace that the pod may not use",
    docs: RuleDocs {
        checks: "A pod requests a network of another namespace, and that namespace is not in \
            globalNamespaces (by default the namespace \"default\"). The rule applies if Multus's \
            namespaceIsolation is true. Multus's own default is false; OpenShift sets true. nadmit's \
            settings namespaceIsolation and globalNamespaces must have the values of Multus. `nadmit \
            install` and `nadmit check --cluster` read them from Multus. The rule only warns, in a \
            cluster and in `nadmit check`, if namespaceIsolation is not set and Multus's value is not \
            known.",
        consequence: "Multus refuses the network when the pod starts, and the pod hangs in \
            ContainerCreating.",
        fix: "Use a network of the pod's own namespace. To share the other namespace, an administrator \
            adds it to globalNamespaces of Multus and of nadmit. If Multus does not isolate \
            namespaces, an administrator sets namespaceIsolation: false in nadmit's settings.",
        source: "Multus, GetNetworkDelegates.",
    },
    wrong: Example(&[MACVLAN_CONF, OTHER_NAMESPACE, pod!("web/front-net")]),
    right: Example(&[MACVLAN_CONF, OTHER_NAMESPACE, pod!("macvlan-conf")]),
    check: Check::Pod(check),
};

fn check(subject: &PodSubject<'_>, report: &mut Report<'_>) {
    let is_known = subject.policy.namespace_isolation() != NamespaceIsolation::Unknown;
    for attachment in subject.attachments() {
        if report.is_complete() {
            return;
        }
        let Some(written) = &attachment.selection.namespace else {
            continue;
        };
        let (own, other) = (subject.namespace, &*written.text);
        let field_ref = attachment.field_ref(attachment.member("namespace"), written.span);
        if matches!(attachment.resolution, Resolution::Forbidden(_)) {
            report.add(
                field_ref,
                format!(
                    "a pod of namespace \"{own}\" may not use networks of \"{other}\" (namespaceIsolation: \
                     true)"
                ),
                help(subject, attachment, other),
            );
        } else if !is_known && fails_if_isolated(subject, attachment, other) {
            report.add_capped(
                Levels::ADVICE,
                field_ref,
                format!(
                    "a pod of namespace \"{own}\" requests a network of \"{other}\", which fails if Multus \
                     isolates namespaces"
                ),
                format!(
                    "set namespaceIsolation in nadmit's settings to the value in Multus; if it is true, {}",
                    alternative(subject, attachment)
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
    let alternative = alternative(subject, attachment);
    if network_of_own(subject, attachment).is_some() {
        return alternative;
    }
    format!(
        "{alternative}; to share \"{other}\", an administrator adds it to globalNamespaces of Multus and \
         nadmit"
    )
}

/// Returns the remedy that works in spite of isolation.
fn alternative(subject: &PodSubject<'_>, attachment: Attachment<'_, '_>) -> String {
    let own = subject.namespace;
    match network_of_own(subject, attachment) {
        Some(name) => format!("remove the namespace: \"{name}\" exists in \"{own}\""),
        None => format!("use a network of namespace \"{own}\""),
    }
}

/// Returns the name of the network, if the pod's namespace has one of this name, too.
fn network_of_own<'s>(subject: &PodSubject<'_>, attachment: Attachment<'s, '_>) -> Option<&'s str> {
    let name = attachment.selection.network_name().unwrap_or_default();
    let network = subject.catalog.network(subject.namespace, name);
    network.map(|_| name)
}
