//! Normalized annotations: what they request, independent of notation.
//!
//! Two annotations with equal normalized forms give a pod the same interfaces. Format, white space,
//! order of members, case of keys, notation of addresses, and order of elements (as long as no
//! default interface name changes) are ignored.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Annotation, Bandwidth, PortMapping, Selection, SelectionMember};
use crate::{json::JsonNode, mac::HardwareAddress, text::Parsed};

/// The requests for each interface, by the interface's name.
#[derive(Debug, Clone, PartialEq)]
pub struct NormalizedAnnotation {
    interfaces: BTreeMap<String, Vec<Attributes>>,
}

/// The requests for one interface: canonical values by canonical key.
type Attributes = BTreeMap<String, Value>;

/// A difference between two normalized annotations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InterfaceChange {
    /// The interface exists only in the later annotation.
    Added {
        interface: String,
        /// The network, `namespace/name`.
        network: String,
    },
    /// The interface exists only in the earlier annotation.
    Removed {
        interface: String,
        /// The network, `namespace/name`.
        network: String,
    },
    /// The interface belongs to another network, or other values are requested.
    Changed {
        interface: String,
        /// The keys whose values differ.
        keys: Vec<String>,
    },
}

impl NormalizedAnnotation {
    /// Normalizes an annotation. Names without a namespace belong to the pod's namespace;
    /// `interface` returns the interface name of a selection.
    pub fn of(
        annotation: &Annotation<'_>,
        pod_namespace: &str,
        interface: impl Fn(&Selection<'_>) -> String,
    ) -> Self {
        let mut interfaces: BTreeMap<String, Vec<Attributes>> = BTreeMap::new();
        for selection in &annotation.selections {
            interfaces
                .entry(interface(selection))
                .or_default()
                .push(attributes(selection, pod_namespace));
        }
        Self { interfaces }
    }

    /// Returns the differences of `after` from this one, by interface.
    pub fn differences(&self, after: &Self) -> Vec<InterfaceChange> {
        let mut differences = Vec::new();
        for (interface, before) in &self.interfaces {
            match after.interfaces.get(interface) {
                Some(after) if after == before => {}
                Some(after) => differences.push(InterfaceChange::Changed {
                    interface: interface.clone(),
                    keys: changed_keys(before, after),
                }),
                None => differences.push(InterfaceChange::Removed {
                    interface: interface.clone(),
                    network: network(before),
                }),
            }
        }
        for (interface, after) in &after.interfaces {
            if !self.interfaces.contains_key(interface) {
                differences.push(InterfaceChange::Added {
                    interface: interface.clone(),
                    network: network(after),
                });
            }
        }
        differences
    }
}

const NETWORK: &str = "network";

fn network(attributes: &[Attributes]) -> String {
    let name = attributes
        .first()
        .and_then(|a| a.get(NETWORK))
        .and_then(Value::as_str);
    name.unwrap_or_default().to_owned()
}

fn changed_keys(before: &[Attributes], after: &[Attributes]) -> Vec<String> {
    let (Some(before), Some(after)) = (before.first(), after.first()) else {
        return Vec::new();
    };
    let mut keys: Vec<String> = before.keys().chain(after.keys()).cloned().collect();
    keys.sort_unstable();
    keys.dedup();
    keys.retain(|key| before.get(key) != after.get(key));
    keys
}

fn attributes(selection: &Selection<'_>, pod_namespace: &str) -> Attributes {
    let mut found = Attributes::new();
    let name = selection.network_name().unwrap_or_default();
    found.insert(
        NETWORK.into(),
        json!(format!("{}/{name}", selection.namespace_or(pod_namespace))),
    );
    let mut put = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            found.insert(key.to_owned(), value);
        }
    };
    put(
        "ips",
        selection
            .ips
            .as_ref()
            .map(|ips| texts(&ips.value))
            .filter(not_empty),
    );
    put("mac", selection.mac.as_ref().map(hardware));
    put(
        "infiniband-guid",
        selection.infiniband_guid.as_ref().map(hardware),
    );
    let ports = selection.port_mappings.as_ref();
    put(
        "portMappings",
        ports
            .map(|p| p.value.iter().map(port).collect())
            .filter(not_empty),
    );
    put(
        "bandwidth",
        selection.bandwidth.as_ref().map(|b| bandwidth(&b.value)),
    );
    put(
        "default-route",
        selection
            .default_route
            .as_ref()
            .map(|route| texts(&route.value)),
    );
    put(
        "cni-args",
        selection.cni_args.as_ref().map(|args| {
            let members = args.members.iter();
            let value = |node: JsonNode<'_>| -> Value {
                serde_json::from_str(node.text()).unwrap_or_default()
            };
            members
                .map(|member| (member.name.value.to_string(), value(member.value)))
                .collect::<Value>()
        }),
    );
    put(
        "ipam-claim-reference",
        selection
            .ipam_claim
            .as_ref()
            .map(|claim| json!(claim.value)),
    );
    put(
        "deviceID",
        selection.device_id.as_ref().map(|id| json!(id.value)),
    );
    let foreign =
        |member: &&SelectionMember<'_>| member.key.is_none() && !member.member.value.is_null();
    for SelectionMember { member, .. } in selection.members.iter().filter(foreign) {
        put(
            &member.name.value,
            serde_json::from_str(member.value.text()).ok(),
        );
    }
    found
}

fn not_empty(value: &Value) -> bool {
    value.as_array().is_none_or(|list| !list.is_empty())
}

/// Returns each value in its canonical notation, or as written if it is invalid.
fn texts<T: ToString, E>(list: &[Parsed<'_, T, E>]) -> Value {
    list.iter()
        .map(|p| p.ok().map_or_else(|| p.text.to_string(), T::to_string))
        .collect()
}

fn hardware<E>(parsed: &Parsed<'_, HardwareAddress, E>) -> Value {
    parsed
        .ok()
        .map_or_else(|| json!(parsed.text), |address| json!(address.as_bytes()))
}

fn port(mapping: &PortMapping<'_>) -> Value {
    json!({
        "hostPort": mapping.host_port.as_ref().map(|p| p.value),
        "containerPort": mapping.container_port.as_ref().map(|p| p.value),
        "protocol": mapping.protocol.as_ref().map(|p| p.value.to_ascii_lowercase()),
        "hostIP": mapping.host_ip.as_ref().map(|p| &p.value),
    })
}

fn bandwidth(limits: &Bandwidth) -> Value {
    let number = |n: &Option<crate::Spanned<i64>>| n.as_ref().map_or(0, |n| n.value);
    json!([
        number(&limits.ingress_rate),
        number(&limits.ingress_burst),
        number(&limits.egress_rate),
        number(&limits.egress_burst),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn differences(before: &str, after: &str) -> Vec<InterfaceChange> {
        let (before, after) = (Annotation::parse(before), Annotation::parse(after));
        let meaning = |annotation: &Annotation<'_>| {
            NormalizedAnnotation::of(annotation, "db", |selection| {
                selection.interface_name().into_owned()
            })
        };
        meaning(&before).differences(&meaning(&after))
    }

    #[test]
    fn notation_is_ignored() {
        for (before, after) in [
            (
                "net-a, net-b",
                r#"[{"name":"net-a"},{"namespace":"db","name":"net-b"}]"#,
            ),
            ("a@x,b@y", "b@y,a@x"),
            (
                r#"[{"name":"a","mac":"CA:FE:C0:FF:EE:00","ips":["2001:DB8::05/64"]}]"#,
                r#"[{"IPS":["2001:db8::5/64"],"mac":"ca-fe-c0-ff-ee-00","name":"a","x":null}]"#,
            ),
            (
                r#"[{"name":"a","ips":[],"cni-args":{"p":1,"q":2}}]"#,
                r#"[{"name":"a","cni-args":{"q":2,"p":1}}]"#,
            ),
        ] {
            assert_eq!(differences(before, after), [], "{before} -> {after}");
        }
    }

    #[test]
    fn requested_values_are_compared() {
        assert_eq!(
            differences("net-a", "net-a,net-b"),
            [InterfaceChange::Added {
                interface: "net2".into(),
                network: "db/net-b".into()
            }]
        );
        assert_eq!(
            differences("net-a,net-b", "net-b"),
            [
                InterfaceChange::Changed {
                    interface: "net1".into(),
                    keys: vec!["network".into()]
                },
                InterfaceChange::Removed {
                    interface: "net2".into(),
                    network: "db/net-b".into()
                },
            ]
        );
        assert_eq!(
            differences(
                r#"[{"name":"a"}]"#,
                r#"[{"name":"a","mac":"02:00:00:00:00:01"}]"#
            ),
            [InterfaceChange::Changed {
                interface: "net1".into(),
                keys: vec!["mac".into()]
            }]
        );
    }
}
