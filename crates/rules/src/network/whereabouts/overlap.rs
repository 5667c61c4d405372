//! `overlapping-windows`: two ranges of one network that share addresses.

use std::{cmp::Reverse, collections::HashSet};

use crate::{
    Check, Example, Levels, NetworkSubject, Report, Rule,
    examples::{MACVLAN_CONF, network},
};
use nadmit_cni::IpRange;

use super::{super::fields::Fields, WrittenRange, addresses, ipams, ranges};

pub(crate) const RULE: Rule = Rule {
    code: "overlapping-windows",
    levels: Levels::FAILS,
    summary: "Two ranges of one network share a pool or addresses",
    explanation: "A pod gets one address of each range. Ranges of one subnet are one pool of \
        Whereabouts, whatever their start and end: the second finds the pod's record of the first and \
        gives the same address again, which Linux refuses (\"file exists\"), so no pod starts. With \
        node_slice_size all ranges of a network are one pool. Of two ranges that overlap in subnets \
        of their own the second is used up by the first: that is only warned of in multus. Source: \
        Whereabouts v0.9.4, AssignIP, executed, and IPPoolName; whereabouts#722.",
    wrong: Example(&[network!(
        r#"{"cniVersion": "0.3.1", "type": "macvlan", "ipam": {"type": "whereabouts", "ipRanges": [{"range": "192.0.2.0/24"}, {"range": "192.0.2.192/27"}]}}"#
    )]),
    right: Example(&[MACVLAN_CONF]),
    check: Check::Network(check),
};

/// Reports ranges that Whereabouts treats as one pool. Returns true if there are any.
fn check_pools(
    ipam: &Fields<'_, '_>,
    ranges: &[WrittenRange<'_, '_>],
    report: &mut Report<'_>,
) -> bool {
    let sliced = ipam.text("node_slice_size").is_some();
    let mut pools = HashSet::new();
    let mut found = false;
    for range in ranges {
        let Some(subnet) = range.subnet() else {
            continue;
        };
        // The pod's address gets the prefix of each range, and Linux accepts an IPv4 address once for
        // each prefix.
        let pool = (!sliced).then(|| subnet.range().first());
        if pools.insert((pool, subnet.prefix)) {
            continue;
        }
        found = true;
        let why = if sliced {
            "with node_slice_size all ranges are one pool"
        } else {
            "ranges of one subnet are one pool of Whereabouts"
        };
        report.add(
            range.value.field_ref(),
            format!(
                "{why}: of {subnet} a pod would get the same address twice, which Linux refuses"
            ),
            "write one range for each subnet, with \"exclude\" for what lies between",
        );
    }
    found
}

fn check(subject: &NetworkSubject<'_>, report: &mut Report<'_>) {
    for ipam in ipams(subject) {
        let ranges = ranges(&ipam);
        let one_pool = check_pools(&ipam, &ranges, report);
        if one_pool {
            continue;
        }
        let read = |range| Some((WrittenRange::window(range)?, range));
        let mut windows: Vec<(IpRange, &WrittenRange<'_, '_>)> =
            ranges.iter().filter_map(read).collect();
        windows.sort_by_key(|(window, _)| (window.sort_key(), Reverse(window.count())));
        let mut farthest: Option<IpRange> = None;
        for (window, range) in windows {
            if let Some(common) = farthest.and_then(|before| before.intersection(window)) {
                report.add_capped(
                    Levels::MISLEADS,
                    range.value.field_ref(),
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
