//! `default-route-unreachable`: a default route by a gateway that the attachment cannot reach.

use std::net::IpAddr;

use crate::{
    Check, Example, Levels, PodSubject, Report, Rule, RuleDocs,
    examples::{STORAGE_NET, pod},
};
use nadmit_cni::{
    configure::{configures, describe_subnets},
    routing::{Route, RouteError},
    text::Parsed,
};

use super::configured_attachment::ConfiguredAttachment;

pub(crate) const RULE: Rule = Rule {
    code: "default-route-unreachable",
    levels: Levels::FAILS,
    summary: "The interface cannot reach the gateway in default-route",
    docs: RuleDocs {
        checks: "The gateway is in no subnet of the interface, and no route of the network without a \
            gateway covers it. Other gateways that Linux refuses, such as the broadcast address of \
            the subnet, are reported too. Link-local IPv6 gateways are reachable on every interface, \
            so they are not reported. Of two gateways, only the refusal of the last one fails the \
            pod, so the other one is only warned of. The rule also only warns if a further plugin of \
            the network can change its routes.",
        consequence: "Multus adds the default route to the interface after the plugins of the network \
            are done. Linux refuses the route, and the pod does not start (\"error setting default \
            gateway\"). If Linux refuses the first of two gateways, its default route is silently \
            missing.",
        fix: "Write the address of a router in the subnet of the interface, or remove default-route.",
        source: "Multus, netutils.SetDefaultGW; run with v4.3.0.",
    },
    wrong: Example(&[
        STORAGE_NET,
        pod!(
            r#"[{"name": "storage-net", "ips": ["192.0.2.205/24"], "default-route": ["198.51.100.1"]}]"#
        ),
    ]),
    right: Example(&[
        STORAGE_NET,
        pod!(r#"[{"name": "storage-net", "ips": ["192.0.2.205/24"]}]"#),
    ]),
    check: Check::Pod(check),
};

fn check(subject: &PodSubject<'_>, report: &mut Report<'_>) {
    for attachment in subject.first_attachments() {
        if report.is_complete() {
            return;
        }
        let Some(route) = &attachment.selection.default_route else {
            continue;
        };
        let readable = route.value.iter().all(|gateway| gateway.value.is_ok());
        let attached = ConfiguredAttachment::of(subject, attachment);
        // Multus also sets no route on a DPDK device, because it finds no interface.
        let Some(attached) = attached.filter(|a| readable && configures(&a.plugin.kind)) else {
            continue;
        };
        if attached.certain_failure().is_some() {
            continue;
        }
        let last = route.value.len().saturating_sub(1);
        for (index, gateway) in route.value.iter().enumerate() {
            if report.is_complete() {
                return;
            }
            let Some((address, refused)) = refusal(gateway, &attached) else {
                continue;
            };
            let reach = &attached.possible[0].routing;
            let why = match refused {
                RouteError::Unreachable => format!(
                    "the interface cannot reach it ({})",
                    describe_subnets(reach.addresses(), address.is_ipv4())
                ),
                other => other.to_string(),
            };
            let (levels, outcome) = match (index == last, attached.is_final()) {
                (true, true) => (Levels::FAILS, "the pod does not start"),
                (true, false) => (
                    Levels::ADVICE,
                    "the pod does not start unless another plugin of the network adds a route to it",
                ),
                (false, _) => (Levels::ADVICE, "this default route is missing"),
            };
            report.add_capped(
                levels,
                attachment.field_ref(&format!("default-route[{index}]"), gateway.span),
                format!(
                    "Linux refuses the default route via {address} on {}: {why}, so {outcome}",
                    attachment.interface()
                ),
                "write the address of a router in the interface's subnet, or remove default-route",
            );
        }
    }
}

/// Returns the reason why Linux rejects the gateway, if it does so on every possible interface.
fn refusal<E>(
    gateway: &Parsed<'_, IpAddr, E>,
    attached: &ConfiguredAttachment<'_>,
) -> Option<(IpAddr, RouteError)> {
    let address = gateway.ok()?.to_canonical();
    // `invalid-default-route` reports these.
    if address.is_multicast() || address.is_loopback() || address.is_unspecified() {
        return None;
    }
    let route = Route::default_via(address);
    let mut refusals = attached
        .possible
        .iter()
        .map(|configured| configured.routing.check(&route).err());
    let first = refusals.next()??;
    refusals
        .all(|refused| refused.is_some())
        .then_some((address, first))
}
