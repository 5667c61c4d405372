//! `gateway-outside-subnet`: a gateway outside of every subnet of the interface.

use std::net::IpAddr;

use crate::{
    Check, Example, Levels, NetworkSubject, Report, Rule,
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
    explanation: "The gateway that comes with an address is used by routes without a gateway of \
        their own (\"gw\"), the first of each family, and by the default route that bridge's \
        isDefaultGateway adds. If the interface does not reach it Linux refuses such a route, and no \
        pod starts. ptp needs a gateway with each address, and a bridge with isGateway has the \
        gateway as its own address: what they cannot take fails, too. Where no route uses a gateway \
        that is outside of the subnet nothing fails, and it is only warned of; host-local refuses it \
        from v1.10 on, a link-local one, 0.0.0.0 and \"::\" too. Elsewhere link-local gateways of IPv6 \
        are left alone, 0.0.0.0 means none, and so does \"::\" where no route uses it. Source: CNI plugins v1.9, \
        ipam.ConfigureIface, bridge and ptp; v1.1.1 and v1.10 executed; Whereabouts v0.9.4.",
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
        format!("the gateway {gateway} is not in {own}, and host-local refuses that from v1.10 on")
    } else {
        format!(
            "the gateway {gateway} is in no subnet of the interface ({own}), and a route by it would \
             be refused"
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
            "write an address of {} as gateway, or leave the gateway out",
            given.address.subnet
        ),
        None => "leave the gateway out: the interface has no address of its family".to_owned(),
    }
}
