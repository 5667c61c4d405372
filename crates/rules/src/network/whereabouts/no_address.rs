//! `no-usable-address`: a range without assignable addresses.

use crate::{
    Check, Example, Levels, NetworkSubject, Report, Rule, RuleDocs,
    examples::{MACVLAN_CONF, network},
};

use super::{ipams, ranges};

pub(crate) const RULE: Rule = Rule {
    code: "no-usable-address",
    levels: Levels::FAILS,
    summary: "A range has no address to assign",
    docs: RuleDocs {
        checks: "Ranges without an address after the first, the last and the excluded ones are \
            subtracted. A range with one address, which serves one pod, is only a warning. \
            Networks with node_slice_size are not checked, because slices ignore excludes.",
        consequence: "Whereabouts never assigns the first, the last and the excluded addresses. \
            If no other is left, no pod starts (\"Could not allocate IP in range\").",
        fix: "Write a larger range, or exclude less.",
        source: "Whereabouts v0.9.4, IterateForAssignment; run.",
    },
    wrong: Example(&[network!(
        r#"{"cniVersion": "0.3.1", "type": "macvlan", "ipam": {"type": "whereabouts", "range": "192.0.2.192/30", "exclude": ["192.0.2.192/30"]}}"#
    )]),
    right: Example(&[MACVLAN_CONF]),
    check: Check::Network(check),
};

fn check(subject: &NetworkSubject<'_>, report: &mut Report<'_>) {
    for ipam in ipams(subject) {
        // Slices ignore bounds and excludes.
        if ipam.text("node_slice_size").is_some() {
            continue;
        }
        for range in ranges(&ipam) {
            let Some(subnet) = range.subnet().filter(|subnet| subnet.host_bits() > 1) else {
                continue;
            };
            let excludes = range.excludes();
            if excludes.iter().any(|exclude| exclude.parsed.is_err()) {
                continue;
            }
            let excluded = excludes.iter().filter_map(|exclude| exclude.parsed.ok());
            let (shown, left) = match range.window() {
                Some(window) => (window.to_string(), window.count_without(excluded)),
                None => (subnet.to_string(), 0),
            };
            match left {
                0 => report.add(
                    range.value.field_ref(),
                    format!("no address of {shown} is left to assign"),
                    "write a larger range, or exclude less",
                ),
                1 => report.add_capped(
                    Levels::ADVICE,
                    range.value.field_ref(),
                    format!("only 1 address of {shown} is left to assign, enough for one pod"),
                    "write a larger range, or exclude less",
                ),
                _ => {}
            }
        }
    }
}
