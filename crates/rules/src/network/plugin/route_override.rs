//! Options of route-override.

use crate::Report;
use nadmit_cni::{Subnet, json::ValueKind};

use super::super::fields::{
    FieldType::{Boolean, Objects, Text},
    Fields, quoted, range_error_class,
};

pub(super) fn check(plugin: &Fields<'_, '_>, report: &mut Report<'_>) {
    plugin.check_types(
        &[
            ("flushroutes", Boolean),
            ("flushgateway", Boolean),
            ("skipcheck", Boolean),
            ("delroutes", Objects),
            ("addroutes", Objects),
        ],
        report,
    );
    for key in ["delroutes", "addroutes"] {
        for route in plugin.objects(key) {
            if report.is_full() {
                return;
            }
            check_route(&route, report);
        }
    }
    check_args(plugin, report);
}

fn check_route(route: &Fields<'_, '_>, report: &mut Report<'_>) {
    const HELP: &str = "write a subnet, such as 192.0.2.0/24";
    route.check_types(&[("dst", Text), ("gw", Text)], report);
    let Some(value) = route.value("dst") else {
        return report.add(route.own_ref(), "the route has no dst", HELP);
    };
    let Some(text) = value.node.string() else {
        return;
    };
    if let Err(error) = Subnet::parse(&text) {
        let message = format!("dst {} {error}", quoted(&text));
        report.add_capped(range_error_class(error), value.field_ref(), message, HELP);
    }
}

/// Reports `args` without the object `cni`, on which the plugin crashes.
fn check_args(plugin: &Fields<'_, '_>, report: &mut Report<'_>) {
    let Some(args) = plugin.object("args") else {
        return;
    };
    let cni = args.value("cni").map(|cni| cni.node.kind());
    if cni != Some(ValueKind::Object) {
        report.add(
            plugin.field_ref("args"),
            "route-override crashes on \"args\" without an object \"cni\"",
            "remove \"args\", or write {\"cni\": {}}",
        );
    }
}
