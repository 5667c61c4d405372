//! `injection-not-enabled`: the pod's namespace lacks the label without which no addresses are injected.

use crate::{
    Check, Example, Injection, Levels, PodSubject, Report, Rule,
    examples::{POOL, POOLED_NET, pod},
};
use nadmit_catalog::LiveRead;

pub(crate) const RULE: Rule = Rule {
    code: "injection-not-enabled",
    levels: Levels::FAILS,
    summary: "The pod's namespace is not labelled for injection when pods are bound",
    explanation: "With injection: bind, the default in a cluster, addresses of pools are put into \
        a pod when it is bound to a node. The webhook on bindings is called for namespaces with the \
        label nadmit.io/injection: enabled only, so that nadmit, when it is down, stops no \
        scheduling elsewhere. In another namespace the pod would start without its addresses. Pods \
        that are made for a certain node (spec.nodeName) are given theirs at once and need no label. \
        The namespace is looked up afresh before a denial.",
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
    if let Some(served) = subject.pooled().next() {
        report.add_after_live_read(
            LiveRead::Pool {
                name: served.pool.into(),
                namespace: Some(subject.namespace.into()),
            },
            served.field_ref(),
            format!(
                "network \"{}/{}\" gets its addresses from the pool {:?}, and nothing puts them into \
                 pods of namespace {:?}",
                served.network.namespace, served.network.name, served.pool, subject.namespace
            ),
            format!(
                "label the namespace: kubectl label namespace {} nadmit.io/injection=enabled",
                subject.namespace
            ),
        );
    }
}
