//! Mistakes that a plugin rejects or ignores.

use nadmit::rules::Level;
use serde_json::json;

use super::{SingleMistake, read};

pub(super) fn mistakes() -> Vec<SingleMistake> {
    let options = "invalid-plugin-option";
    let (deny, warn) = (Level::Deny, Level::Warn);
    let listed = [
        ("plugin:macvlan", json!({"mode": "brigde"}), options, deny),
        ("plugin:macvlan", json!({"mtu": -1}), options, deny),
        ("plugin:macvlan", json!({"mtu": 1500.5}), options, deny),
        ("plugin:macvlan", json!({"mtu": "1500"}), options, deny),
        ("plugin:macvlan", json!({"mac": "02:5e"}), options, deny),
        (
            "plugin:macvlan",
            json!({"type": "tuning"}),
            "plugin-order",
            deny,
        ),
        (
            "plugin:macvlan",
            json!({"capabilities": {"MAC": true}}),
            "ignored-capabilities",
            warn,
        ),
        (
            "plugin:macvlan",
            json!({"capabilities": ["mac"]}),
            "invalid-network-config",
            deny,
        ),
        (
            "plugin:macvlan",
            json!({"capabilities": {"mac": "true"}}),
            "invalid-network-config",
            deny,
        ),
        (
            "plugin:macvlan",
            json!({"args": "a"}),
            "invalid-network-config",
            deny,
        ),
        (
            "plugin:macvlan",
            json!({"type": 5}),
            "invalid-network-config",
            deny,
        ),
        ("plugin:macvlan", json!({"mtu": 67}), options, deny),
        (
            "plugin:macvlan",
            json!({"mac": "01:00:5e:00:00:01"}),
            options,
            deny,
        ),
        ("plugin:ipvlan", json!({"mode": "bridge"}), options, deny),
        ("plugin:bridge", json!({"vlan": 4095}), options, deny),
        ("plugin:bridge", json!({"vlan": "100"}), options, deny),
        (
            "plugin:bridge",
            json!({"vlanTrunk": [{"minID": 10}]}),
            options,
            deny,
        ),
        (
            "plugin:bridge",
            json!({"vlanTrunk": [{"minID": 10, "maxID": 9}]}),
            options,
            deny,
        ),
        (
            "plugin:bridge",
            json!({"vlanTrunk": [{"id": 0}]}),
            options,
            deny,
        ),
        (
            "plugin:bridge",
            json!({"vlanTrunk": {"id": 1}}),
            options,
            deny,
        ),
        (
            "plugin:bridge",
            json!({"hairpinMode": true, "promiscMode": true}),
            options,
            deny,
        ),
        (
            "plugin:bridge",
            json!({"disableContainerInterface": true}),
            options,
            deny,
        ),
        ("plugin:vlan", json!({"vlanId": 4095}), options, deny),
        ("plugin:vlan", json!({"master": null}), options, deny),
        (
            "plugin:host-device",
            json!({"device": "a", "pciBusID": "b"}),
            options,
            warn,
        ),
        ("plugin:sriov", json!({"vlan": 4095}), options, deny),
        (
            "plugin:sriov",
            json!({"vlan": 0, "vlanQoS": 1}),
            options,
            deny,
        ),
        (
            "plugin:sriov",
            json!({"vlan": 1, "vlanQoS": 8}),
            options,
            deny,
        ),
        (
            "plugin:sriov",
            json!({"vlan": null, "vlanQoS": 1}),
            options,
            deny,
        ),
        ("plugin:sriov", json!({"spoofchk": "yes"}), options, deny),
        ("plugin:sriov", json!({"trust": true}), options, deny),
        ("plugin:sriov", json!({"link_state": "up"}), options, deny),
        (
            "plugin:sriov",
            json!({"min_tx_rate": 9, "max_tx_rate": 8}),
            options,
            deny,
        ),
    ];
    listed.into_iter().map(read).collect()
}
