//! Options of macvlan and ipvlan.

use crate::{Levels, Report};

use super::{
    super::fields::{
        FieldType::{Boolean, Integer, Text, Unsigned},
        Fields,
    },
    check_has_ipam, check_mtu, check_own_mac, device,
};

pub(super) fn macvlan(plugin: &Fields<'_, '_>, report: &mut Report<'_>) {
    plugin.check_types(
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
    device::check_existing(plugin, "master", report);
    plugin.check_one_of("mode", &["bridge", "private", "vepa", "passthru"], report);
    check_mtu(plugin, report);
    plugin.check_number("bcqueuelen", 0..=u32::MAX.into(), report);
    check_own_mac(plugin, Levels::FAILS, report);
}

/// Checks ipvlan, which needs no IPAM if it is not the first plugin: it can take over the addresses of the
/// previous one.
pub(super) fn ipvlan(plugin: &Fields<'_, '_>, is_first: bool, report: &mut Report<'_>) {
    plugin.check_types(
        &[
            ("master", Text),
            ("mode", Text),
            ("mtu", Integer),
            ("linkInContainer", Boolean),
        ],
        report,
    );
    device::check_existing(plugin, "master", report);
    plugin.check_one_of("mode", &["l2", "l3", "l3s"], report);
    check_mtu(plugin, report);
    if is_first {
        check_has_ipam(plugin, report);
    }
}
