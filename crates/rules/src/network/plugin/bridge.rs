//! Options of bridge.

use crate::Report;

use super::{
    super::fields::{
        FieldType::{Boolean, Integer, Objects, Text},
        Fields,
    },
    check_mtu, device,
};

/// The VLANs that a trunk may contain.
const TRUNKED: std::ops::RangeInclusive<i64> = 1..=4094;

pub(super) fn check(plugin: &Fields<'_, '_>, report: &mut Report<'_>) {
    plugin.check_types(
        &[
            ("bridge", Text),
            ("isGateway", Boolean),
            ("isDefaultGateway", Boolean),
            ("forceAddress", Boolean),
            ("ipMasq", Boolean),
            ("ipMasqBackend", Text),
            ("mtu", Integer),
            ("hairpinMode", Boolean),
            ("promiscMode", Boolean),
            ("vlan", Integer),
            ("vlanTrunk", Objects),
            ("preserveDefaultVlan", Boolean),
            ("macspoofchk", Boolean),
            ("enabledad", Boolean),
            ("disableContainerInterface", Boolean),
            ("portIsolation", Boolean),
        ],
        report,
    );
    device::check_made(plugin, "bridge", report);
    plugin.check_number("vlan", 0..=4094, report);
    if plugin.is_true("ipMasq") {
        plugin.check_one_of("ipMasqBackend", &["iptables", "nftables"], report);
    }
    // Without a positive number, the bridge keeps its MTU.
    if plugin.integer("mtu").is_some_and(|mtu| mtu > 0) {
        check_mtu(plugin, report);
    }
    for trunk in plugin.objects("vlanTrunk") {
        check_trunk(&trunk, report);
    }
    if plugin.is_true("hairpinMode") && plugin.is_true("promiscMode") {
        report.add(
            plugin.field_ref("promiscMode"),
            "hairpinMode and promiscMode exclude each other",
            "set one of the two to false",
        );
    }
    let ipam = plugin.object("ipam");
    if plugin.is_true("disableContainerInterface")
        && ipam.is_some_and(|ipam| ipam.text("type").is_some())
    {
        report.add(
            plugin.field_ref("ipam"),
            "disableContainerInterface is true, so the interface cannot have an address",
            "remove \"ipam\" or disableContainerInterface",
        );
    }
}

fn check_trunk(trunk: &Fields<'_, '_>, report: &mut Report<'_>) {
    const KEYS: [&str; 3] = ["minID", "maxID", "id"];
    trunk.check_types(&KEYS.map(|key| (key, Integer)), report);
    for key in KEYS {
        trunk.check_number(key, TRUNKED, report);
    }
    match (trunk.has("minID"), trunk.has("maxID")) {
        (true, false) | (false, true) => report.add(
            trunk.own_ref(),
            "minID or maxID is missing",
            "write minID and maxID, or \"id\" for one VLAN",
        ),
        _ => {}
    }
    let ends = (trunk.integer("minID"), trunk.integer("maxID"));
    if let (Some(min), Some(max)) = ends
        && min > max
    {
        report.add(
            trunk.field_ref("maxID"),
            format!("maxID {max} is below minID {min}"),
            "write the lower number as minID",
        );
    }
}
