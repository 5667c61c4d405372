//! `pool-not-allowed`: a pool that does not serve pods of this namespace.

use crate::{
    Check, Example, Levels, PodSubject, Report, Rule, RuleDocs,
    examples::{POOL, POOLED_NET, pod, pool},
};
use nadmit_allocation::Pool;
use nadmit_catalog::LiveRead;

pub(crate) const RULE: Rule = Rule {
    code: "pool-not-allowed",
    levels: Levels::AUTHORITY,
    summary: "The network's address pool does not serve the pod's namespace",
    docs: RuleDocs {
        checks: "The namespaceSelector of the network's pool does not select the pod's \
            namespace. {} selects every namespace; a pool without a selector serves none. The \
            labels of the pod's namespace are compared, not those of the network's. Every \
            namespace has the label kubernetes.io/metadata.name. nadmit makes a live lookup of \
            the pool and the namespace before it denies. No setting, profile or label lowers the \
            rule.",
        consequence: "Without the rule, a pod of any namespace could use addresses of the pool \
            by naming its network.",
        fix: "Use a network whose pool serves the namespace. To share the pool, an administrator \
            changes its namespaceSelector, or the labels of the namespace.",
        source: "nadmit, namespaceSelector of AddressPool (docs/pools.md).",
    },
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
        if report.is_full() {
            return;
        }
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
        let (why, help) = why(pool);
        report.add_after_live_read(
            live_read,
            served.field_ref(),
            format!(
                "pool {:?} of network \"{}/{}\" does not serve pods of namespace {:?}: {why}",
                served.pool, served.network.namespace, served.network.name, subject.namespace
            ),
            help,
        );
    }
}

fn why(pool: &Pool) -> (String, String) {
    match &pool.namespaces {
        None => (
            "it has no namespaceSelector".to_owned(),
            "use another network; to share the pool, an administrator adds a namespaceSelector ({} \
             selects every namespace)"
                .to_owned(),
        ),
        Some(selector) => (
            format!("its namespaceSelector is {selector}"),
            "use another network; to share the pool, an administrator changes the selector or the \
             namespace's labels"
                .to_owned(),
        ),
    }
}
