//! The wire that a plugin's interface is on, as far as its configuration says.

use super::json::{Member, find};

/// The plugin that a binary is: some are installed under several names.
pub fn family(kind: &str) -> &str {
    match kind {
        "cnv-bridge" => "bridge",
        "cnv-tuning" => "tuning",
        "ib-sriov-cni" => "ib-sriov",
        kind => kind,
    }
}

/// The interface on which macvlan and ipvlan make theirs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parent {
    /// Its name; empty for the interface of the default route.
    pub master: Box<str>,
    /// Whether it is one of the pod's own.
    pub in_container: bool,
    /// Whether it is to carry one macvlan only (`passthru`).
    pub exclusive: bool,
}

impl Parent {
    /// Reads the options of macvlan and ipvlan; other plugins have no parent.
    pub(super) fn read(kind: &str, members: &[Member<'_>]) -> Option<Self> {
        if !matches!(kind, "macvlan" | "ipvlan") {
            return None;
        }
        let switch = find(members, "linkInContainer").and_then(|m| m.value.boolean());
        let mode = word(members, "mode");
        Some(Self {
            master: word(members, "master").unwrap_or_default(),
            in_container: switch.unwrap_or_default(),
            exclusive: kind == "macvlan" && mode.as_deref() == Some("passthru"),
        })
    }

    /// Its name, for messages.
    pub fn described(&self) -> &str {
        match &*self.master {
            "" => DEFAULT_ROUTE,
            master => master,
        }
    }
}

const DEFAULT_ROUTE: &str = "the interface of the default route";

/// The wire in words: of two plugins with the same words nothing shows that they are on different ones.
pub(super) fn wire(kind: &str, members: &[Member<'_>]) -> Box<str> {
    let kind = family(kind);
    let [master, bridge, device] = ["master", "bridge", "device"].map(|key| word(members, key));
    let wire = match (master, bridge, device, kind) {
        (Some(master), ..) => master.into_string(),
        (None, Some(bridge), ..) => format!("bridge {bridge}"),
        (None, None, _, "bridge") => "bridge cni0".to_owned(),
        (None, None, Some(device), _) => device.into_string(),
        (.., "macvlan" | "ipvlan") => DEFAULT_ROUTE.to_owned(),
        _ => format!("plugin {kind}"),
    };
    match vlan(kind, members) {
        Some(vlan) => format!("{wire}, VLAN {vlan}").into(),
        None => wire.into(),
    }
}

/// The VLAN that the plugin puts its interface into; macvlan and ipvlan have no such option.
fn vlan(kind: &str, members: &[Member<'_>]) -> Option<i64> {
    let keys: &[&str] = match kind {
        "macvlan" | "ipvlan" => &[],
        _ => &["vlan", "vlanId"],
    };
    let mut found = keys
        .iter()
        .filter_map(|key| find(members, key)?.value.integer());
    found.next().filter(|vlan| *vlan != 0)
}

fn word(members: &[Member<'_>], key: &str) -> Option<Box<str>> {
    let text = find(members, key)?.value.string()?;
    (!text.is_empty()).then(|| text.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::json::Node;

    #[test]
    fn a_vlan_counts_where_the_plugin_has_one() {
        let of = |kind: &str, text: &str| {
            let members = Node::document(text).ok().and_then(Node::members);
            wire(kind, &members.unwrap_or_default()).into_string()
        };
        for (kind, text, expected) in [
            ("macvlan", r#"{"master": "eth0", "vlan": 100}"#, "eth0"),
            ("ipvlan", r#"{"vlan": 100}"#, DEFAULT_ROUTE),
            ("vlan", r#"{"master": "eth0", "vlanId": 5}"#, "eth0, VLAN 5"),
            ("bridge", r#"{"vlan": 5}"#, "bridge cni0, VLAN 5"),
            (
                "cnv-bridge",
                r#"{"bridge": "b", "vlan": 5}"#,
                "bridge b, VLAN 5",
            ),
            ("cnv-bridge", "{}", "bridge cni0"),
            ("sriov", r#"{"vlan": 7}"#, "plugin sriov, VLAN 7"),
            ("host-device", r#"{"device": "eth3"}"#, "eth3"),
        ] {
            assert_eq!(of(kind, text), expected, "{kind} {text}");
        }
    }
}
