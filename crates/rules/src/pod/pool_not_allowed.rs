//! `pool-not-allowed`: a pool that does not serve pods of this namespace.

use crate::{
    Check, Example, Levels, PodSubject, Report, Rule,
    examples::{POOL, POOLED_NET, pod, pool},
};
use nadmit_allocation::Pool;
use nadmit_catalog::LiveRead;

pub(crate) const RULE: Rule = Rule {
    code: "pool-not-allowed",
    levels: Levels::AUTHORITY,
    summary: "The network's address pool does not serve the pod's namespace",
    explanation: "Which namespaces' pods may draw from a pool, its namespaceSelector says: {} is \
        all of them, and without a selector it is none. What counts are the labels of the pod's \
        namespace, not the network's; a namespace always has the label \
        kubernetes.io/metadata.name. Pool and namespace are looked up afresh before a denial, and \
        no setting, profile or label lowers it.",
    wrong: Example(&[
        pool!(
            "  ranges: [{range: 192.0.2.192/27}]\n  namespaceSelector:\n    matchLabels: {team: storage}"
        ),
        POOLED_NET,
        pod!("storage-net"),
    ]),
    right: Example(&[POOL, POOLED_NET, pod!("storage-net")]),
    check: Check::Pod(check),
};

fn check(subject: &PodSubject<'_>, report: &mut Report<'_>) {
    let mut labels = None;
    for served in subject.pooled() {
        let Some(pool) = subject.catalog.pool(served.pool).valid() else {
            continue;
        };
        let labels =
            labels.get_or_insert_with(|| subject.catalog.namespace_labels(subject.namespace));
        if pool.serves(labels) {
            continue;
        }
        let live_read = LiveRead::Pool {
            name: served.pool.into(),
            // Without a selector, no label matters.
            namespace: pool.namespaces.as_ref().map(|_| subject.namespace.into()),
        };
        let (why, help) = why(pool, subject.namespace);
        report.add_after_live_read(
            live_read,
            served.field_ref(),
            format!(
                "the pool {:?} of network \"{}/{}\" does not serve pods of namespace {:?}: {why}",
                served.pool, served.network.namespace, served.network.name, subject.namespace
            ),
            help,
        );
    }
}

fn why(pool: &Pool, namespace: &str) -> (String, String) {
    match &pool.namespaces {
        None => (
            "it has no namespaceSelector, so it serves none".to_owned(),
            "give the pool a namespaceSelector; {} is every namespace".to_owned(),
        ),
        Some(selector) => (
            format!("its namespaceSelector is {selector}"),
            format!(
                "let the selector select {namespace:?}, label the namespace so, or name another \
                 network"
            ),
        ),
    }
}
