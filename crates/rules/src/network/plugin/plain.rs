//! Options of plugins that create an interface and have few options: ptp, tap, ipoib.

use crate::{Levels, Report};

use super::{
    super::fields::{
        FieldType::{Boolean, Integer, Text, Unsigned},
        Fields,
    },
    check_has_ipam, check_mtu, check_own_mac, device,
};

pub(super) fn ptp(plugin: &Fields<'_, '_>, report: &mut Report<'_>) {
    plugin.check_types(
        &[
            ("ipMasq", Boolean),
            ("ipMasqBackend", Text),
            ("mtu", Integer),
        ],
        report,
    );
    if plugin.is_true("ipMasq") {
        plugin.check_one_of("ipMasqBackend", &["iptables", "nftables"], report);
    }
    // ptp passes only positive numbers to Linux.
    if plugin.integer("mtu").is_some_and(|mtu| mtu > 0) {
        check_mtu(plugin, report);
    }
    check_has_ipam(plugin, report);
}

pub(super) fn tap(plugin: &Fields<'_, '_>, report: &mut Report<'_>) {
    plugin.check_types(
        &[
            ("multiQueue", Boolean),
            ("mtu", Integer),
            ("mac", Text),
            ("owner", Unsigned),
            ("group", Unsigned),
            ("selinuxContext", Text),
            ("bridge", Text),
        ],
        report,
    );
    plugin.check_number("owner", 0..=u32::MAX.into(), report);
    plugin.check_number("group", 0..=u32::MAX.into(), report);
    device::check_existing(plugin, "bridge", report);
    check_mtu(plugin, report);
    check_own_mac(plugin, Levels::FAILS, report);
}

pub(super) fn ipoib(plugin: &Fields<'_, '_>, report: &mut Report<'_>) {
    plugin.check_types(&[("master", Text), ("mtu", Integer)], report);
    device::check_existing(plugin, "master", report);
    if plugin.text("master").is_none() {
        report.add(
            plugin.field_ref("master"),
            "ipoib has no master",
            "add \"master\", the node's InfiniBand interface, such as \"ib0\"",
        );
    }
}
