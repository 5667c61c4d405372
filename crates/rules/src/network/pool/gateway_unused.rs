//! `pool-gateway-unused`: a gateway of the pool that no route of the network uses.

use super::ServingPool;
use crate::{
    Check, Example, Levels, NetworkSubject, Report, Rule, RuleDocs,
    examples::{POOLED_NET, pool, pooled},
    network::fields::Fields,
};
use nadmit_cni::address::parse_address;

pub(crate) const RULE: Rule = Rule {
    code: "pool-gateway-unused",
    levels: Levels::ADVICE,
    summary: "No route of the network uses the pool's gateway",
    docs: RuleDocs {
        checks: "Gateways of the pool that no route of the network's static IPAM names in \
            \"gw\". A gateway of a pool is only an address that the pool never assigns: the pool \
            creates no route. Routes come from the network's configuration, each with its \
            gateway (\"gw\"), or from default-route in a pod's annotation. The rule does not see \
            default-route.",
        consequence: "Without either, none of the pod's traffic uses the gateway.",
        fix: "Add a route with \"gw\" to the static IPAM. If no route is intended, an \
            administrator may write the gateway as an exclude of the pool's range instead.",
        source: "nadmit's AddressPool; the routes of IPAM static.",
    },
    wrong: Example(&[GATEWAY, POOLED_NET]),
    right: Example(&[
        GATEWAY,
        pooled!(
            r#"{"cniVersion": "0.3.1", "type": "macvlan", "capabilities": {"ips": true, "mac": true}, "ipam": {"type": "static", "routes": [{"dst": "198.51.100.0/24", "gw": "192.0.2.193"}]}}"#
        ),
    ]),
    check: Check::Network(check),
};

const GATEWAY: &str =
    pool!("  ranges: [{range: 192.0.2.192/27, gateway: 192.0.2.193}]\n  namespaceSelector: {}");

fn check(subject: &NetworkSubject<'_>, report: &mut Report<'_>) {
    let Some(ServingPool {
        name,
        pool: Some(pool),
    }) = ServingPool::of(subject)
    else {
        return;
    };
    let ipams = Fields::ipams(subject, "static");
    let Some(first) = ipams.first() else { return };
    let routes = ipams.iter().flat_map(|ipam| ipam.objects("routes"));
    let used: Vec<_> = routes
        .filter_map(|route| parse_address(&route.text("gw")?).ok())
        .collect();
    let gateways = pool.ranges.iter().filter_map(|range| range.gateway);
    for gateway in gateways.filter(|gateway| !used.contains(gateway)) {
        report.add(
            first.field_ref("routes"),
            format!(
                "no route uses the gateway {gateway} of the pool {name:?}, which creates no routes"
            ),
            format!("add \"routes\": [{{\"dst\": \"...\", \"gw\": \"{gateway}\"}}] to this IPAM"),
        );
    }
}
