//! The rules on `default-route`: `invalid-default-route`, `default-route-conflict`,
//! `empty-default-route`, `default-route-moved`.

use std::net::IpAddr;

use crate::{
    Attachment, Check, Example, Levels, PodSubject, Report, Rule,
    examples::{STORAGE_NET, pod},
};

pub(crate) const INVALID: Rule = Rule {
    code: "invalid-default-route",
    levels: Levels::FAILS,
    summary: "A gateway of the default route is not an address of a router",
    explanation: "default-route is a list of gateways: plain addresses without a prefix. Multus \
        refuses what is not an address and then attaches none of the pod's networks; Linux refuses \
        multicast and loopback gateways. Source: the spec, section 4.1.2.1.9; Multus; Linux, \
        fib_check_nh.",
    wrong: Example(&[
        STORAGE_NET,
        pod!(
            r#"[{"name": "storage-net", "ips": ["192.0.2.205/24"], "default-route": ["192.0.2.1/24"]}]"#
        ),
    ]),
    right: Example(&[
        STORAGE_NET,
        pod!(r#"[{"name": "storage-net", "ips": ["192.0.2.205/24"]}]"#),
    ]),
    check: Check::Pod(invalid),
};

pub(crate) const CONFLICT: Rule = Rule {
    code: "default-route-conflict",
    levels: Levels::FAILS,
    summary: "More than one attachment or gateway wants the default route",
    explanation: "Multus sets one default route a family and fails on a second gateway (\"does not \
        support ECMP\"). The spec is stricter: only one element may carry the key, even if one is \
        for IPv4 and the other for IPv6, which works with Multus and is only warned of. Source: \
        the spec, section 4.1.2.1.9; executed with Multus v4.3.0.",
    wrong: Example(&[
        STORAGE_NET,
        pod!(
            r#"[{"name": "storage-net", "ips": ["192.0.2.205/24"], "default-route": ["192.0.2.1", "192.0.2.2"]}]"#
        ),
    ]),
    right: Example(&[
        STORAGE_NET,
        pod!(r#"[{"name": "storage-net", "ips": ["192.0.2.205/24"]}]"#),
    ]),
    check: Check::Pod(conflict),
};

pub(crate) const EMPTY: Rule = Rule {
    code: "empty-default-route",
    levels: Levels::ADVICE,
    summary: "default-route is an empty list, which can take the pod's default route away",
    explanation: "An empty list names no gateway, but the key is there: Multus up to v4.2.1 then \
        removes the default routes of all interfaces of the pod, that of eth0 and those that the \
        network's own configuration has set, of both families, and sets none. From v4.2.2 on it \
        removes none (up to v4.3.0 at least). Source: Multus, CheckGatewayConfig and \
        netutils.DeleteDefaultGW; v4.3.0 executed.",
    wrong: Example(&[
        STORAGE_NET,
        pod!(r#"[{"name": "storage-net", "ips": ["192.0.2.205/24"], "default-route": []}]"#),
    ]),
    right: Example(&[
        STORAGE_NET,
        pod!(r#"[{"name": "storage-net", "ips": ["192.0.2.205/24"]}]"#),
    ]),
    check: Check::Pod(empty),
};

pub(crate) const MOVED: Rule = Rule {
    code: "default-route-moved",
    levels: Levels::ADVICE,
    summary: "The pod's default route leaves the cluster network",
    explanation: "default-route makes this attachment carry all traffic that no other route \
        claims. Traffic to other pods and to services may then leave by this interface, too, where \
        the cluster network sets no routes of its own. Multus up to v4.2.1 first removes the default \
        routes of the pod's other interfaces, of both families: with gateways of IPv6 alone the pod \
        has no IPv4 default route any more. From v4.2.2 on it removes none (up to v4.3.0 at least), \
        and where the cluster network has set a default route of the same family, that one stays. \
        Source: OpenShift's guide to secondary networks; Multus, netutils.DeleteDefaultGW, v4.3.0 \
        executed.",
    wrong: Example(&[
        STORAGE_NET,
        pod!(
            r#"[{"name": "storage-net", "ips": ["192.0.2.205/24"], "default-route": ["192.0.2.1"]}]"#
        ),
    ]),
    right: Example(&[
        STORAGE_NET,
        pod!(r#"[{"name": "storage-net", "ips": ["192.0.2.205/24"]}]"#),
    ]),
    check: Check::Pod(moved),
};

fn invalid(subject: &PodSubject<'_>, report: &mut Report<'_>) {
    for attachment in subject.attachments() {
        let Some(route) = &attachment.selection.default_route else {
            continue;
        };
        for (index, written) in route.value.iter().enumerate() {
            let field_ref = attachment.field_ref(&format!("default-route[{index}]"), written.span);
            match &written.value {
                Err(error) => report.add(
                    field_ref,
                    format!("{:?} {error}", written.text),
                    "write the router's address without a prefix, such as \"192.0.2.1\"",
                ),
                Ok(gateway) if gateway.is_multicast() || gateway.is_loopback() => report.add(
                    field_ref,
                    format!(
                        "{:?} is not an address of a router: Linux refuses it",
                        written.text
                    ),
                    "write the router's address, such as \"192.0.2.1\"",
                ),
                Ok(IpAddr::V6(gateway)) if gateway.is_unspecified() => report.add(
                    field_ref,
                    "\"::\" is not an address of a router: Linux refuses it",
                    "write the router's address, such as \"2001:db8::1\"",
                ),
                Ok(gateway) if gateway.is_unspecified() => report.add_capped(
                    Levels::MISLEADS,
                    field_ref,
                    format!(
                        "{:?} is not a router: the route would lead nowhere",
                        written.text
                    ),
                    "write the router's address, such as \"192.0.2.1\"",
                ),
                Ok(_) => {}
            }
        }
    }
}

fn conflict(subject: &PodSubject<'_>, report: &mut Report<'_>) {
    let mut carrier: Option<usize> = None;
    let mut gateways: Vec<IpAddr> = Vec::new();
    for attachment in subject.attachments() {
        let Some(route) = &attachment.selection.default_route else {
            continue;
        };
        let field_ref = || attachment.field_ref("default-route", route.span);
        let own = route
            .value
            .iter()
            .filter_map(|gateway| gateway.ok().copied());
        let before = gateways.len();
        gateways.extend(own);
        let second = gateways[before..]
            .iter()
            .enumerate()
            .find(|(offset, gateway)| {
                gateways[..before + offset]
                    .iter()
                    .any(|other| other.is_ipv4() == gateway.is_ipv4())
            });
        if let Some((_, second)) = second {
            let family = if second.is_ipv4() { "IPv4" } else { "IPv6" };
            report.add(
                field_ref(),
                format!("{second} is the second {family} gateway of the pod's default route"),
                "keep one gateway for each family",
            );
        } else if let Some(first) = carrier {
            report.add_capped(
                Levels::SPEC,
                field_ref(),
                format!("element [{first}] carries default-route already"),
                "put the gateways of both families into one element",
            );
        }
        carrier.get_or_insert(attachment.selection.index);
    }
}

fn empty(subject: &PodSubject<'_>, report: &mut Report<'_>) {
    for attachment in subject.attachments() {
        let Some(route) = &attachment.selection.default_route else {
            continue;
        };
        if route.value.is_empty()
            && !attachment
                .request
                .has_fault_at(&attachment.path("default-route"))
        {
            report.add(
                attachment.field_ref("default-route", route.span),
                "\"default-route\": [] sets no default route, and Multus up to v4.2.1 removes those of \
                 all interfaces, eth0's too",
                "leave default-route out: the pod then keeps the default route of the cluster network",
            );
        }
    }
}

fn moved(subject: &PodSubject<'_>, report: &mut Report<'_>) {
    let moves = |attachment: &Attachment<'_, '_>| {
        let route = attachment.selection.default_route.as_ref();
        route.is_some_and(|route| route.value.iter().any(|gateway| gateway.value.is_ok()))
    };
    for attachment in subject.attachments().filter(moves) {
        let Some(route) = &attachment.selection.default_route else {
            continue;
        };
        let families = [true, false].map(|v4| {
            let mut gateways = route.value.iter().filter_map(|gateway| gateway.ok());
            gateways.any(|gateway| gateway.to_canonical().is_ipv4() == v4)
        });
        let removed = match families {
            [true, false] => "; Multus up to v4.2.1 also removes the pod's IPv6 default route",
            [false, true] => "; Multus up to v4.2.1 also removes the pod's IPv4 default route",
            _ => "",
        };
        report.add(
            attachment.field_ref("default-route", route.span),
            format!(
                "all traffic without a route of its own leaves by {}, traffic to other pods perhaps \
                 included{removed}",
                attachment.interface()
            ),
            "make sure that the cluster network keeps its own routes, or leave default-route out",
        );
    }
}
