//! `cross-namespace-default-network`: a default network from another namespace.

use crate::{
    Check, Example, Levels, PodSubject, Report, Rule, RuleDocs,
    examples::{MACVLAN_CONF, OTHER_NAMESPACE, pod},
};
use nadmit_cni::annotations;

pub(crate) const RULE: Rule = Rule {
    code: "cross-namespace-default-network",
    levels: Levels::ADVICE,
    summary: "The pod's default network is in another namespace",
    docs: RuleDocs {
        checks: "The annotation v1.multus-cni.io/default-network names the network of the pod's first \
            interface (eth0), and this network is in another namespace. Networks in Multus's \
            namespace and in globalNamespaces are not reported. Networks of OVN-Kubernetes \
            (ovn-kubernetes, openshift-ovn-kubernetes) and annotations that KubeVirt writes on \
            launcher pods are not reported either. The rule warns, and the settings can raise it to \
            deny.",
        consequence: "Multus does not isolate namespaces for the default network, whatever \
            namespaceIsolation says. A pod can attach its first interface to the network of any \
            namespace.",
        fix: "Use a network of the pod's own namespace or of Multus's namespace. To share the networks \
            of the other namespace, an administrator adds it to globalNamespaces.",
        source: "Multus, tryLoadK8sPodDefaultNetwork.",
    },
    wrong: Example(&[
        MACVLAN_CONF,
        OTHER_NAMESPACE,
        concat!(
            "apiVersion: v1\nkind: Pod\nmetadata:\n  name: db-0\n  namespace: db\n  annotations:\n",
            "    v1.multus-cni.io/default-network: web/front-net\n",
            "spec:\n  containers: [{name: app, image: registry.example/app:1}]\n"
        ),
    ]),
    right: Example(&[MACVLAN_CONF, OTHER_NAMESPACE, pod!("macvlan-conf")]),
    check: Check::Pod(check),
};

/// The namespaces with OVN-Kubernetes's NAD for primary user-defined networks.
const OVN_NAMESPACES: [&str; 2] = ["ovn-kubernetes", "openshift-ovn-kubernetes"];

fn check(subject: &PodSubject<'_>, report: &mut Report<'_>) {
    let policy = subject.policy;
    if subject.by_kubevirt {
        return;
    }
    for attachment in subject.attachments() {
        if report.is_full() {
            return;
        }
        let default_network = attachment.request.origin.key == annotations::DEFAULT_NETWORK;
        let Some(written) = attachment
            .selection
            .namespace
            .as_ref()
            .filter(|_| default_network)
        else {
            continue;
        };
        let other = attachment.namespace();
        let shared = other == &*policy.multus_namespace
            || policy.global_namespaces.contains(other)
            || OVN_NAMESPACES.contains(&other);
        if shared || other == subject.namespace {
            continue;
        }
        report.add(
            attachment.field_ref(attachment.member("namespace"), written.span),
            format!(
                "a pod of namespace {:?} has its default network in namespace {other:?}, which Multus \
                 does not prevent",
                subject.namespace
            ),
            format!(
                "use a network of namespace {:?} or {:?}; to share {other:?}, an administrator adds it to \
                 globalNamespaces",
                subject.namespace, policy.multus_namespace
            ),
        );
    }
}
