//! Mistakes that an IPAM rejects or ignores.

use nadmit::rules::Level;
use serde_json::json;

use super::{SingleMistake, read};

pub(super) fn mistakes() -> Vec<SingleMistake> {
    let range = "invalid-whereabouts-range";
    let fixed = "invalid-static-ipam";
    let local = "invalid-host-local-ipam";
    let dhcp = "invalid-dhcp-ipam";
    let slice = "invalid-node-slice-size";
    let (deny, warn) = (Level::Deny, Level::Warn);
    let listed = [
        (
            "ipam:static",
            json!({"capabilities": {"ips": true}}),
            "ignored-capabilities",
            warn,
        ),
        (
            "ipam:static",
            json!({"addresses": [{"address": "10.0.0.5"}]}),
            fixed,
            deny,
        ),
        (
            "ipam:static",
            json!({"addresses": [{"address": 5}]}),
            fixed,
            deny,
        ),
        ("ipam:static", json!({"addresses": [{}]}), fixed, deny),
        (
            "ipam:static",
            json!({"addresses": "10.0.0.5/24"}),
            fixed,
            deny,
        ),
        (
            "ipam:static",
            json!({"routes": [{"dst": "10.0.0.5"}]}),
            fixed,
            deny,
        ),
        (
            "ipam:static",
            json!({"routes": [{"dst": "10.0.0.0/8", "gw": "x"}]}),
            fixed,
            deny,
        ),
        (
            "ipam:static",
            json!({"dns": {"nameservers": "192.0.2.1"}}),
            fixed,
            deny,
        ),
        ("ipam:static", json!({"dns": {"search": [5]}}), fixed, deny),
        (
            "ipam:static",
            json!({"addresses": [{"address": "10.0.0.5/24", "gateway": "10.1.0.1"}], "routes": []}),
            "gateway-outside-subnet",
            warn,
        ),
        (
            "ipam:static",
            json!({"addresses": [{"address": "10.0.0.5/24", "gateway": "10.1.0.1"}],
                "routes": [{"dst": "0.0.0.0/0"}]}),
            "gateway-outside-subnet",
            deny,
        ),
        (
            "ipam:static",
            json!({"addresses": [{"address": "10.0.0.5/24"}],
                "routes": [{"dst": "172.16.0.0/12", "gw": "10.1.0.1"}]}),
            "route-refused",
            deny,
        ),
        (
            "ipam:static",
            json!({"addresses": [{"address": "10.0.0.5/24"}, {"address": "10.0.0.5/24"}]}),
            "repeated-address",
            deny,
        ),
        (
            "ipam:static",
            json!({"addresses": [{"address": "10.0.0.5/24"}, {"address": "10.0.0.5/16"}]}),
            "repeated-address",
            warn,
        ),
        (
            "ipam:dhcp",
            json!({"request": [{"option": "256"}]}),
            dhcp,
            deny,
        ),
        (
            "ipam:dhcp",
            json!({"provide": [{"option": "hostname"}]}),
            dhcp,
            deny,
        ),
        ("ipam:dhcp", json!({"daemonSocketPath": 5}), dhcp, deny),
        (
            "ipam:dhcp",
            json!({"daemonSocketPath": "dhcp.sock"}),
            dhcp,
            warn,
        ),
        ("ipam:host-local", json!({"ranges": []}), local, deny),
        ("ipam:host-local", json!({"ranges": [[]]}), local, deny),
        (
            "ipam:host-local",
            json!({"ranges": [{"subnet": "10.0.0.0/24"}]}),
            local,
            deny,
        ),
        (
            "ipam:host-local",
            json!({"ranges": [[{"subnet": "10.0.0.0/31"}]]}),
            local,
            deny,
        ),
        (
            "ipam:host-local",
            json!({"ranges": [[{"subnet": "2001:db8::/127"}]]}),
            local,
            deny,
        ),
        (
            "ipam:host-local",
            json!({"ranges": [[{"subnet": "10.0.0.1/24"}]]}),
            local,
            deny,
        ),
        (
            "ipam:host-local",
            json!({"ranges": [[{"subnet": "10.0.0.0/24", "rangeStart": "10.0.1.1"}]]}),
            local,
            deny,
        ),
        (
            "ipam:host-local",
            json!({"ranges": [[{"subnet": "10.0.0.0/24", "rangeStart": "10.0.0.9", "rangeEnd": "10.0.0.8"}]]}),
            local,
            deny,
        ),
        (
            "ipam:host-local",
            json!({"ranges": [[{"subnet": "10.0.0.0/24"}, {"subnet": "2001:db8::/64"}]]}),
            local,
            deny,
        ),
        (
            "ipam:host-local",
            json!({"ranges": [[{"subnet": "10.0.0.0/24"}], [{"subnet": "10.0.0.0/16"}]]}),
            local,
            deny,
        ),
        (
            "ipam:host-local",
            json!({"ranges": [[{"subnet": "10.0.0.0/24", "gateway": "10.0.1.1"}]], "routes": []}),
            "gateway-outside-subnet",
            warn,
        ),
        (
            "ipam:host-local",
            json!({"ranges": [[{"subnet": "10.0.0.0/24", "gateway": "10.0.1.1"}]],
                "routes": [{"dst": "0.0.0.0/0"}]}),
            "gateway-outside-subnet",
            deny,
        ),
        (
            "ipam:host-local",
            json!({"routes": [{"dst": "172.16.0.0/12", "gw": "192.168.77.1"}]}),
            "route-refused",
            deny,
        ),
        ("ipam:whereabouts", json!({"range": "abc/24"}), range, deny),
        (
            "ipam:whereabouts",
            json!({"range": "10.0.0.0"}),
            range,
            deny,
        ),
        (
            "ipam:whereabouts",
            json!({"range": "10.0.0.0/31"}),
            range,
            deny,
        ),
        (
            "ipam:whereabouts",
            json!({"range": "2001:db8::/127"}),
            range,
            deny,
        ),
        (
            "ipam:whereabouts",
            json!({"range": "10.0.0.9-10.0.0.8/24"}),
            range,
            deny,
        ),
        (
            "ipam:whereabouts",
            json!({"range": "10.0.1.9-10.0.0.8/24"}),
            range,
            deny,
        ),
        ("ipam:whereabouts", json!({"range": 5}), range, deny),
        ("ipam:whereabouts", json!({"range_start": "x"}), range, deny),
        (
            "ipam:whereabouts",
            json!({"range_start": "2001:db8:1::"}),
            range,
            deny,
        ),
        (
            "ipam:whereabouts",
            json!({"range": "10.0.0.0/24", "range_start": "10.0.0.9", "range_end": "10.0.0.8"}),
            range,
            deny,
        ),
        ("ipam:whereabouts", json!({"gateway": "x"}), range, deny),
        (
            "ipam:whereabouts",
            json!({"gateway": "2001:db8:1::1", "routes": []}),
            "gateway-outside-subnet",
            warn,
        ),
        (
            "ipam:whereabouts",
            json!({"gateway": "2001:db8:1::1", "routes": [{"dst": "::/0"}]}),
            "gateway-outside-subnet",
            deny,
        ),
        (
            "ipam:whereabouts",
            json!({"range": "10.0.0.0/24", "gateway": "10.0.0.1", "exclude": []}),
            "gateway-not-excluded",
            warn,
        ),
        ("ipam:whereabouts", json!({"ipRanges": [{}]}), range, deny),
        (
            "ipam:whereabouts",
            json!({"ipRanges": [{"range": "10.0.0.0/24"}, {"range": "10.0.0.128/25"}]}),
            "overlapping-windows",
            deny,
        ),
        (
            "ipam:whereabouts",
            json!({"range": "10.0.0.0/24", "range_end": "10.0.0.9", "ipRanges": [
                {"range": "10.0.0.0/24", "range_start": "10.0.0.20"}]}),
            "overlapping-windows",
            deny,
        ),
        (
            "ipam:whereabouts",
            json!({"exclude": ["a.b.c.d/23"]}),
            "invalid-exclude",
            deny,
        ),
        (
            "ipam:whereabouts",
            json!({"exclude": "10.0.0.0/30"}),
            range,
            deny,
        ),
        (
            "ipam:whereabouts",
            json!({"exclude": ["2001:db8:1::/64"]}),
            "exclude-outside-range",
            warn,
        ),
        (
            "ipam:whereabouts",
            json!({"exclude": ["0.0.0.0/0"]}),
            "no-usable-address",
            deny,
        ),
        (
            "ipam:whereabouts",
            json!({"node_slice_size": "x"}),
            slice,
            deny,
        ),
        (
            "ipam:whereabouts",
            json!({"node_slice_size": "/8"}),
            slice,
            deny,
        ),
        (
            "ipam:whereabouts",
            json!({"node_slice_size": "31"}),
            slice,
            deny,
        ),
        (
            "ipam:whereabouts",
            json!({"range": "2001:db8:1::/64", "node_slice_size": "/80"}),
            slice,
            deny,
        ),
        (
            "ipam:whereabouts",
            json!({"exclued": []}),
            "unknown-ipam-key",
            warn,
        ),
        (
            "ipam:whereabouts",
            json!({"network_name": "a_b"}),
            "fragile-network-name",
            warn,
        ),
    ];
    listed.into_iter().map(read).collect()
}
