//! Checks of interface names in options: of existing interfaces, and of those that a plugin creates.

use crate::{Levels, Report};
use nadmit_cni::{InterfaceError, interface};

use super::super::fields::{Fields, quoted};

/// Reports a name that no interface on the node can have. It is only a warning, because interfaces may have
/// alternative names with other characters.
pub(super) fn check_existing(plugin: &Fields<'_, '_>, key: &str, report: &mut Report<'_>) {
    let Some(name) = plugin.text(key) else { return };
    let Err(InterfaceError::Character(character)) = interface::check(&name) else {
        return;
    };
    let plain = name.split(character).next().unwrap_or_default();
    let help = match character {
        ':' if !plain.is_empty() => format!(
            "write {} (\"eth0:1\" is the label of an address, not an interface)",
            quoted(plain)
        ),
        _ => "write the interface's name as \"ip link\" on the node shows it".to_owned(),
    };
    report.add_capped(
        Levels::ADVICE,
        plugin.field_ref(key),
        format!(
            "{key} {} is not an interface name: Linux does not allow {character:?} in one",
            quoted(&name)
        ),
        help,
    );
}

/// Reports the name of an interface to create that Linux rejects.
pub(super) fn check_made(plugin: &Fields<'_, '_>, key: &str, report: &mut Report<'_>) {
    let Some(name) = plugin.text(key) else { return };
    if let Err(error) = interface::check(&name) {
        report.add(
            plugin.field_ref(key),
            format!("{key} {} {error}", quoted(&name)),
            format!(
                "write at most {} letters, digits, \"-\", \"_\" and \".\"",
                interface::MAX_LENGTH
            ),
        );
    }
}
