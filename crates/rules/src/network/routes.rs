//! Checks of addresses, routes and DNS, which static, host-local and Whereabouts share.

use crate::{Levels, Report};
use nadmit_cni::{
    Subnet,
    address::{AddressError, parse_address},
};

use super::fields::{
    FieldType::{Integer, Object, Objects, Text, Texts},
    Fields, quoted, range_error_class,
};

/// Reports routes that the plugin cannot read.
pub(super) fn check_routes(ipam: &Fields<'_, '_>, report: &mut Report<'_>) {
    ipam.check_types(&[("routes", Objects)], report);
    for route in ipam.objects("routes") {
        route.check_types(
            &[
                ("dst", Text),
                ("gw", Text),
                ("mtu", Integer),
                ("advmss", Integer),
                ("priority", Integer),
                ("table", Integer),
                ("scope", Integer),
            ],
            report,
        );
        match route.value("dst") {
            None => report.add_capped(
                Levels::ADVICE,
                route.own_ref(),
                "the route has no destination (dst)",
                "add \"dst\" with a subnet, such as \"0.0.0.0/0\" for the default route",
            ),
            Some(dst) => {
                if let Some(text) = dst.node.string()
                    && let Err(error) = Subnet::parse(&text)
                {
                    report.add_capped(
                        range_error_class(error),
                        dst.field_ref(),
                        format!("dst {} {error}", quoted(&text)),
                        "write a subnet, such as 192.0.2.0/24",
                    );
                }
            }
        }
        check_address(&route, "gw", report);
    }
}

/// Reports DNS settings that the plugin cannot read.
pub(super) fn check_dns(ipam: &Fields<'_, '_>, report: &mut Report<'_>) {
    ipam.check_types(&[("dns", Object)], report);
    let Some(dns) = ipam.object("dns") else {
        return;
    };
    dns.check_types(
        &[
            ("nameservers", Texts),
            ("domain", Text),
            ("search", Texts),
            ("options", Texts),
        ],
        report,
    );
    for server in dns.list("nameservers") {
        let Some(text) = server.node.string() else {
            continue;
        };
        if let Err(error) = parse_address(&text) {
            // Plugins pass nameservers on without parsing them.
            report.add_capped(
                Levels::ADVICE,
                server.field_ref(),
                format!("the nameserver {} {error}", quoted(&text)),
                "write an IP address, such as 192.0.2.53",
            );
        }
    }
}

/// Reports configured addresses that the plugin cannot read.
pub(super) fn check_addresses(ipam: &Fields<'_, '_>, report: &mut Report<'_>) {
    ipam.check_types(&[("addresses", Objects)], report);
    for entry in ipam.objects("addresses") {
        entry.check_types(&[("address", Text), ("gateway", Text)], report);
        check_address(&entry, "gateway", report);
        match entry.value("address") {
            None => report.add(
                entry.own_ref(),
                "the entry has no address",
                "add \"address\" with a prefix length, such as \"192.0.2.5/24\"",
            ),
            Some(value) => {
                if let Some(text) = value.node.string()
                    && let Err(error) = Subnet::parse(&text)
                {
                    report.add_capped(
                        range_error_class(error),
                        value.field_ref(),
                        format!("{} {error}", quoted(&text)),
                        "write an address with its prefix length, such as 192.0.2.5/24",
                    );
                }
            }
        }
    }
}

/// Reports a string that is not an address where the plugin expects one. Go treats an empty string as
/// missing.
pub(super) fn check_address(fields: &Fields<'_, '_>, key: &str, report: &mut Report<'_>) {
    let Some(text) = fields.text(key) else { return };
    let Err(error) = parse_address(&text) else {
        return;
    };
    let levels = match error {
        AddressError::Mapped => Levels::ADVICE,
        _ => Levels::FAILS,
    };
    report.add_capped(
        levels,
        fields.field_ref(key),
        format!("{key} {} {error}", quoted(&text)),
        "write an IP address without a prefix length, such as 192.0.2.1",
    );
}

/// Reports several addresses or sets of one family, for CNI versions that allow only one. `each` yields, in
/// order, whether the family is IPv4, and the value.
pub(super) fn check_one_a_family<'s, 'a>(
    each: impl IntoIterator<Item = (bool, super::fields::FieldValue<'s, 'a>)>,
    report: &mut Report<'_>,
) where
    'a: 's,
{
    let mut seen = [false; 2];
    for (v4, value) in each {
        let slot = &mut seen[usize::from(v4)];
        if *slot {
            report.add(
                value.field_ref(),
                "CNI versions before 0.3.0 allow only one address of each IP family",
                "write \"cniVersion\": \"0.3.1\" or later",
            );
        }
        *slot = true;
    }
}
