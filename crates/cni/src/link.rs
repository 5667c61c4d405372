//! The link that a plugin's interface is on, as far as its configuration names it.

use super::json::{JsonMember, find};

/// Returns the canonical name of a plugin: some binaries are installed under several names.
pub fn family(kind: &str) -> &str {
    match kind {
        "cnv-bridge" => "bridge",
        "cnv-tuning" => "tuning",
        "ib-sriov-cni" => "ib-sriov",
        kind => kind,
    }
}

/// The parent interface of macvlan and ipvlan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parent {
    /// The name; empty for the interface of the default route.
    pub master: Box<str>,
    /// True if it is an interface of the pod itself (`linkInContainer`).
    pub in_container: bool,
    /// True if it supports a single macvlan interface only (mode `passthru`).
    pub exclusive: bool,
}

impl Parent {
    /// Reads the options of macvlan and ipvlan; other plugins have no parent interface.
    pub(super) fn read(kind: &str, members: &[JsonMember<'_>]) -> Option<Self> {
        if !matches!(kind, "macvlan" | "ipvlan") {
            return None;
        }
        let switch = find(members, "linkInContainer").and_then(|m| m.value.boolean());
        let mode = text_option(members, "mode");
        Some(Self {
            master: text_option(members, "master").unwrap_or_default(),
            in_container: switch.unwrap_or_default(),
            exclusive: kind == "macvlan" && mode.as_deref() == Some("passthru"),
        })
    }

    /// Returns its name, for messages.
    pub fn described(&self) -> &str {
        match &*self.master {
            "" => DEFAULT_ROUTE,
            master => master,
        }
    }
}

const DEFAULT_ROUTE: &str = "the interface of the default route";

/// Returns a text that describes the link. Plugins with equal texts may still be on different
/// links.
pub(super) fn link(kind: &str, members: &[JsonMember<'_>]) -> Box<str> {
    let kind = family(kind);
    let [master, bridge, device] =
        ["master", "bridge", "device"].map(|key| text_option(members, key));
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

/// Returns the VLAN of the plugin's interface; macvlan and ipvlan have no such option.
fn vlan(kind: &str, members: &[JsonMember<'_>]) -> Option<i64> {
    let keys: &[&str] = match kind {
        "macvlan" | "ipvlan" => &[],
        _ => &["vlan", "vlanId"],
    };
    let mut found = keys
        .iter()
        .filter_map(|key| find(members, key)?.value.integer());
    found.next().filter(|vlan| *vlan != 0)
}

fn text_option(members: &[JsonMember<'_>], key: &str) -> Option<Box<str>> {
    let text = find(members, key)?.value.string()?;
    (!text.is_empty()).then(|| text.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::JsonNode;

    #[test]
    fn a_vlan_counts_where_the_plugin_has_one() {
        let of = |kind: &str, text: &str| {
            let members = JsonNode::document(text).ok().and_then(JsonNode::members);
            link(kind, &members.unwrap_or_default()).into_string()
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
