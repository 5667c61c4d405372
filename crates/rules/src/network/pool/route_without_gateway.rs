//! `pool-route-without-gateway`: a route without a gateway, which the pool's addresses do not bring.

use super::ServingPool;
use crate::{
    Check, Example, Levels, NetworkSubject, Report, Rule, RuleDocs,
    examples::{POOL, POOLED_NET, pooled},
    network::fields::Fields,
};

pub(crate) const RULE: Rule = Rule {
    code: "pool-route-without-gateway",
    levels: Levels::MISLEADS,
    summary: "A route of a network with an address pool has no gateway",
    docs: RuleDocs {
        checks: "Routes without \"gw\" in the static IPAM of a network whose pool assigns \
            addresses. A route with \"scope\": 253 is not reported: its destinations are on the \
            L2 segment. On a network with an inline pool, the rule only warns, and only if its \
            IPAM has the \"gateway\" of Whereabouts.",
        consequence: "A route without \"gw\" uses the gateway that is configured with an address \
            of its IP family. The pool's addresses come without gateways, so the route leads \
            nowhere: the pod looks for its destinations on the L2 segment.",
        fix: "Add \"gw\" with the gateway's address. If the destinations are on the L2 segment, \
            write \"scope\": 253.",
        source: "CNI plugins v1.9, ipam.ConfigureIface.",
    },
    wrong: Example(&[
        POOL,
        pooled!(
            r#"{"cniVersion": "0.3.1", "type": "macvlan", "capabilities": {"ips": true, "mac": true}, "ipam": {"type": "static", "routes": [{"dst": "198.51.100.0/24"}]}}"#
        ),
    ]),
    right: Example(&[POOL, POOLED_NET]),
    check: Check::Network(check),
};

/// `RT_SCOPE_LINK`: the destination is on the link, so the route needs no gateway.
const ON_LINK: i64 = 253;

fn check(subject: &NetworkSubject<'_>, report: &mut Report<'_>) {
    let Some(served) = ServingPool::of(subject).filter(ServingPool::gives_addresses) else {
        return;
    };
    for ipam in Fields::ipams(subject, "static") {
        for route in ipam.objects("routes") {
            if route.text("gw").is_some() || route.integer("scope") == Some(ON_LINK) {
                continue;
            }
            let message = format!(
                "the route has no gateway, and the pool {:?} assigns addresses without one",
                served.name
            );
            let help = "add \"gw\" with the gateway's address, such as \"192.0.2.1\"";
            match (served.is_inline(), ipam.text("gateway")) {
                (false, _) => report.add(route.own_ref(), message, help),
                // Whereabouts used its gateway for the route, and without one the route was the same.
                (true, Some(_)) => {
                    report.add_capped(Levels::ADVICE, route.own_ref(), message, help);
                }
                (true, None) => {}
            }
        }
    }
}
