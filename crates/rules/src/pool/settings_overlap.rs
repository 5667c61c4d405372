//! `pool-settings-overlap`: two pools that configure the pool of one network.

use super::{PoolSubject, spec_field};
use crate::{Check, Example, Levels, Report, Rule, RuleDocs, examples::pool};

pub(crate) const RULE: Rule = Rule {
    code: "pool-settings-overlap",
    levels: Levels::ADVICE,
    summary: "Two address pools have settings for the pool of one network",
    docs: RuleDocs {
        checks: "Two AddressPools name one network in whereabouts.networks, or two networks that \
            share a pool. Networks with equal ranges and limits share a pool, whatever their \
            namespaces.",
        consequence: "The AddressPool that comes first by name configures the pool. The settings of \
            the other one have no effect on this network, and it is not Ready.",
        fix: "Name the network in one AddressPool only.",
        source: "docs/pools.md.",
    },
    wrong: Example(&[
        pool!(
            "batch",
            "  whereabouts: {networks: [db/storage-net]}\n  retention: Pod"
        ),
        pool!(
            "storage",
            "  whereabouts: {networks: [db/storage-net]}\n  quarantine: 5m"
        ),
    ]),
    right: Example(&[pool!(
        "  whereabouts: {networks: [db/storage-net]}\n  retention: Pod\n  quarantine: 5m"
    )]),
    check: Check::Pool(check),
};

fn check(subject: &PoolSubject<'_>, report: &mut Report<'_>) {
    let Ok(pool) = &subject.pool else { return };
    for (at, network) in pool.configures.iter().enumerate() {
        for other in subject.catalog.settings_beside(pool, network) {
            if report.is_full() {
                return;
            }
            let (first, second) = match other.name < pool.name {
                true => (&other.name, &pool.name),
                false => (&pool.name, &other.name),
            };
            report.add(
                spec_field(&format!("whereabouts.networks[{at}]")),
                format!(
                    "pools {first:?} and {second:?} configure the pool of network {}/{}; the \
                     settings of {second:?} have no effect on it",
                    network.namespace, network.name
                ),
                "name the network in one of both only",
            );
        }
    }
}
