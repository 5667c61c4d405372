//! Options of host-device.

use crate::{Levels, Report};

use super::{
    super::fields::{FieldType::Text, Fields, quoted},
    check_mac, device,
};

/// The options that name the device, in the order in which the plugin reads them.
const DEVICE_KEYS: [&str; 4] = ["device", "hwaddr", "kernelpath", "pciBusID"];

pub(super) fn check(plugin: &Fields<'_, '_>, report: &mut Report<'_>) {
    plugin.check_types(&DEVICE_KEYS.map(|key| (key, Text)), report);
    let given: Vec<&str> = DEVICE_KEYS
        .into_iter()
        .filter(|key| plugin.has(key))
        .collect();
    match &*given {
        // Multus adds the device if the network has a resource.
        [] => report.add_capped(
            Levels::ADVICE,
            plugin.own_ref(),
            "host-device names no device, and fails unless a device plugin provides one",
            "add \"device\", \"hwaddr\", \"kernelpath\" or \"pciBusID\"",
        ),
        [_] => {}
        [first, others @ ..] => {
            for other in others {
                report.add_capped(
                    Levels::ADVICE,
                    plugin.field_ref(other),
                    format!("host-device ignores {other}, because {first} names the device"),
                    format!("remove {other} or {first}"),
                );
            }
        }
    }
    device::check_existing(plugin, "device", report);
    if !plugin.has("device") {
        check_mac(plugin, "hwaddr", report);
    }
    let path = plugin.text("kernelpath");
    if let (Some(path), Some(&"kernelpath")) = (path, given.first())
        && !path.starts_with("/sys/devices/")
    {
        report.add(
            plugin.field_ref("kernelpath"),
            format!("kernelpath {} is not below /sys/devices/", quoted(&path)),
            "write an absolute path that begins with /sys/devices/",
        );
    }
}
