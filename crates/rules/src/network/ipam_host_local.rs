//! `invalid-host-local-ipam`: ranges that host-local rejects.

use std::{cmp::Reverse, net::IpAddr};

use crate::{
    Check, Example, Levels, NetworkSubject, Report, Rule, RuleDocs,
    examples::{BRIDGE_NET, network},
};
use nadmit_cni::{IpRange, Subnet, address::parse_address, configure::configures};

use super::{
    cni_version::is_before_0_3_0,
    fields::{FieldType::Text, Fields, quoted},
    routes::{check_address, check_one_a_family, check_routes},
};

pub(crate) const RULE: Rule = Rule {
    code: "invalid-host-local-ipam",
    levels: Levels::FAILS,
    summary: "IPAM host-local refuses its ranges",
    docs: RuleDocs {
        checks: "IPAM host-local has no range, or a range that it refuses. A subnet has no host bits and \
            is not smaller than /30 or /126. rangeStart and rangeEnd are in the subnet, in this \
            order. A set has ranges of one IP family. No two ranges overlap, in one set or in two. \
            Before CNI version 0.3.0 there is only one set of each family. calico replaces the \
            subnets \"usePodCidr\" and \"usePodCidrIPv6\" by those of the node. A range may be \
            missing with antrea, which adds the ranges, and with the capability ipRanges. With other \
            plugins that nadmit does not know, the rule only warns of a missing range.",
        consequence: "host-local fails, and no pod of the network starts.",
        fix: "Write each subnet without host bits, such as \"198.51.100.0/24\". Set rangeStart and \
            rangeEnd so that each address is in only one range.",
        source: "host-local v1.9, Range.Canonicalize, RangeSet.Canonicalize, LoadIPAMConfig; v1.1.1 \
            executed.",
    },
    wrong: Example(&[network!(
        r#"{"cniVersion": "0.3.1", "type": "bridge", "ipam": {"type": "host-local", "subnet": "198.51.100.5/24"}}"#
    )]),
    right: Example(&[BRIDGE_NET]),
    check: Check::Network(check),
};

/// A valid range and the index of its set.
struct ParsedRange<'s, 'a> {
    set: usize,
    fields: Fields<'s, 'a>,
    window: IpRange,
}

fn check(subject: &NetworkSubject<'_>, report: &mut Report<'_>) {
    for (kind, plugin) in Fields::plugins(subject) {
        let Some(ipam) = plugin.object("ipam") else {
            continue;
        };
        if ipam.text("type").is_some_and(|kind| kind == "host-local") {
            let at_run_time = plugin
                .object("capabilities")
                .is_some_and(|capabilities| capabilities.is_true("ipRanges"));
            let filler = Filler::of(kind, at_run_time);
            check_ipam(&ipam, filler, report);
        }
    }
}

/// The component that fills in ranges before host-local reads them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Filler {
    /// No component.
    None,
    /// The capability ipRanges, or antrea: ranges may be missing.
    All,
    /// calico, which replaces [`PLACEHOLDERS`] by the node's range.
    Placeholders,
    /// A plugin whose behavior is not known.
    Unknown,
}

impl Filler {
    fn of(kind: &str, at_run_time: bool) -> Self {
        match kind {
            _ if at_run_time => Self::All,
            "antrea" => Self::All,
            "calico" => Self::Placeholders,
            _ if configures(kind) => Self::None,
            _ => Self::Unknown,
        }
    }
}

/// The words that calico replaces by the node's range. Case is ignored.
const PLACEHOLDERS: [&str; 2] = ["usePodCidr", "usePodCidrIPv6"];

/// Returns true if calico replaces the subnet of this range.
fn is_placeholder(range: &Fields<'_, '_>) -> bool {
    let subnet = range.text("subnet");
    subnet.is_some_and(|text| {
        PLACEHOLDERS
            .iter()
            .any(|word| word.eq_ignore_ascii_case(&text))
    })
}

fn check_ipam(ipam: &Fields<'_, '_>, filler: Filler, report: &mut Report<'_>) {
    ipam.check_types(&[("dataDir", Text), ("resolvConf", Text)], report);
    check_routes(ipam, report);
    let sets = sets(ipam, report);
    let has_none = sets.is_empty() && ipam.value("ranges").is_none_or(|r| r.node.is_empty());
    let levels = match filler {
        Filler::All => None,
        // An unknown plugin may fill the ranges in.
        Filler::Unknown => Some(Levels::ADVICE),
        Filler::None | Filler::Placeholders => Some(Levels::FAILS),
    };
    if let Some(levels) = levels.filter(|_| has_none) {
        report.add_capped(
            levels,
            ipam.own_ref(),
            "host-local has no range",
            "add a range, such as \"subnet\": \"198.51.100.0/24\"",
        );
    }
    let mut ranges = Vec::new();
    for (set, objects) in sets.into_iter().enumerate() {
        let mut family = None;
        for fields in objects {
            if filler == Filler::Placeholders && is_placeholder(&fields) {
                continue;
            }
            let Some(window) = check_range(&fields, report) else {
                continue;
            };
            let v4 = window.is_ipv4();
            if *family.get_or_insert(v4) != v4 {
                report.add(
                    fields.field_ref("subnet"),
                    "the subnet is of another IP family than its set",
                    "write a separate set for each family: [[{...}], [{...}]]",
                );
                continue;
            }
            ranges.push(ParsedRange {
                set,
                fields,
                window,
            });
        }
    }
    check_families(ipam, &ranges, report);
    check_overlaps(ranges, report);
}

/// Returns the sets of ranges. The older form, a range in `ipam` itself, is the first set.
fn sets<'s, 'a>(ipam: &Fields<'s, 'a>, report: &mut Report<'_>) -> Vec<Vec<Fields<'s, 'a>>> {
    let mut sets = Vec::new();
    if ipam.has("subnet") {
        sets.push(vec![ipam.clone()]);
    } else {
        // host-local parses these, although they have no effect.
        check_bounds(ipam, report);
    }
    if let Some(ranges) = ipam.value("ranges")
        && ranges.node.elements().is_none()
    {
        report.add(
            ranges.field_ref(),
            "ranges is not a list of sets",
            "write a list of lists, such as [[{\"subnet\": \"198.51.100.0/24\"}]]",
        );
    }
    for set in ipam.list("ranges") {
        let elements = set.elements();
        if elements.is_empty() {
            report.add(
                set.field_ref(),
                "the set of ranges is not a list with at least one range",
                "write a list, such as [{\"subnet\": \"198.51.100.0/24\"}]",
            );
            continue;
        }
        let mut objects = Vec::new();
        for element in elements {
            match element.fields() {
                Some(fields) => objects.push(fields),
                None => report.add(
                    element.field_ref(),
                    "the range is not an object",
                    "write an object, such as {\"subnet\": \"198.51.100.0/24\"}",
                ),
            }
        }
        sets.push(objects);
    }
    sets
}

const BOUNDS: [&str; 2] = ["rangeStart", "rangeEnd"];

/// Reports bounds and gateways that are not addresses.
fn check_bounds(range: &Fields<'_, '_>, report: &mut Report<'_>) {
    for key in BOUNDS.into_iter().chain(["gateway"]) {
        range.check_types(&[(key, Text)], report);
        check_address(range, key, report);
    }
}

/// Checks a range as host-local does, and returns its addresses if it is valid.
fn check_range(range: &Fields<'_, '_>, report: &mut Report<'_>) -> Option<IpRange> {
    check_bounds(range, report);
    range.check_types(&[("subnet", Text)], report);
    let Some(value) = range.value("subnet") else {
        report.add(
            range.own_ref(),
            "the range has no subnet",
            "add a subnet, such as \"subnet\": \"198.51.100.0/24\"",
        );
        return None;
    };
    let text = value.node.string()?;
    let subnet = match Subnet::parse(&text) {
        Ok(subnet) => subnet,
        Err(error) => {
            // Unlike other plugins, host-local also rejects an IPv4 subnet in IPv6 notation.
            report.add(
                value.field_ref(),
                format!("subnet {} {error}", quoted(&text)),
                "write a subnet, such as 198.51.100.0/24",
            );
            return None;
        }
    };
    let Some(hosts) = subnet.hosts() else {
        report.add(
            value.field_ref(),
            format!("subnet {subnet} is too small to assign addresses from"),
            format!("write a prefix length of at most {}", subnet.width() - 2),
        );
        return None;
    };
    if subnet.has_host_bits() {
        report.add(
            value.field_ref(),
            format!("subnet {} has host bits", quoted(&text)),
            format!("write \"{subnet}\""),
        );
    }
    let [start, end] = BOUNDS.map(|key| bound(range, key, subnet, report));
    let (start, end) = (
        start?.unwrap_or(hosts.first()),
        end?.unwrap_or(last(subnet, hosts)),
    );
    let window = IpRange::new(start, end);
    if window.is_none() {
        report.add(
            range.field_ref("rangeEnd"),
            format!("the range ends at {end}, before it starts at {start}"),
            "write a rangeEnd that is not before rangeStart",
        );
    }
    window
}

/// Returns the last assignable address: host-local also assigns the last address of an IPv6 subnet.
fn last(subnet: Subnet, hosts: IpRange) -> IpAddr {
    if hosts.is_ipv4() {
        hosts.last()
    } else {
        subnet.range().last()
    }
}

/// Returns a bound inside the subnet; `None` if it is invalid, `Some(None)` if it is missing.
fn bound(
    range: &Fields<'_, '_>,
    key: &str,
    subnet: Subnet,
    report: &mut Report<'_>,
) -> Option<Option<IpAddr>> {
    let Some(text) = range.text(key) else {
        return Some(None);
    };
    let address = parse_address(&text).ok()?.to_canonical();
    if subnet.range().contains(address) {
        return Some(Some(address));
    }
    report.add(
        range.field_ref(key),
        format!("{key} {address} is not in {subnet}"),
        format!("write an address in {subnet}"),
    );
    None
}

fn check_families(ipam: &Fields<'_, '_>, ranges: &[ParsedRange<'_, '_>], report: &mut Report<'_>) {
    if !is_before_0_3_0(ipam.subject()) {
        return;
    }
    let mut firsts: Vec<&ParsedRange<'_, '_>> = ranges.iter().collect();
    firsts.dedup_by_key(|range| range.set);
    let each = firsts.into_iter().filter_map(|range| {
        let value = range.fields.value("subnet")?;
        Some((range.window.is_ipv4(), value))
    });
    check_one_a_family(each, report);
}

/// Reports overlapping ranges. The ranges are sorted by start, so only the one with the highest end so far
/// can overlap the next.
fn check_overlaps(mut ranges: Vec<ParsedRange<'_, '_>>, report: &mut Report<'_>) {
    ranges.sort_by_key(|range| (range.window.sort_key(), Reverse(range.window.count())));
    let mut farthest: Option<IpRange> = None;
    for range in &ranges {
        if let Some(common) = farthest.and_then(|window| window.intersection(range.window)) {
            report.add(
                range.fields.field_ref("subnet"),
                format!(
                    "the range {} overlaps another range in {common}",
                    range.window
                ),
                "set rangeStart and rangeEnd so that each address is in only one range",
            );
        }
        let farther = farthest.is_none_or(|window| {
            window.is_ipv4() != range.window.is_ipv4() || window.last() < range.window.last()
        });
        if farther {
            farthest = Some(range.window);
        }
    }
}
