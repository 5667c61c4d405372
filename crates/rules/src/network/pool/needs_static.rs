//! `pool-needs-static`: the network's IPAM is not static, so it would not take the pool's addresses.

use super::{ServingPool, ipams};
use crate::{
    Check, Example, Levels, NetworkSubject, Report, Rule,
    examples::{POOL, POOLED_NET, pooled},
};

pub(crate) const RULE: Rule = Rule {
    code: "pool-needs-static",
    levels: Levels::FAILS,
    summary: "A network with an address pool has another IPAM than static",
    explanation: "IPAM static gives an interface the addresses that are asked for, and nothing \
        else: these are the pool's. dhcp ignores them, Whereabouts gives its own beside them, \
        host-local counts each node for itself; then the pod has addresses that no pool knows of. \
        A network without IPAM is right for MACs alone, where a VM or nobody sets addresses; with \
        a pool that has no MACs nothing at all would be given, which is warned of. Source: \
        executed with dhcp v1.9 and Whereabouts v0.9.4 (see ips-ignored and ips-untracked).",
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
                "the pool {:?} gives the addresses, but IPAM {kind} does not take them",
                served.name
            ),
            "write \"ipam\": {\"type\": \"static\"}, or remove the annotation \
             nadmit.io/address-pool",
        );
    }
    let no_macs = served.pool.is_some_and(|pool| pool.macs.is_none());
    if ipams.is_empty() && no_macs && subject.parsed().is_some() {
        report.add_capped(
            Levels::ADVICE,
            subject.config_ref(),
            format!(
                "the network has no IPAM and the pool {:?} no MACs, so the pool gives nothing here",
                served.name
            ),
            "add \"ipam\": {\"type\": \"static\"} to the network, or macs to the pool",
        );
    }
}
