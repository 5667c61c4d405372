//! Names of interfaces in options: those that have to be there, and those that a plugin makes.

use crate::{
    network::{InterfaceError, interface},
    rules::{Levels, Report},
};

use super::super::fields::{Fields, quoted};

/// Finds the name of an interface on the node that Linux gives to none. Interfaces may have further
/// names, of other rules, so it is only warned of.
pub(super) fn check_existing(plugin: &Fields<'_, '_>, key: &str, report: &mut Report<'_>) {
    let Some(name) = plugin.text(key) else { return };
    let Err(InterfaceError::Character(odd)) = interface::check(&name) else {
        return;
    };
    let plain = name.split(odd).next().unwrap_or_default();
    let help = match odd {
        ':' if !plain.is_empty() => format!(
            "write {}: \"eth0:1\" is the label of an address, and no interface",
            quoted(plain)
        ),
        _ => "write the interface's name as \"ip link\" on the node shows it".to_owned(),
    };
    report.add_capped(
        Levels::ADVICE,
        plugin.field_ref(key),
        format!(
            "{key} {} is not the name of an interface: Linux has none with {odd:?} in it",
            quoted(&name)
        ),
        help,
    );
}

/// Finds the name of an interface that the plugin makes, and Linux refuses.
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
