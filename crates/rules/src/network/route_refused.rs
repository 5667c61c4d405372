//! `route-refused`: a route that Linux rejects.

use crate::{
    Attachment, Check, Example, Levels, NetworkSubject, PodSubject, Report, Rule, RuleDocs,
    examples::{STORAGE_NET, network, pod},
    pod::configured_attachment::ConfiguredAttachment,
};
use nadmit_catalog::LiveRead;
use nadmit_cni::{
    configure::{ConfigureFailure, ConfiguredInterface, configures, describe_subnets},
    routing::RouteError,
};

use super::plain_attachment::PlainAttachment;

pub(crate) const RULE: Rule = Rule {
    code: "route-refused",
    levels: Levels::FAILS,
    summary: "Linux refuses a route of the network",
    docs: RuleDocs {
        checks: "Linux refuses a route of the network's IPAM. It refuses a gateway (\"gw\") outside of \
            the interface's subnets, unless an earlier route without a gateway covers it. For IPv4, \
            that earlier route needs \"scope\": 253. It also refuses a gateway that is a broadcast \
            address, the interface's own IPv6 address or \"::\". Link-local gateways of IPv6 always \
            work, and 0.0.0.0 means no gateway. Linux also refuses a route that was added before; \
            bridge's isDefaultGateway adds one. A route with \"scope\": 253 cannot have a gateway, \
            nor use that of an address. An IPv4 destination cannot have host bits. If a pod requests \
            addresses or gets those of a pool, the rule checks the routes with these. It does not \
            check the routes that route-override adds. The rule only warns for sriov, and for \
            host-device by a PCI address, because a DPDK device gets no routes. On a network whose \
            pods can replace the configured addresses, it also only warns.",
        consequence: "A plugin adds the routes of its IPAM one after the other, and fails on the first that \
            Linux refuses. No pod of the network starts.",
        fix: "Write a gateway in a subnet of the interface. To use another gateway, add a route to it \
            with \"scope\": 253 before this route.",
        source: "CNI plugins v1.9, ipam.ConfigureIface; v1.1.1 and v1.10 executed; Linux, fib_check_nh \
            and ip6_validate_gw.",
    },
    wrong: Example(&[
        network!(
            r#"{"cniVersion": "0.3.1", "type": "macvlan", "ipam": {"type": "static", "addresses": [{"address": "192.0.2.5/24"}], "routes": [{"dst": "198.51.100.0/24", "gw": "192.0.3.1"}]}}"#
        ),
        pod!("storage-net"),
    ]),
    right: Example(&[
        STORAGE_NET,
        pod!(r#"[{"name": "storage-net", "ips": ["192.0.2.205/24"]}]"#),
    ]),
    check: Check::NetworkAndPod {
        network: check_network,
        pod: check_pod,
    },
};

fn check_network(subject: &NetworkSubject<'_>, report: &mut Report<'_>) {
    let Some(plain) = PlainAttachment::of(subject) else {
        return;
    };
    let pool = subject.address_pool.filter(|name| !name.is_empty());
    for failure in &plain.configured.failures {
        let ConfigureFailure::Route {
            index,
            gateway_source: by,
            error: refused,
            ..
        } = failure
        else {
            continue;
        };
        // `gateway-outside-subnet` reports the gateways of addresses.
        if by.is_some() && refused.concerns_gateway() {
            continue;
        }
        let (message, help) = describe_failure(failure, &plain.configured);
        let field_ref = plain.route_ref(*index);
        match pool {
            Some(name) if plain.plugin.configures() => {
                let live_read = LiveRead::Pool {
                    name: name.into(),
                    namespace: None,
                };
                report.add_after_live_read(live_read, field_ref, message, help);
            }
            _ => report.add_capped(plain.failure_class(), field_ref, message, help),
        }
    }
}

fn check_pod(subject: &PodSubject<'_>, report: &mut Report<'_>) {
    for attachment in subject.first_attachments() {
        let Some(attached) = ConfiguredAttachment::of(subject, attachment) else {
            continue;
        };
        if !configures(&attached.plugin.kind) {
            continue;
        }
        let class = match attached.plugin.configures() {
            true => Levels::FAILS,
            false => Levels::ADVICE,
        };
        let Some((configured, failure)) = attached.certain_failure() else {
            continue;
        };
        let (what, help) = describe_failure(failure, configured);
        let name = attachment.selection.network_name().unwrap_or_default();
        report.add_capped(
            class,
            field_ref(attachment),
            format!("network \"{name}\" cannot be attached: {what}"),
            format!("in the network, {help}"),
        );
    }
}

fn field_ref<'a>(attachment: Attachment<'_, 'a>) -> crate::FieldRef<'a> {
    match &attachment.selection.ips {
        Some(ips) if !ips.value.is_empty() => {
            attachment.field_ref(attachment.member("ips"), ips.span)
        }
        _ => attachment.field_ref("", attachment.selection.span),
    }
}

/// Returns message and remedy for a failure.
pub(super) fn describe_failure(
    failure: &ConfigureFailure,
    configured: &ConfiguredInterface,
) -> (String, String) {
    let (dst, gateway, index, refused) = match failure {
        ConfigureFailure::Gateway { address: of, fault } => {
            let gateway = of.gateway.map_or("none".to_owned(), |g| g.to_string());
            return (
                format!(
                    "the plugin fails on the gateway of {} ({gateway}): {fault}",
                    of.address.subnet
                ),
                format!("write a gateway in {}", of.address.subnet),
            );
        }
        ConfigureFailure::Route {
            index,
            dst,
            gateway,
            error: refused,
            ..
        } => (dst, gateway, index, *refused),
    };
    let v4 = dst.address.is_ipv4();
    let by = gateway.map_or(String::new(), |gateway| format!(" via {gateway}"));
    let route = match index {
        Some(_) => format!("the route to {dst}{by}"),
        None => format!("the route to {dst}{by} that isDefaultGateway adds"),
    };
    let addresses = configured.routing.addresses();
    match refused {
        RouteError::Unreachable => {
            let has = describe_subnets(addresses, v4);
            (
                format!(
                    "Linux refuses {route}: the interface does not reach the gateway ({has})"
                ),
                "write a gateway in that subnet (\"gw\"), or first a route to it with \"scope\": 253"
                    .to_owned(),
            )
        }
        RouteError::Broadcast
        | RouteError::OwnAddress
        | RouteError::NotARouter
        | RouteError::Family => (
            format!("Linux refuses {route}: {refused}"),
            "write the address of a router in the interface's subnet as gateway".to_owned(),
        ),
        RouteError::LinkScope => (
            format!("Linux refuses {route}: {refused}"),
            "remove \"scope\", or write \"gw\": \"0.0.0.0\" for a route without a gateway"
                .to_owned(),
        ),
        RouteError::NowhereScope => (
            format!("Linux refuses {route}: {refused}"),
            "remove \"scope\"".to_owned(),
        ),
        RouteError::HostBits => (
            format!(
                "Linux refuses the route to {}/{}: {refused}",
                dst.address, dst.prefix
            ),
            format!("write \"dst\": \"{dst}\""),
        ),
        RouteError::Duplicate => (
            format!("Linux refuses {route}: {refused}"),
            match index {
                Some(_) => "remove one of the two routes".to_owned(),
                None => "remove the default route from \"routes\", or remove isDefaultGateway"
                    .to_owned(),
            },
        ),
    }
}
