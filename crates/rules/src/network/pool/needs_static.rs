//! `pool-needs-static`: the network's IPAM is not static, so it would not take the pool's addresses.

use super::{ServingPool, ipams};
use crate::{
    Check, Example, Levels, NetworkSubject, Report, Rule, RuleDocs,
    examples::{POOL, POOLED_NET, pooled},
};

pub(crate) const RULE: Rule = Rule {
    code: "pool-needs-static",
    levels: Levels::FAILS,
    summary: "The IPAM of a network with an address pool is not static",
    docs: RuleDocs {
        checks: "Networks with an address pool and an IPAM other than static. A network without \
            IPAM is allowed if the pool has MACs: a VM sets the addresses, or nobody does. If \
            the pool has no MACs, a network without IPAM is only a warning.",
        consequence: "IPAM static assigns only the requested addresses, which are the pool's. \
            dhcp ignores them, Whereabouts adds addresses of its own, and host-local counts on \
            each node separately. The pod then has addresses that no pool records. Without IPAM \
            and MACs, the pool assigns nothing.",
        fix: "Write \"ipam\": {\"type\": \"static\"}, or remove the annotation \
            nadmit.io/address-pool. For a network without IPAM, an administrator can add macs to \
            the pool instead.",
        source: "Run with dhcp v1.9 and Whereabouts v0.9.4 (see ips-ignored and ips-untracked).",
    },
    wrong: Example(&[
        POOL,
        pooled!(
            r#"{"cniVersion": "0.3.1", "type": "macvlan", "capabilities": {"ips": true, "mac": true}, "ipam": {"type": "whereabouts", "range": "192.0.2.192/27"}}"#
        ),
    ]),
    right: Example(&[POOL, POOLED_NET]),
    check: Check::Network(check),
};

fn check(subject: &NetworkSubject<'_>, report: &mut Report<'_>) {
    let Some(served) = ServingPool::of(subject) else {
        return;
    };
    let ipams = ipams(subject);
    for (kind, ipam) in ipams.iter().filter(|(kind, _)| kind != "static") {
        report.add(
            ipam.field_ref("type"),
            format!(
                "the pool {:?} assigns the addresses, but IPAM {kind} does not use them",
                served.name
            ),
            "write \"ipam\": {\"type\": \"static\"}, or remove the annotation \
             nadmit.io/address-pool",
        );
    }
    let no_macs = served.pool.as_ref().is_some_and(|pool| pool.macs.is_none());
    if ipams.is_empty() && no_macs && subject.parsed().is_some() {
        report.add_capped(
            Levels::ADVICE,
            subject.config_ref(),
            format!(
                "the network has no IPAM and the pool {:?} has no MACs, so the pool assigns \
                 nothing",
                served.name
            ),
            "add \"ipam\": {\"type\": \"static\"} to the network; or an administrator adds macs to \
             the pool",
        );
    }
}
