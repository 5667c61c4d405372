//! `overlapping-windows`: two ranges of one network that share addresses.

use std::{cmp::Reverse, collections::HashSet};

use crate::{
    Check, Example, Levels, NetworkSubject, Report, Rule, RuleDocs,
    examples::{MACVLAN_CONF, network},
};
use nadmit_cni::IpRange;

use super::{super::fields::Fields, WrittenRange, addresses, ipams, ranges};

pub(crate) const RULE: Rule = Rule {
    code: "overlapping-windows",
    levels: Levels::FAILS,
    summary: "Two ranges of one network share a Whereabouts pool or addresses",
    docs: RuleDocs {
        checks: "Ranges of one network with the same subnet, whatever their start and end: they \
            are one pool of Whereabouts. With node_slice_size, all ranges of a network are one \
            pool. Ranges that overlap in different subnets are reported, too; in the profile \
            multus they are only a warning.",
        consequence: "A pod gets one address of each range. In one pool, the second range finds \
            the pod's record of the first and assigns the same address again. Linux refuses it \
            (\"file exists\"), so no pod starts. If ranges overlap in different subnets, the \
            first uses up the second.",
        fix: "Write one range for each subnet, with \"exclude\" for the addresses between. Write \
            ranges that have no address in common.",
        source: "Whereabouts v0.9.4, AssignIP (run) and IPPoolName; whereabouts#722.",
    },
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
            "with node_slice_size all ranges are one Whereabouts pool"
        } else {
            "ranges with the same subnet are one Whereabouts pool"
        };
        report.add(
            range.value.field_ref(),
            format!(
                "{why}, so a pod would get the same address twice from {subnet}, which Linux \
                 refuses"
            ),
            "write one range for each subnet, with \"exclude\" for the addresses between",
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
