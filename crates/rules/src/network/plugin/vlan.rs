//! Options of vlan.

use crate::Report;

use super::{
    super::fields::{
        FieldType::{Boolean, Integer, Text},
        Fields,
    },
    check_has_ipam, check_mtu, device,
};

pub(super) fn check(plugin: &Fields<'_, '_>, report: &mut Report<'_>) {
    plugin.check_types(
        &[
            ("master", Text),
            ("vlanId", Integer),
            ("mtu", Integer),
            ("linkInContainer", Boolean),
        ],
        report,
    );
    if plugin
        .value("master")
        .is_none_or(|master| master.node.is_empty())
    {
        report.add(
            plugin.field_ref("master"),
            "vlan has no master",
            "add \"master\", the node's interface that carries the VLAN, such as \"eth1\"",
        );
    }
    device::check_existing(plugin, "master", report);
    plugin.check_number("vlanId", 0..=4094, report);
    check_mtu(plugin, report);
    check_has_ipam(plugin, report);
}
