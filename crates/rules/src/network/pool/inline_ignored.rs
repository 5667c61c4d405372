//! `inline-pool-ignored`: ranges in a static IPAM that are no pool.

use super::super::fields::{Fields, quoted};
use crate::{
    Check, Example, Levels, NetworkSubject, Report, Rule, RuleDocs,
    examples::{STORAGE_NET, network},
};
use nadmit_catalog::InlinePools;
use nadmit_cni::{assignable::RangeWindow, ipam::Ipam, json::folds_to};

pub(crate) const RULE: Rule = Rule {
    code: "inline-pool-ignored",
    levels: Levels::ADVICE,
    summary: "Ranges in a static IPAM have no effect",
    docs: RuleDocs {
        checks: "Keys of Whereabouts in a static IPAM that have no effect. A range (or ipRanges) \
            is a pool if an administrator set inlinePools: enabled in the settings, and if the \
            network's namespace has the label nadmit.io/injection: enabled. The annotation \
            nadmit.io/address-pool takes precedence over the range. Without a range, the other \
            keys have no effect.",
        consequence: "static ignores keys that it does not know. If nadmit ignores them too, no \
            pod gets an address of the range.",
        fix: "Enable inline pools, or remove the keys. Each range needs a prefix length and a \
            free address between its bounds, and no two ranges may overlap.",
        source: "static v1.9, run with such keys; docs/pools.md.",
    },
    wrong: Example(&[network!(
        r#"{"cniVersion": "0.3.1", "type": "macvlan", "ipam": {"type": "static", "range": "192.0.2.192/27", "addresses": [{"address": "192.0.2.5/24"}]}}"#
    )]),
    right: Example(&[STORAGE_NET]),
    check: Check::Network(check),
};

/// The keys of Whereabouts that describe a pool together with a range.
const POOL_KEYS: [&str; 8] = [
    "range",
    "ipRanges",
    "range_start",
    "range_end",
    "exclude",
    "network_name",
    "node_slice_size",
    "enable_overlapping_ranges",
];

fn check(subject: &NetworkSubject<'_>, report: &mut Report<'_>) {
    for ipam in Fields::ipams(subject, "static") {
        let mut members = ipam.members().iter();
        let member = members.find(|member| {
            let name = &*member.name.value;
            POOL_KEYS.iter().any(|key| folds_to(name, key))
        });
        let Some(member) = member else { continue };
        if let Some((reason, help)) = reason_ignored(subject) {
            let key = quoted(&member.name.value);
            let message = format!("static ignores the key {key}, and so does nadmit: {reason}");
            report.add(ipam.name_ref(member), message, help);
        }
    }
}

/// Returns the reason why the keys have no effect, with the remedy; `None` if they define a pool.
fn reason_ignored(subject: &NetworkSubject<'_>) -> Option<(String, String)> {
    let remove = || "remove the keys of Whereabouts".to_owned();
    if let Some(pool) = subject.address_pool.filter(|name| !name.is_empty()) {
        let reason = format!("the pool {pool:?} of nadmit.io/address-pool takes precedence");
        return Some((reason, remove()));
    }
    let inline = match subject.parsed()?.ipam()? {
        Ipam::Static(ipam) => ipam.inline_pool.as_deref(),
        _ => return None,
    };
    let Some(inline) = inline else {
        let reason = "there is no range".to_owned();
        return Some((reason, "add \"range\", or remove the key".to_owned()));
    };
    if subject.catalog.pool_derivation().inline == InlinePools::Disabled {
        let reason = "the settings do not enable inline pools".to_owned();
        let help = "an administrator sets inlinePools: enabled, or remove the keys".to_owned();
        return Some((reason, help));
    }
    if !subject.catalog.has_injection_label(subject.namespace) {
        let namespace = subject.namespace;
        let reason = format!("namespace {namespace:?} has no label nadmit.io/injection: enabled");
        let help = format!("run: kubectl label namespace {namespace} nadmit.io/injection=enabled");
        return Some((reason, help));
    }
    if subject.derived_pool().is_some() {
        return None;
    }
    let unreadable = inline.ranges.iter().find(|range| {
        let read = RangeWindow::of(range);
        read.is_none_or(|read| read.window.is_none())
    });
    Some(match unreadable {
        Some(range) => (
            format!("the range {:?} gives no address", range.range),
            "write a range such as 192.0.2.0/24, with its start before its end".to_owned(),
        ),
        None => (
            "its ranges overlap, or its node_slice_size does not fit".to_owned(),
            "write ranges that do not overlap, and a slice within the first range".to_owned(),
        ),
    })
}
