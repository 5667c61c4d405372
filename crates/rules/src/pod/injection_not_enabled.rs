//! `injection-not-enabled`: the pod's namespace lacks the label without which no addresses are injected.

use crate::{
    Check, Example, Injection, Levels, PodSubject, Report, Rule, RuleDocs,
    examples::{POOL, POOLED_NET, pod},
};
use nadmit_catalog::LiveRead;

pub(crate) const RULE: Rule = Rule {
    code: "injection-not-enabled",
    levels: Levels::FAILS,
    summary: "The pod's namespace lacks the label that enables injection at binding",
    docs: RuleDocs {
        checks: "A network of the pod has an address pool, but the pod's namespace lacks the \
            label nadmit.io/injection: enabled. The rule applies with injection: bind, the \
            default in a cluster: nadmit injects addresses when the pod is bound to a node. Pods \
            that are created for a certain node (spec.nodeName) need no label, because nadmit \
            injects their addresses at once. nadmit makes a live lookup of the pool and the \
            namespace before it denies.",
        consequence: "The webhook for bindings is called only for namespaces with this label. So \
            nadmit, when it is down, blocks no scheduling in other namespaces. There a pod \
            would be bound without its addresses, and IPAM static then fails: the pod hangs in \
            ContainerCreating.",
        fix: "An administrator labels the namespace: kubectl label namespace NAMESPACE \
            nadmit.io/injection=enabled.",
        source: "nadmit, docs/explanation/when-addresses-are-assigned.md.",
    },
    wrong: Example(&[POOL, POOLED_NET, pod!("storage-net")]),
    right: Example(&[
        POOL,
        "apiVersion: v1\nkind: Namespace\nmetadata: {name: db, labels: {nadmit.io/injection: enabled}}\n",
        POOLED_NET,
        pod!("storage-net"),
    ]),
    check: Check::Pod(check),
};

fn check(subject: &PodSubject<'_>, report: &mut Report<'_>) {
    if subject.policy.injection() != Injection::Bind || subject.has_node {
        return;
    }
    let known = subject.catalog.namespace(subject.namespace);
    if known.is_some_and(|namespace| namespace.labels.injection) {
        return;
    }
    // Without the label the plugin of Whereabouts alone gives the addresses of its networks.
    let mut pooled = subject.pooled();
    if let Some(served) = pooled.find(|one| one.network.served_ipam().is_none()) {
        report.add_after_live_read(
            LiveRead::Pool {
                name: served.pool.into(),
                namespace: Some(subject.namespace.into()),
            },
            served.field_ref(),
            format!(
                "nadmit does not inject the addresses of pool {:?} (network \"{}/{}\") into pods of \
                 namespace {:?}",
                served.pool, served.network.namespace, served.network.name, subject.namespace
            ),
            format!(
                "label the namespace: kubectl label namespace {} nadmit.io/injection=enabled",
                subject.namespace
            ),
        );
    }
}
