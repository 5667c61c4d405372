//! `overlapping-windows`: two ranges of one network that share addresses.

use std::cmp::Reverse;

use crate::{
    network::Window,
    rules::{
        Check, Example, Levels, NetworkSubject, Report, Rule,
        examples::{MACVLAN_CONF, network},
    },
};

use super::{RangeText, addresses, ipams, ranges};

/// The rule.
pub const RULE: Rule = Rule {
    code: "overlapping-windows",
    levels: Levels::MISLEADS,
    summary: "Two ranges of one network share addresses",
    explanation: "A pod gets one address of each range. Of two ranges in one subnet it gets the \
        same address twice (Whereabouts finds the pod's own record), and of two that overlap the \
        second is used up by the first. Source: Whereabouts v0.9.4, AssignIP, executed.",
    wrong: Example(&[network!(
        r#"{"cniVersion": "0.3.1", "type": "macvlan", "ipam": {"type": "whereabouts", "ipRanges": [{"range": "192.0.2.0/24"}, {"range": "192.0.2.192/27"}]}}"#
    )]),
    right: Example(&[MACVLAN_CONF]),
    check: Check::Network(check),
};

fn check(subject: &NetworkSubject<'_>, report: &mut Report<'_>) {
    for ipam in ipams(subject) {
        let ranges = ranges(&ipam);
        let read = |range| Some((RangeText::window(range)?, range));
        let mut windows: Vec<(Window, &RangeText<'_, '_>)> =
            ranges.iter().filter_map(read).collect();
        windows.sort_by_key(|(window, _)| (window.sort_key(), Reverse(window.count())));
        let mut farthest: Option<Window> = None;
        for (window, range) in windows {
            if let Some(common) = farthest.and_then(|before| before.common(window)) {
                report.add(
                    range.value.place(),
                    format!(
                        "{window} shares {} with another range of this network",
                        addresses(common.count())
                    ),
                    "write ranges that have no address in common, or one range",
                );
            }
            let farther = farthest.is_none_or(|before| {
                before.is_ipv4() != window.is_ipv4() || before.last() < window.last()
            });
            if farther {
                farthest = Some(window);
            }
        }
    }
}
