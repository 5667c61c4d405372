//! `invalid-node-slice-size`: a slice size that does not fit the range, and options that slices ignore.

use crate::{Check, Example, Levels, NetworkSubject, Report, Rule, RuleDocs, examples::network};

use super::{
    super::{
        fast_ipam::{CONTROLLER_RUNS, SLICED},
        fields::{Fields, quoted},
    },
    WrittenRange, ipams, ranges,
};

pub(crate) const RULE: Rule = Rule {
    code: "invalid-node-slice-size",
    levels: Levels::FAILS,
    summary: "A range cannot be divided into slices of this size",
    docs: RuleDocs {
        checks: "A node_slice_size that is not a prefix length (\"/24\" or \"24\"), is larger \
            than the range, or is smaller than /30. An IPv6 range with node_slice_size is \
            reported, too. Further ranges, exclude, range_start and range_end beside \
            node_slice_size are only a warning.",
        consequence: "With node_slice_size, each node assigns addresses of its own slice of the \
            range. The controller cannot create slices of an invalid size, and it panics on an \
            IPv6 range. It divides only the first range. Slices ignore exclude, range_start and \
            range_end.",
        fix: "Write a size between the prefix length of the range and /30, such as \"/24\", and \
            an IPv4 range. Remove the keys that slices ignore, or remove node_slice_size.",
        source: "Whereabouts v0.9.4, node-slice-controller; whereabouts issue 666.",
    },
    wrong: Example(&[network!(
        r#"{"cniVersion": "0.3.1", "type": "macvlan", "ipam": {"type": "whereabouts", "range": "10.5.0.0/20", "node_slice_size": "/16"}}"#
    )]),
    right: Example(&[CONTROLLER_RUNS, SLICED]),
    check: Check::Network(check),
};

fn check(subject: &NetworkSubject<'_>, report: &mut Report<'_>) {
    for ipam in ipams(subject) {
        let Some(text) = ipam.text("node_slice_size") else {
            continue;
        };
        let digits = text.strip_prefix('/').unwrap_or(&text);
        let size = Some(digits)
            .filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()))
            .and_then(|digits| digits.parse::<u8>().ok());
        let ranges = ranges(&ipam);
        match size {
            None => report.add(
                ipam.field_ref("node_slice_size"),
                format!("node_slice_size {} is not a prefix length", quoted(&text)),
                "write a prefix length, such as \"/24\"",
            ),
            Some(size) => {
                for range in &ranges {
                    check_size(&ipam, range, size, report);
                }
            }
        }
        check_dropped(&ranges, report);
    }
}

fn check_size(
    ipam: &Fields<'_, '_>,
    range: &WrittenRange<'_, '_>,
    size: u8,
    report: &mut Report<'_>,
) {
    let Some(subnet) = range.subnet() else { return };
    if !subnet.address.is_ipv4() {
        report.add(
            range.value.field_ref(),
            format!(
                "Whereabouts's controller cannot divide {subnet} into slices: it panics on IPv6"
            ),
            "remove node_slice_size, or write an IPv4 range",
        );
    } else if size < subnet.prefix {
        report.add(
            ipam.field_ref("node_slice_size"),
            format!("a slice of /{size} is larger than the range {subnet}"),
            format!("write a size from /{} to /30", subnet.prefix),
        );
    } else if size > 30 {
        report.add(
            ipam.field_ref("node_slice_size"),
            format!("a slice of /{size} has no address to assign"),
            format!("write a size from /{} to /30", subnet.prefix),
        );
    }
}

fn check_dropped(ranges: &[WrittenRange<'_, '_>], report: &mut Report<'_>) {
    for other in ranges.iter().skip(1) {
        report.add_capped(
            Levels::ADVICE,
            other.value.field_ref(),
            "Whereabouts divides only the first range into slices",
            "write one range, or remove node_slice_size",
        );
    }
    for range in ranges {
        for key in ["exclude", "range_start", "range_end"] {
            if range.fields.value(key).is_some_and(|v| !v.node.is_empty()) {
                report.add_capped(
                    Levels::ADVICE,
                    range.fields.field_ref(key),
                    format!("Whereabouts ignores {key} if there is a node_slice_size"),
                    format!("remove {key} or node_slice_size"),
                );
            }
        }
    }
}
