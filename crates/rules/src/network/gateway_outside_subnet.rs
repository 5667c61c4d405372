//! `gateway-outside-subnet`: a gateway outside of every subnet of the interface.

use std::net::IpAddr;

use crate::{
    Check, Example, Levels, NetworkSubject, Report, Rule, RuleDocs,
    examples::{STORAGE_NET, network},
};
use nadmit_cni::{
    configure::{AddressSource, AssignedAddress, ConfigureFailure, describe_subnets},
    ipam::Ipam,
    routing::Route,
};

use super::{plain_attachment::PlainAttachment, route_refused::describe_failure};

pub(crate) const RULE: Rule = Rule {
    code: "gateway-outside-subnet",
    levels: Levels::FAILS,
    summary: "A gateway is not in the subnet of its addresses",
    docs: RuleDocs {
        checks: "The gateway of an address is not in a subnet of the interface. Routes without a gateway \
            (\"gw\") use the first gateway of their family, and so does the default route that \
            bridge's isDefaultGateway adds. The rule also reports an address of ptp without a \
            gateway. A bridge with isGateway has the gateway as its own address, so the rule reports \
            a gateway that the bridge cannot have. The rule only warns if no route uses the gateway, \
            or if pods can replace the addresses. It also only warns if the plugin may set no \
            routes, as for a DPDK device. For host-local, the warning includes gateways that are \
            link-local, 0.0.0.0 or \"::\". Elsewhere link-local gateways of IPv6 are accepted. \
            0.0.0.0 means no gateway there, and so does \"::\" if no route uses it.",
        consequence: "Linux refuses a route through a gateway that the interface does not reach. The plugin \
            fails, and no pod of the network starts. ptp and bridge also fail on a gateway that they \
            cannot use. A gateway that no route uses has no effect, but host-local refuses it from \
            v1.10 on.",
        fix: "Write a gateway in the subnet of the address, or remove the gateway. For ptp, write a \
            gateway with each address.",
        source: "CNI plugins v1.9, ipam.ConfigureIface, bridge and ptp; v1.1.1 and v1.10 executed; \
            Whereabouts v0.9.4.",
    },
    wrong: Example(&[network!(
        r#"{"cniVersion": "0.3.1", "type": "macvlan", "ipam": {"type": "static", "addresses": [{"address": "192.0.2.5/24", "gateway": "192.0.3.1"}], "routes": [{"dst": "0.0.0.0/0"}]}}"#
    )]),
    right: Example(&[STORAGE_NET]),
    check: Check::Network(check),
};

fn check(subject: &NetworkSubject<'_>, report: &mut Report<'_>) {
    let Some(plain) = PlainAttachment::of(subject) else {
        return;
    };
    let mut reported = Vec::new();
    for failure in &plain.configured.failures {
        let (source, gateway) = match failure {
            ConfigureFailure::Route {
                gateway_source: Some(by),
                error: refused,
                ..
            } if refused.concerns_gateway() => (by.source, by.gateway),
            ConfigureFailure::Gateway { address: of, .. } => (of.source, of.gateway),
            ConfigureFailure::Route { .. } => continue,
        };
        if reported.contains(&source) {
            continue;
        }
        reported.push(source);
        let (message, _) = describe_failure(failure, &plain.configured);
        report.add_capped(
            plain.failure_class(),
            plain.gateway_ref(source),
            message,
            help(&plain, source, gateway),
        );
    }
    for given in &plain.addresses {
        let source = shared_source(given.source, &plain);
        if !reported.contains(&given.source) && !reported.contains(&source) {
            check_unused(&plain, given, report);
            reported.push(source);
        }
    }
}

/// Maps the sources of all ranges of Whereabouts to one, because they share one gateway.
fn shared_source(source: AddressSource, plain: &PlainAttachment<'_, '_>) -> AddressSource {
    match (source, &plain.plugin.ipam) {
        (AddressSource::Range { .. }, Some(Ipam::Whereabouts(_))) => {
            AddressSource::Range { set: 0, index: 0 }
        }
        _ => source,
    }
}

/// Reports a gateway that no route uses and that the interface cannot reach.
fn check_unused(plain: &PlainAttachment<'_, '_>, given: &AssignedAddress, report: &mut Report<'_>) {
    let Some(gateway) = given.gateway else {
        return;
    };
    let is_host_local = matches!(plain.plugin.ipam, Some(Ipam::HostLocal(_)));
    let is_link_local = matches!(gateway, IpAddr::V6(v6) if v6.is_unicast_link_local());
    if !is_host_local && (gateway.is_unspecified() || is_link_local) {
        return;
    }
    let in_own = given.address.subnet.range().contains(gateway);
    let in_any = plain
        .addresses
        .iter()
        .any(|given| given.address.subnet.range().contains(gateway));
    let reached = plain
        .configured
        .routing
        .check(&Route::default_via(gateway))
        .is_ok();
    if in_own || (!is_host_local && (in_any || reached)) {
        return;
    }
    let own = if is_host_local {
        given.address.subnet.to_string()
    } else {
        let v4 = gateway.is_ipv4();
        describe_subnets(plain.configured.routing.addresses(), v4)
    };
    let message = if is_host_local {
        format!("the gateway {gateway} is not in {own}, which host-local refuses from v1.10 on")
    } else {
        format!(
            "the gateway {gateway} is not in a subnet of the interface ({own}), so Linux would refuse \
             a route via it"
        )
    };
    report.add_capped(
        Levels::ADVICE,
        plain.gateway_ref(given.source),
        message,
        help(plain, given.source, given.gateway),
    );
}

/// Returns the remedy: a gateway in the interface's subnet of the same family, or none.
fn help(plain: &PlainAttachment<'_, '_>, source: AddressSource, gateway: Option<IpAddr>) -> String {
    let fits = |given: &&AssignedAddress| {
        gateway.is_none_or(|gateway| gateway.is_ipv4() == given.address.subnet.address.is_ipv4())
    };
    let own = |given: &&AssignedAddress| given.source == source;
    let all = || plain.addresses.iter().filter(fits);
    match all().find(own).or_else(|| all().next()) {
        Some(given) => format!(
            "write a gateway in {}, or remove the gateway",
            given.address.subnet
        ),
        None => "remove the gateway: the interface has no address of its family".to_owned(),
    }
}
