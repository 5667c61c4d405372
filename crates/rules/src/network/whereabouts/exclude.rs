//! The rules on `exclude`: `invalid-exclude` and `exclude-outside-range`.

use crate::{Check, Example, Levels, NetworkSubject, Report, Rule, examples::network};

use super::{super::fields::quoted, addresses, ipams, ranges};

pub(crate) const INVALID: Rule = Rule {
    code: "invalid-exclude",
    levels: Levels::FAILS,
    summary: "An exclude is neither a subnet nor an address",
    explanation: "Each element of exclude is a subnet (192.0.2.192/30) or one address. Anything \
        else is found only when a pod starts, and no pod of the network starts any more. Source: \
        Whereabouts v0.9.4, IterateForAssignment.",
    wrong: Example(&[network!(
        r#"{"cniVersion": "0.3.1", "type": "macvlan", "ipam": {"type": "whereabouts", "range": "192.0.2.192/27", "exclude": ["192.0.2.192-192.0.2.195"]}}"#
    )]),
    right: Example(&[EXCLUDING]),
    check: Check::Network(invalid),
};

pub(crate) const OUTSIDE: Rule = Rule {
    code: "exclude-outside-range",
    levels: Levels::ADVICE,
    summary: "An exclude is not in its range",
    explanation: "An exclude takes addresses out of the range that it stands beside; the one at \
        the top of \"ipam\" belongs to the top-level range alone. One that is not in it does \
        nothing, and without a range none does. Source: Whereabouts v0.9.4, LoadIPAMConfig.",
    wrong: Example(&[network!(
        r#"{"cniVersion": "0.3.1", "type": "macvlan", "ipam": {"type": "whereabouts", "range": "192.0.2.192/27", "exclude": ["192.0.2.0/30"]}}"#
    )]),
    right: Example(&[EXCLUDING]),
    check: Check::Network(outside),
};

const EXCLUDING: &str = network!(
    r#"{"cniVersion": "0.3.1", "type": "macvlan", "ipam": {"type": "whereabouts", "range": "192.0.2.192/27", "exclude": ["192.0.2.192/30", "192.0.2.222"]}}"#
);

fn invalid(subject: &NetworkSubject<'_>, report: &mut Report<'_>) {
    for ipam in ipams(subject) {
        for range in ranges(&ipam) {
            for exclude in range.excludes() {
                if let Err(error) = exclude.parsed {
                    report.add(
                        exclude.value.field_ref(),
                        format!("exclude {} {error}", quoted(&exclude.text)),
                        "write a subnet (192.0.2.192/30) or one address",
                    );
                }
            }
        }
    }
}

fn outside(subject: &NetworkSubject<'_>, report: &mut Report<'_>) {
    for ipam in ipams(subject) {
        let lone = ipam.text("range").is_none();
        if lone
            && ipam
                .value("exclude")
                .is_some_and(|list| !list.node.is_empty())
        {
            report.add(
                ipam.field_ref("exclude"),
                "exclude stands beside no range, so it does nothing",
                "move it beside the \"range\" that it is meant for",
            );
        }
        for range in ranges(&ipam) {
            let (Some(subnet), Some(window)) = (range.subnet(), range.window()) else {
                continue;
            };
            for exclude in range.excludes() {
                let Ok(excluded) = exclude.parsed else {
                    continue;
                };
                if subnet.range().intersection(excluded).is_none() {
                    report.add(
                        exclude.value.field_ref(),
                        format!(
                            "exclude {} has no address of {subnet}, of which {} are given",
                            quoted(&exclude.text),
                            addresses(window.count())
                        ),
                        format!("write a part of {subnet}, or remove it"),
                    );
                }
            }
        }
    }
}
