//! Options of ovs.

use crate::{Levels, Report};

use super::super::fields::{
    FieldType::{Integer, Objects, Text, Unsigned},
    Fields,
};

/// The highest VLAN that Open vSwitch stores.
const HIGHEST: i64 = 4095;

pub(super) fn check(plugin: &Fields<'_, '_>, report: &mut Report<'_>) {
    plugin.check_types(
        &[
            ("bridge", Text),
            ("vlan", Unsigned),
            ("mtu", Integer),
            ("trunk", Objects),
            ("deviceID", Text),
            ("ofport_request", Unsigned),
            ("interface_type", Text),
            ("configuration_path", Text),
            ("socket_file", Text),
            ("link_state_check_retries", Integer),
            ("link_state_check_interval", Integer),
        ],
        report,
    );
    plugin.check_number("vlan", 0..=HIGHEST, report);
    plugin.check_number("ofport_request", 0..=65279, report);
    let by_device = plugin.has("deviceID") || plugin.subject().resource_name.is_some();
    if plugin.text("bridge").is_none() && !by_device && !plugin.has("configuration_path") {
        report.add_capped(
            Levels::ADVICE,
            plugin.field_ref("bridge"),
            "ovs names no bridge, and fails unless the node's ovs.conf, a device or ovnPort \
             names one",
            "add \"bridge\", the Open vSwitch bridge on the node, such as \"br1\"",
        );
    }
    check_trunk(plugin, report);
}

fn check_trunk(plugin: &Fields<'_, '_>, report: &mut Report<'_>) {
    let trunk = plugin.objects("trunk");
    if trunk.is_empty() {
        return;
    }
    if plugin.has("vlan") {
        report.add_capped(
            Levels::ADVICE,
            plugin.field_ref("vlan"),
            "ovs ignores vlan if there is a trunk",
            "remove vlan or trunk",
        );
    }
    let mut any = false;
    for part in trunk {
        if report.is_full() {
            return;
        }
        for key in ["minID", "maxID", "id"] {
            part.check_types(&[(key, Unsigned)], report);
            part.check_number(key, 0..=HIGHEST, report);
        }
        let [min, max, id] = ["minID", "maxID", "id"].map(|key| part.integer(key));
        any |= id.is_some() || (min > Some(0) && max > Some(0));
        if let Some(max) = max
            && max < min.unwrap_or_default()
        {
            report.add(
                part.field_ref("maxID"),
                format!("maxID {max} is below minID {}", min.unwrap_or_default()),
                "write the lower number as minID",
            );
        }
    }
    if !any {
        report.add(
            plugin.field_ref("trunk"),
            "trunk names no VLAN",
            "write {\"id\": 42}, or {\"minID\": 100, \"maxID\": 110}",
        );
    }
}
