//! The rules on `default-route`: `invalid-default-route`, `default-route-conflict`,
//! `empty-default-route`, `default-route-moved`.

use std::net::IpAddr;

use crate::{
    Attachment, Check, Example, Levels, PodSubject, Report, Rule, RuleDocs,
    examples::{STORAGE_NET, pod},
};

pub(crate) const INVALID: Rule = Rule {
    code: "invalid-default-route",
    levels: Levels::FAILS,
    summary: "A gateway in default-route is not the address of a router",
    docs: RuleDocs {
        checks: "default-route is a list of gateways, which are addresses without a prefix length. The \
            rule reports a gateway that is not an address, and multicast, loopback and unspecified \
            addresses. Linux accepts 0.0.0.0, so the profile multus only warns of it.",
        consequence: "Multus refuses a gateway that is not an address, and attaches none of the pod's \
            networks. Linux refuses multicast and loopback gateways and ::. A default route via \
            0.0.0.0 does not lead to any router.",
        fix: "Write the address of the router without a prefix length, or remove default-route.",
        source: "The spec, section 4.1.2.1.9; Multus; Linux, fib_check_nh.",
    },
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
    summary: "More than one network entry or gateway sets the default route",
    docs: RuleDocs {
        checks: "A pod has two gateways of one IP family in default-route, in one network entry or in \
            several. The spec is stricter and allows the key in only one network entry. Two network \
            entries with gateways of different IP families work with Multus, so this case is only \
            warned of, except in the profile strict.",
        consequence: "Multus sets one default route per IP family and fails on a second gateway \
            (\"does not support ECMP\").",
        fix: "Keep one gateway of each IP family, and write both into one network entry.",
        source: "The spec, section 4.1.2.1.9; run with Multus v4.3.0.",
    },
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
    summary: "default-route is an empty list, which can remove the pod's default route",
    docs: RuleDocs {
        checks: "The key default-route is present, but its list is empty and names no gateway.",
        consequence: "Multus up to v4.2.1 removes the default routes of all interfaces of the pod, \
            IPv4 and IPv6, and sets none. These are the route of eth0 and the routes from the \
            network's own configuration. Multus from v4.2.2 to at least v4.3.0 removes none.",
        fix: "Remove default-route to keep the default route of the cluster network.",
        source: "Multus, CheckGatewayConfig and netutils.DeleteDefaultGW; run with v4.3.0.",
    },
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
    summary: "default-route moves the pod's default route away from the cluster network",
    docs: RuleDocs {
        checks: "default-route makes this attachment carry all traffic without a more specific route. \
            The rule is a reminder and only warns.",
        consequence: "Traffic to other pods and to services can also leave by this interface if the \
            cluster network sets no routes of its own. Multus up to v4.2.1 first removes the default \
            routes of the pod's other interfaces, IPv4 and IPv6. With only IPv6 gateways, the pod \
            then has no IPv4 default route. Multus from v4.2.2 to at least v4.3.0 removes none. A \
            default route of the same IP family that the cluster network has set then stays.",
        fix: "Check that the cluster network sets its own routes to pods and services. Remove \
            default-route if the attachment is not meant to carry this traffic.",
        source: "OpenShift's guide to secondary networks; Multus, netutils.DeleteDefaultGW; run with \
            v4.3.0.",
    },
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
        if report.is_complete() {
            return;
        }
        let Some(route) = &attachment.selection.default_route else {
            continue;
        };
        for (index, written) in route.value.iter().enumerate() {
            if report.is_complete() {
                return;
            }
            let field_ref = attachment.field_ref(&format!("default-route[{index}]"), written.span);
            match &written.value {
                Err(error) => report.add(
                    field_ref,
                    format!("{:?} {error}", written.text),
                    "write the router's address without a prefix length, such as \"192.0.2.1\"",
                ),
                Ok(gateway) if gateway.is_multicast() || gateway.is_loopback() => report.add(
                    field_ref,
                    format!(
                        "Linux refuses the gateway {:?}, which is a {} address",
                        written.text,
                        if gateway.is_multicast() {
                            "multicast"
                        } else {
                            "loopback"
                        }
                    ),
                    "write the router's address, such as \"192.0.2.1\"",
                ),
                Ok(IpAddr::V6(gateway)) if gateway.is_unspecified() => report.add(
                    field_ref,
                    "Linux refuses the gateway \"::\", which is not the address of a router",
                    "write the router's address, such as \"2001:db8::1\"",
                ),
                Ok(gateway) if gateway.is_unspecified() => report.add_capped(
                    Levels::MISLEADS,
                    field_ref,
                    format!(
                        "{:?} is not the address of a router, so the default route reaches no router",
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
        if report.is_complete() {
            return;
        }
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
                "keep one gateway of each IP family",
            );
        } else if let Some(first) = carrier {
            report.add_capped(
                Levels::SPEC,
                field_ref(),
                format!("network entry [{first}] already has default-route"),
                "write the gateways of both IP families into one network entry",
            );
        }
        carrier.get_or_insert(attachment.selection.index);
    }
}

fn empty(subject: &PodSubject<'_>, report: &mut Report<'_>) {
    for attachment in subject.attachments() {
        if report.is_complete() {
            return;
        }
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
                 all interfaces, including eth0",
                "remove default-route to keep the default route of the cluster network",
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
        if report.is_complete() {
            return;
        }
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
                "traffic without a more specific route leaves by {}, perhaps also traffic to other \
                 pods{removed}",
                attachment.interface()
            ),
            "check that the cluster network sets its own routes, or remove default-route",
        );
    }
}
