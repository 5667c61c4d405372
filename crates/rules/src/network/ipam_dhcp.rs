//! `invalid-dhcp-ipam`: options that the DHCP daemon does not know.

use crate::{
    Check, Example, Levels, NetworkSubject, Report, Rule, RuleDocs,
    examples::{DHCP_NET, network},
};

use super::fields::{
    FieldType::{Boolean, Integer, Objects, Text},
    Fields, alternatives, quoted,
};

pub(crate) const RULE: Rule = Rule {
    code: "invalid-dhcp-ipam",
    levels: Levels::FAILS,
    summary: "IPAM dhcp does not know its options",
    docs: RuleDocs {
        checks: "provide or request is not a list of objects with an \"option\" that IPAM dhcp knows. The \
            options are dhcp-client-identifier, subnet-mask, routers, host-name, user-class, \
            vendor-class-identifier, or a number from 0 to 255 as a string. An entry of request with \
            skipDefault needs no option. daemonSocketPath is a string; the rule only warns if it is \
            not an absolute path.",
        consequence: "The DHCP daemon fails on any other option, and no pod of the network starts.",
        fix: "Write an option that the daemon knows, or its number as a string.",
        source: "dhcp v1.9, parseOptionName.",
    },
    wrong: Example(&[network!(
        r#"{"cniVersion": "0.3.1", "type": "macvlan", "ipam": {"type": "dhcp", "request": [{"option": "router"}]}}"#
    )]),
    right: Example(&[DHCP_NET]),
    check: Check::Network(check),
};

const OPTIONS: [&str; 6] = [
    "dhcp-client-identifier",
    "subnet-mask",
    "routers",
    "host-name",
    "user-class",
    "vendor-class-identifier",
];

fn check(subject: &NetworkSubject<'_>, report: &mut Report<'_>) {
    for ipam in Fields::ipams(subject, "dhcp") {
        ipam.check_types(
            &[
                ("daemonSocketPath", Text),
                ("provide", Objects),
                ("request", Objects),
                ("priority", Integer),
            ],
            report,
        );
        let path = ipam.text("daemonSocketPath");
        if let Some(path) = path.filter(|path| !path.starts_with('/')) {
            report.add_capped(
                Levels::ADVICE,
                ipam.field_ref("daemonSocketPath"),
                format!("daemonSocketPath {} is not an absolute path", quoted(&path)),
                "write an absolute path, such as /run/cni/dhcp.sock",
            );
        }
        for entry in ipam.objects("provide") {
            entry.check_types(
                &[("option", Text), ("value", Text), ("fromArg", Text)],
                report,
            );
            check_option(&entry, report);
        }
        for entry in ipam.objects("request") {
            entry.check_types(&[("option", Text), ("skipDefault", Boolean)], report);
            // Without an option, the entry changes the defaults.
            if entry.has("option") || !entry.has("skipDefault") {
                check_option(&entry, report);
            }
        }
    }
}

fn check_option(entry: &Fields<'_, '_>, report: &mut Report<'_>) {
    let Some(option) = entry.value("option") else {
        return report.add(
            entry.own_ref(),
            "the entry has no option",
            format!("add \"option\" with the value {}", alternatives(&OPTIONS)),
        );
    };
    let Some(name) = option.node.string() else {
        return;
    };
    let number = !name.starts_with('+') && name.parse::<u8>().is_ok();
    if !number && !OPTIONS.contains(&&*name) {
        report.add(
            option.field_ref(),
            format!("the DHCP daemon does not know the option {}", quoted(&name)),
            format!(
                "write {}, or a number from 0 to 255 in quotes",
                alternatives(&OPTIONS)
            ),
        );
    }
}
