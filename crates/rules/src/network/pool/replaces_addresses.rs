//! `pool-replaces-addresses`: configured addresses that the pool's addresses replace.

use super::ServingPool;
use crate::{
    Check, Example, Levels, NetworkSubject, Report, Rule, RuleDocs,
    examples::{POOL, POOLED_NET, pooled},
    network::fields::Fields,
};

pub(crate) const RULE: Rule = Rule {
    code: "pool-replaces-addresses",
    levels: Levels::ADVICE,
    summary: "A network with an address pool has configured addresses",
    docs: RuleDocs {
        checks: "Addresses in the static IPAM of a network whose pool assigns addresses.",
        consequence: "The pool's addresses are requested through the capability \"ips\", and so \
            replace the configured ones. The gateways that are configured with these are lost. \
            No pod gets the configured addresses.",
        fix: "Remove \"addresses\", and write each route with its gateway (\"gw\").",
        source: "Run with static v1.9.",
    },
    wrong: Example(&[
        POOL,
        pooled!(
            r#"{"cniVersion": "0.3.1", "type": "macvlan", "capabilities": {"ips": true, "mac": true}, "ipam": {"type": "static", "addresses": [{"address": "192.0.2.200/27"}]}}"#
        ),
    ]),
    right: Example(&[POOL, POOLED_NET]),
    check: Check::Network(check),
};

fn check(subject: &NetworkSubject<'_>, report: &mut Report<'_>) {
    let Some(served) = ServingPool::of(subject).filter(ServingPool::gives_addresses) else {
        return;
    };
    for ipam in Fields::ipams(subject, "static") {
        if ipam.list("addresses").is_empty() {
            continue;
        }
        report.add(
            ipam.field_ref("addresses"),
            format!(
                "the addresses of the pool {:?} replace the configured ones, and their gateways \
                 are lost",
                served.name
            ),
            "remove \"addresses\", and write each route with its gateway (\"gw\")",
        );
    }
}
