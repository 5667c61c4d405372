//! macvlan and ipvlan.

use crate::rules::Report;

use super::{
    super::fields::{
        Fields,
        Sort::{Boolean, Integer, Text, Unsigned},
    },
    check_mac,
};

pub(super) fn macvlan(plugin: &Fields<'_, '_>, report: &mut Report<'_>) {
    plugin.check_kinds(
        &[
            ("master", Text),
            ("mode", Text),
            ("mtu", Integer),
            ("mac", Text),
            ("linkInContainer", Boolean),
            ("bcqueuelen", Unsigned),
        ],
        report,
    );
    plugin.check_word("mode", &["bridge", "private", "vepa", "passthru"], report);
    plugin.check_number("mtu", 0..=i64::MAX, report);
    plugin.check_number("bcqueuelen", 0..=u32::MAX.into(), report);
    check_mac(plugin, "mac", report);
}

pub(super) fn ipvlan(plugin: &Fields<'_, '_>, report: &mut Report<'_>) {
    plugin.check_kinds(
        &[
            ("master", Text),
            ("mode", Text),
            ("mtu", Integer),
            ("linkInContainer", Boolean),
        ],
        report,
    );
    plugin.check_word("mode", &["l2", "l3", "l3s"], report);
    plugin.check_number("mtu", 0..=i64::MAX, report);
}
