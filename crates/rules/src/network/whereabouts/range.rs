//! `invalid-whereabouts-range`: a range that Whereabouts rejects or interprets unexpectedly.

use crate::{
    Check, Example, Levels, NetworkSubject, Report, Rule, RuleDocs,
    examples::{MACVLAN_CONF, network},
};
use nadmit_cni::{address::AddressError, range::RangeError};

use super::{
    super::{
        fields::{
            FieldType::{Boolean, Integer, Object, Objects, Text, Texts},
            Fields, quoted,
        },
        routes::{check_address, check_addresses, check_dns, check_routes},
    },
    RangeBound, WrittenRange, addresses, ipams, ranges,
};

pub(crate) const RULE: Rule = Rule {
    code: "invalid-whereabouts-range",
    levels: Levels::FAILS,
    summary: "Whereabouts cannot use a range, or uses it differently than written",
    docs: RuleDocs {
        checks: "Ranges that are neither a subnet (192.0.2.192/27) nor first-last/prefix. Ranges \
            of /31, /32, /127 and /128 are too small, because Whereabouts never assigns the \
            first and the last address. gateway, addresses, routes and dns have to be valid, \
            too. range_start and range_end have to be addresses of the subnet, in this order. In \
            the profile multus, a mistake in them is only a warning. range_start and range_end \
            beside a range of the form first-last/prefix are only a warning.",
        consequence: "With an invalid range, no pod of the network starts. Whereabouts ignores \
            an invalid range_start or range_end, and assigns other addresses than intended.",
        fix: "Write a subnet, or first-last/prefix, such as 192.0.2.200-192.0.2.210/27. Write \
            range_start and range_end as addresses of the subnet, the lower one first.",
        source: "Whereabouts v0.9.4, LoadIPAMConfig and IterateForAssignment; run.",
    },
    wrong: Example(&[network!(
        r#"{"cniVersion": "0.3.1", "type": "macvlan", "ipam": {"type": "whereabouts", "range": "192.0.2.300/27"}}"#
    )]),
    right: Example(&[MACVLAN_CONF]),
    check: Check::Network(check),
};

const BOUNDS: [&str; 2] = ["range_start", "range_end"];

fn check(subject: &NetworkSubject<'_>, report: &mut Report<'_>) {
    for ipam in ipams(subject) {
        check_types(&ipam, report);
        check_address(&ipam, "gateway", report);
        check_addresses(&ipam, report);
        check_routes(&ipam, report);
        check_dns(&ipam, report);
        for entry in ipam.objects("ipRanges") {
            check_entry(&entry, report);
        }
        for range in ranges(&ipam) {
            check_range(&range, report);
        }
    }
}

fn check_types(ipam: &Fields<'_, '_>, report: &mut Report<'_>) {
    ipam.check_types(
        &[
            ("range", Text),
            ("range_start", Text),
            ("range_end", Text),
            ("exclude", Texts),
            ("ipRanges", Objects),
            ("network_name", Text),
            ("gateway", Text),
            ("enable_overlapping_ranges", Boolean),
            ("node_slice_size", Text),
            ("sleep_for_race", Integer),
            ("leader_lease_duration", Integer),
            ("leader_renew_deadline", Integer),
            ("leader_retry_period", Integer),
            ("log_file", Text),
            ("log_level", Text),
            ("kubernetes", Object),
            ("configuration_path", Text),
            ("reconciler_cron_expression", Text),
        ],
        report,
    );
}

fn check_entry(entry: &Fields<'_, '_>, report: &mut Report<'_>) {
    entry.check_types(
        &[
            ("range", Text),
            ("range_start", Text),
            ("range_end", Text),
            ("exclude", Texts),
        ],
        report,
    );
    if entry
        .value("range")
        .is_none_or(|range| range.node.is_empty())
    {
        report.add(
            entry.field_ref("range"),
            "the entry has no range",
            "add \"range\", such as \"192.0.2.192/27\"",
        );
    }
}

fn check_range(range: &WrittenRange<'_, '_>, report: &mut Report<'_>) {
    let parsed = match range.parsed {
        Ok(parsed) => parsed,
        Err(error) => {
            return report.add_capped(
                range_error_class(error),
                range.value.field_ref(),
                format!("range {} {error}", quoted(&range.text)),
                "write a subnet, such as 192.0.2.192/27, or first-last/prefix, such as \
                 192.0.2.200-192.0.2.210/27",
            );
        }
    };
    let subnet = parsed.subnet;
    if subnet.host_bits() < 2 {
        return report.add(
            range.value.field_ref(),
            format!(
                "range {subnet} is too small: Whereabouts never assigns its first and last address"
            ),
            format!("write a prefix length of at most {}", subnet.width() - 2),
        );
    }
    if parsed.bounds.is_some() {
        for key in BOUNDS.into_iter().filter(|key| range.fields.has(key)) {
            report.add_capped(
                Levels::ADVICE,
                range.fields.field_ref(key),
                format!("Whereabouts ignores {key}, because the range has bounds of its own"),
                format!("remove {key}"),
            );
        }
    } else {
        for key in BOUNDS {
            check_bound(range, key, report);
        }
    }
    if range.is_inverted() {
        let field_ref = match parsed.bounds {
            Some(_) => range.value.field_ref(),
            None => range.fields.field_ref("range_end"),
        };
        report.add_capped(
            Levels::MISLEADS,
            field_ref,
            format!(
                "the range ends before it starts, so Whereabouts ignores its end and {}",
                assigned_text(range)
            ),
            "write the lower address first",
        );
    }
}

fn check_bound(range: &WrittenRange<'_, '_>, key: &str, report: &mut Report<'_>) {
    let fault = match range.bound(key) {
        RangeBound::Absent | RangeBound::Inside(_) => return,
        RangeBound::Unparsable => "is not an IP address",
        RangeBound::Outside => "is outside the range",
    };
    let text = range.fields.text(key).unwrap_or_default();
    report.add_capped(
        Levels::MISLEADS,
        range.fields.field_ref(key),
        format!(
            "{key} {} {fault}, so Whereabouts ignores it and {}",
            quoted(&text),
            assigned_text(range)
        ),
        range.subnet().map_or_else(
            || format!("remove {key}"),
            |subnet| format!("write an address of {subnet}"),
        ),
    );
}

/// Describes the effect of an ignored bound: the number of addresses that the range assigns.
fn assigned_text(range: &WrittenRange<'_, '_>) -> String {
    let assigned = range.window().map_or(0, |window| window.count());
    format!("assigns up to {}", addresses(assigned))
}

/// Returns the class of an invalid range. Whereabouts accepts leading zeros and IPv4 in IPv6 notation,
/// which other programs interpret differently.
fn range_error_class(error: RangeError) -> Levels {
    match error {
        RangeError::Address(AddressError::LeadingZero | AddressError::Mapped) => Levels::MISLEADS,
        _ => Levels::FAILS,
    }
}
