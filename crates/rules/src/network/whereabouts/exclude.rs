//! The rules on `exclude`: `invalid-exclude` and `exclude-outside-range`.

use crate::{Check, Example, Levels, NetworkSubject, Report, Rule, RuleDocs, examples::network};

use super::{super::fields::quoted, addresses, ipams, ranges};

pub(crate) const INVALID: Rule = Rule {
    code: "invalid-exclude",
    levels: Levels::FAILS,
    summary: "An exclude is neither a subnet nor an address",
    docs: RuleDocs {
        checks: "Elements of exclude that are neither a subnet (192.0.2.192/30) nor one address.",
        consequence: "Whereabouts finds the mistake only when a pod starts. From then on, no pod \
            of the network starts.",
        fix: "Write a subnet, such as 192.0.2.192/30, or one address.",
        source: "Whereabouts v0.9.4, IterateForAssignment.",
    },
    wrong: Example(&[network!(
        r#"{"cniVersion": "0.3.1", "type": "macvlan", "ipam": {"type": "whereabouts", "range": "192.0.2.192/27", "exclude": ["192.0.2.192-192.0.2.195"]}}"#
    )]),
    right: Example(&[EXCLUDING]),
    check: Check::Network(invalid),
};

pub(crate) const OUTSIDE: Rule = Rule {
    code: "exclude-outside-range",
    levels: Levels::ADVICE,
    summary: "An exclude contains no address of its range",
    docs: RuleDocs {
        checks: "Excludes that have no address in common with their range, and an exclude \
            without a range beside it. An exclude applies only to the range beside it. The one \
            at the top of \"ipam\" applies only to the top-level range.",
        consequence: "The exclude has no effect: Whereabouts may assign the addresses that it \
            was meant to exclude.",
        fix: "Write a part of the range, or remove the exclude. If it is meant for another \
            range, move it to that range's object.",
        source: "Whereabouts v0.9.4, LoadIPAMConfig.",
    },
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
                        "write a subnet, such as 192.0.2.192/30, or one address",
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
                "exclude has no range beside it, so it has no effect",
                "move exclude beside the \"range\" that it is meant for",
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
                            "exclude {} contains no address of {subnet}, so the range keeps its {}",
                            quoted(&exclude.text),
                            addresses(window.count())
                        ),
                        format!("write a part of {subnet}, or remove the exclude"),
                    );
                }
            }
        }
    }
}
