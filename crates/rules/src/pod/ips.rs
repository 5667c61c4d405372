//! The rules on how IPAM plugins handle requested addresses: `ips-ignored`, `ips-untracked`,
//! `ips-two-families`, `no-address`, `replaced-addresses`.

use crate::{
    Attachment, Check, Example, Levels, PodSubject, Report, Rule, RuleDocs,
    examples::{BRIDGE_NET, CONFIGURED_NET, DHCP_NET, MACVLAN_CONF, STORAGE_NET, pod},
};
use nadmit_cni::{
    AddressRequest, Selection,
    address::AddressError,
    cni::{Capability, NetworkConfig},
    ipam::{Ipam, StaticIpam},
    json::ValueKind,
    selection::SelectionMember,
    text::Parsed,
};

pub(crate) const IGNORED: Rule = Rule {
    code: "ips-ignored",
    levels: Levels::MISLEADS,
    summary: "Addresses are requested on a network that assigns none, or only its own",
    docs: RuleDocs {
        checks: "\"ips\" is set on a network with IPAM dhcp, or on one without IPAM. Without \
            IPAM, the plugins macvlan, ipvlan, bridge, vlan and host-device are considered, and \
            only the profile strict denies: a VM may read the annotation itself.",
        consequence: "With IPAM dhcp, a DHCP server outside of the cluster chooses the address. \
            \"ips\" is not passed on, and the pod runs with another address than it requested. \
            Without IPAM, the interface gets no address at all.",
        fix: "Remove \"ips\" and set the address in the DHCP server, or use a network with IPAM \
            static. If the network has no IPAM, remove \"ips\", or its author adds \"ipam\": \
            {\"type\": \"static\"}.",
        source: "Executed with dhcp v1.9.",
    },
    wrong: Example(&[
        DHCP_NET,
        pod!(r#"[{"name": "dhcp-net", "ips": ["192.0.2.205/24"]}]"#),
    ]),
    right: Example(&[DHCP_NET, pod!(r#"[{"name": "dhcp-net"}]"#)]),
    check: Check::Pod(ignored),
};

pub(crate) const UNTRACKED: Rule = Rule {
    code: "ips-untracked",
    levels: Levels::MISLEADS,
    summary: "An address is requested on a Whereabouts network with a range",
    docs: RuleDocs {
        checks: "\"ips\" is set on a network with IPAM Whereabouts and a range. Networks that \
            nadmit serves (whereabouts: serve) are exempt in namespaces with the label \
            nadmit.io/injection: enabled.",
        consequence: "Whereabouts assigns the next address of its range anyway. It adds the \
            requested address to the interface without recording it, so that another pod may \
            later get the same address.",
        fix: "Remove \"ips\", use a network with IPAM static for chosen addresses, or let nadmit \
            serve the network (docs/how-to/serve-whereabouts.md).",
        source: "Executed with Whereabouts v0.9.4; whereabouts issues 15 and 394.",
    },
    wrong: Example(&[
        MACVLAN_CONF,
        pod!(r#"[{"name": "macvlan-conf", "ips": ["192.0.2.205/27"]}]"#),
    ]),
    right: Example(&[MACVLAN_CONF, pod!(r#"[{"name": "macvlan-conf"}]"#)]),
    check: Check::Pod(untracked),
};

pub(crate) const TWO_FAMILIES: Rule = Rule {
    code: "ips-two-families",
    levels: Levels::FAILS,
    summary: "IPv4 and IPv6 addresses are requested on a host-local network",
    docs: RuleDocs {
        checks: "\"ips\" has both IPv4 and IPv6 addresses on a network with IPAM host-local.",
        consequence: "host-local looks for each requested address in every one of its ranges, \
            and fails when a range has another family. Two families always fail, and the pod \
            stays in ContainerCreating.",
        fix: "Request addresses of one family, or use a network with IPAM static.",
        source: "Executed with host-local v1.9.",
    },
    wrong: Example(&[
        BRIDGE_NET,
        pod!(r#"[{"name": "bridge-net", "ips": ["198.51.100.5", "2001:db8::5"]}]"#),
    ]),
    right: Example(&[
        STORAGE_NET,
        pod!(r#"[{"name": "storage-net", "ips": ["192.0.2.205/24", "2001:db8::5/64"]}]"#),
    ]),
    check: Check::Pod(two_families),
};

pub(crate) const NO_ADDRESS: Rule = Rule {
    code: "no-address",
    levels: Levels::FAILS,
    summary: "A network has no address to assign, and the pod requests none",
    docs: RuleDocs {
        checks: "IPAM static assigns only configured and requested addresses; so does \
            Whereabouts without a range. The rule reports a pod that requests no address, \
            neither by \"ips\" nor by cni-args, on a network that configures none. Networks with \
            an address pool are exempt, and so is a Whereabouts network that names a file on the \
            node (configuration_path).",
        consequence: "The plugin fails (\"IPAM plugin returned missing IP config\"), and the pod \
            stays in ContainerCreating.",
        fix: "Request an address, such as [{\"name\": \"storage-net\", \"ips\": \
            [\"192.0.2.205/24\"]}]. On a Whereabouts network, its author can add a range \
            instead: the key is \"range\", not host-local's \"subnet\".",
        source: "Executed with static and macvlan v1.9; Whereabouts v0.9.4, LoadIPAMConfig.",
    },
    wrong: Example(&[STORAGE_NET, pod!("storage-net")]),
    right: Example(&[
        STORAGE_NET,
        pod!(r#"[{"name": "storage-net", "ips": ["192.0.2.205/24"]}]"#),
    ]),
    check: Check::Pod(no_address),
};

pub(crate) const REPLACED: Rule = Rule {
    code: "replaced-addresses",
    levels: Levels::ADVICE,
    summary: "Requested addresses replace the network's configured ones",
    docs: RuleDocs {
        checks: "\"ips\" is set on a network with the capability \"ips\" and with addresses \
            configured in IPAM static.",
        consequence: "The requested addresses replace those in the network's configuration. The \
            gateways that are configured with them are lost.",
        fix: "Write all addresses that the pod needs into \"ips\", or remove \"ips\".",
        source: "Executed with static v1.9.",
    },
    wrong: Example(&[
        CONFIGURED_NET,
        pod!(r#"[{"name": "configured-net", "ips": ["192.0.2.205/24"]}]"#),
    ]),
    right: Example(&[CONFIGURED_NET, pod!(r#"[{"name": "configured-net"}]"#)]),
    check: Check::Pod(replaced),
};

/// Returns the attachments whose network configuration is valid.
fn loaded_attachments<'s, 'a: 's>(
    subject: &'s PodSubject<'a>,
) -> impl Iterator<Item = (Attachment<'s, 'a>, &'a NetworkConfig)> {
    subject
        .attachments()
        .filter_map(|attachment| Some((attachment, attachment.network()?.config.loaded()?)))
}

/// Returns the requested addresses, if there are any.
fn requested_ips<'s, 'a>(attachment: Attachment<'s, 'a>) -> Option<RequestedIps<'s, 'a>> {
    let ips = attachment
        .selection
        .ips
        .as_ref()
        .filter(|ips| !ips.value.is_empty())?;
    let (written, span) = (&*ips.value, ips.span);
    Some(RequestedIps {
        attachment,
        span,
        written,
    })
}

struct RequestedIps<'s, 'a> {
    attachment: Attachment<'s, 'a>,
    span: nadmit_cni::Span,
    written: &'s [Parsed<'a, AddressRequest, AddressError>],
}

impl<'a> RequestedIps<'_, 'a> {
    fn field_ref(&self) -> crate::FieldRef<'a> {
        self.attachment.field_ref("ips", self.span)
    }
}

fn ignored(subject: &PodSubject<'_>, report: &mut Report<'_>) {
    for (attachment, config) in loaded_attachments(subject) {
        let Some(ips) = requested_ips(attachment) else {
            continue;
        };
        match config.ipam() {
            Some(Ipam::Dhcp(_)) => report.add(
                ips.field_ref(),
                "a DHCP server assigns the addresses of the network, and \"ips\" is ignored",
                "remove \"ips\" and set the address in the DHCP server, or use a network with IPAM \
                 static",
            ),
            None if makes_plain_interfaces(config) => report.add_capped(
                Levels::SPEC,
                ips.field_ref(),
                "the network has no IPAM, so the interface does not get these addresses",
                "remove \"ips\"; to keep it, the network's author adds \"ipam\": {\"type\": \"static\"}",
            ),
            _ => {}
        }
    }
}

/// Returns true if the main plugin is known to take addresses only from IPAM.
fn makes_plain_interfaces(config: &NetworkConfig) -> bool {
    const KINDS: [&str; 5] = ["macvlan", "ipvlan", "bridge", "vlan", "host-device"];
    config
        .main()
        .is_some_and(|plugin| KINDS.contains(&plugin.family()))
}

fn untracked(subject: &PodSubject<'_>, report: &mut Report<'_>) {
    for (attachment, config) in loaded_attachments(subject) {
        let Some(ips) = requested_ips(attachment) else {
            continue;
        };
        let Some(Ipam::Whereabouts(found)) = config.ipam() else {
            continue;
        };
        let Some(range) = found.ranges.first() else {
            continue;
        };
        // nadmit takes the request out of the annotation, and gives the address by a record.
        let network = attachment.network();
        let is_served = network.is_some_and(|network| network.served_ipam().is_some());
        if is_served && subject.has_injection_label() {
            continue;
        }
        report.add(
            ips.field_ref(),
            format!(
                "Whereabouts assigns an address of {} anyway, and adds these without recording them",
                range.range
            ),
            "remove \"ips\", or use a network with IPAM static for chosen addresses",
        );
    }
}

fn two_families(subject: &PodSubject<'_>, report: &mut Report<'_>) {
    for (attachment, config) in loaded_attachments(subject) {
        let Some(ips) = requested_ips(attachment) else {
            continue;
        };
        let mut parsed = ips.written.iter().filter_map(Parsed::ok);
        let first = parsed.next().map(|ip| ip.address.is_ipv4());
        let mixed = parsed.any(|ip| Some(ip.address.is_ipv4()) != first);
        if mixed && matches!(config.ipam(), Some(Ipam::HostLocal(_))) {
            report.add(
                ips.field_ref(),
                "host-local fails on requested addresses of two families",
                "request one family, or use a network with IPAM static",
            );
        }
    }
}

fn no_address(subject: &PodSubject<'_>, report: &mut Report<'_>) {
    for (attachment, config) in loaded_attachments(subject) {
        let Some((ipam, advice)) = config.ipam().and_then(without_address) else {
            continue;
        };
        // `unknown-pool` reports pools that are missing or invalid.
        let pool = attachment.network().and_then(|n| n.pool());
        let pool = pool.is_some_and(|name| {
            let pool = subject.catalog.pool(name).valid();
            pool.is_none_or(|pool| !pool.ranges.is_empty())
        });
        if pool || asks_for_addresses(attachment.selection) {
            continue;
        }
        let name = attachment.selection.network_name().unwrap_or_default();
        report.add(
            attachment.field_ref("", attachment.selection.span),
            format!("network \"{name}\" has no address to assign: its IPAM is {ipam}"),
            format!(
                "request one: [{{\"name\": \"{name}\", \"ips\": [\"192.0.2.205/24\"]}}]{advice}"
            ),
        );
    }
}

/// Returns description and remedy for an IPAM that assigns no address on its own.
fn without_address(ipam: &Ipam) -> Option<(&'static str, String)> {
    match ipam {
        Ipam::Static(found) if found.addresses.is_empty() => {
            Some(("static without addresses", String::new()))
        }
        // A file on the node may contain the range.
        Ipam::Whereabouts(found)
            if found.ranges.is_empty() && found.addresses.is_empty() && !found.has_file =>
        {
            let advice = match &found.misnamed_range {
                Some(key) => {
                    format!(", or the network's author writes \"range\" instead of \"{key}\"")
                }
                None => ", or the network's author adds \"range\" to its IPAM".to_owned(),
            };
            Some(("whereabouts without a range", advice))
        }
        _ => None,
    }
}

/// Returns true if the selection requests addresses by `ips` or `cni-args`. Malformed requests count,
/// because other rules report them.
fn asks_for_addresses(selection: &Selection<'_>) -> bool {
    let by_ips = || {
        selection
            .ips
            .as_ref()
            .is_some_and(|ips| !ips.value.is_empty())
    };
    let by_args = || {
        let args = selection.cni_args.as_ref()?;
        let mut ips = args.named("ips").map(|member| member.value);
        Some(!args.list("ips").is_empty() || ips.any(|ips| ips.elements().is_none()))
    };
    let malformed = || {
        selection
            .members
            .iter()
            .any(|SelectionMember { member, key }| {
                let kind = member.value.kind();
                *key == Some("ips") && kind != ValueKind::Null && kind != ValueKind::List
            })
    };
    by_ips() || by_args().unwrap_or(false) || malformed()
}

fn replaced(subject: &PodSubject<'_>, report: &mut Report<'_>) {
    for (attachment, config) in loaded_attachments(subject) {
        let Some(ips) = requested_ips(attachment) else {
            continue;
        };
        let Some(Ipam::Static(StaticIpam { addresses, .. })) = config.ipam() else {
            continue;
        };
        if addresses.is_empty() || !config.has(Capability::Ips) {
            continue;
        }
        let gateways = addresses
            .iter()
            .filter(|address| address.gateway.is_some())
            .count();
        let lost = if gateways > 0 {
            ", and their gateways are lost"
        } else {
            ""
        };
        let configured: Vec<&str> = addresses.iter().map(|address| &*address.address).collect();
        report.add(
            ips.field_ref(),
            format!(
                "these addresses replace the network's own ({}){lost}",
                configured.join(", ")
            ),
            "write all addresses that the pod needs into \"ips\", or remove \"ips\"",
        );
    }
}
