//! The additional networks of OpenShift's Cluster Network Operator, and the networks that the
//! operator creates from them.
//!
//! `Network.operator.openshift.io/cluster` lists them in `spec.additionalNetworks`. For an entry of
//! type `Raw` the operator creates a network with exactly that configuration, for one of type
//! `SimpleMacvlan` it renders the configuration; this module renders it in the same way.

use std::collections::HashSet;

use serde_json::{Map, Value, json};

use super::{
    Network,
    ipam::Ipam,
    json::{JsonMember, JsonNode, find},
    name,
};

/// The API group of the operator's objects.
pub const GROUP: &str = "operator.openshift.io";
/// The namespace of an entry that names none.
const DEFAULT_NAMESPACE: &str = "default";

/// An entry of `spec.additionalNetworks`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdditionalNetwork {
    /// The index in the list.
    pub index: usize,
    /// The namespace of the network.
    pub namespace: Box<str>,
    /// The network's name; empty if absent.
    pub name: Box<str>,
    /// The path of the entry's field that contains the configuration.
    pub source: &'static str,
    /// The network's configuration: `rawCNIConfig` as written, or the rendered text.
    pub config: Option<Box<str>>,
    /// True if the configuration is rendered, so that its text is not the user's.
    pub rendered: bool,
    /// The mistakes for which the operator rejects the entry.
    pub faults: Vec<EntryFault>,
}

/// A mistake for which the operator rejects an entry, and with it the whole list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryFault {
    /// The path of the field in the entry: `.name`.
    pub path: &'static str,
    /// The mistake.
    pub message: String,
    /// The remedy.
    pub help: &'static str,
}

/// The IPAM daemons that the operator runs: those that an additional network uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Daemons {
    /// True if it runs the DHCP daemon.
    pub dhcp: bool,
    /// True if it runs Whereabouts's reconciler.
    pub whereabouts: bool,
}

impl Daemons {
    /// Returns the daemons that the operator runs for these networks.
    pub fn of<'n>(networks: impl IntoIterator<Item = &'n Network>) -> Self {
        let mut daemons = Self::default();
        for network in networks {
            let plugins = network.config.loaded().map(|config| &config.plugins);
            for plugin in plugins.into_iter().flatten() {
                daemons.dhcp |= matches!(plugin.ipam, Some(Ipam::Dhcp(_)));
                daemons.whereabouts |= matches!(plugin.ipam, Some(Ipam::Whereabouts(_)));
            }
        }
        daemons
    }
}

impl AdditionalNetwork {
    /// Returns the network that the operator creates, if the entry has a name.
    pub fn network(&self) -> Option<Network> {
        let named = !self.name.is_empty();
        named.then(|| Network::new(&self.namespace, &self.name, self.config.as_deref()))
    }

    /// Returns the path of a field of the entry in the object.
    pub fn field(&self, path: &str) -> String {
        format!("spec.additionalNetworks[{}]{path}", self.index)
    }
}

/// Parses the JSON of the list. Anything but a list of objects is ignored: the API server rejects
/// it by its schema.
pub fn read(text: &str) -> Vec<AdditionalNetwork> {
    let elements = JsonNode::document(text).ok().and_then(JsonNode::elements);
    let mut names = HashSet::new();
    let entries = elements.unwrap_or_default().into_iter().enumerate();
    let mut read: Vec<AdditionalNetwork> = entries
        .filter_map(|(index, element)| Some(entry(index, &element.members()?)))
        .collect();
    for entry in &mut read {
        let name = (entry.namespace.clone(), entry.name.clone());
        if !entry.name.is_empty() && !names.insert(name) {
            let message = format!(
                "the name {:?} is that of another entry for namespace {:?}",
                entry.name, entry.namespace
            );
            entry.fault(
                ".name",
                message,
                "write a name of its own, or remove one of the two",
            );
        }
    }
    read
}

fn entry(index: usize, members: &[JsonMember<'_>]) -> AdditionalNetwork {
    let kind = text(members, "type");
    let mut entry = AdditionalNetwork {
        index,
        namespace: text(members, "namespace")
            .unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned())
            .into(),
        name: text(members, "name").unwrap_or_default().into(),
        source: ".rawCNIConfig",
        config: None,
        rendered: false,
        faults: Vec::new(),
    };
    if let Err(error) = name::label(&entry.namespace) {
        let message = format!("the namespace {:?} {error}", entry.namespace);
        entry.fault(
            ".namespace",
            message,
            "write the name of a namespace, or leave it out",
        );
    }
    if entry.name.is_empty() {
        entry.fault(
            ".name",
            "the entry has no name".to_owned(),
            "add a \"name\"",
        );
    } else if let Err(error) = name::subdomain(&entry.name) {
        let message = format!("the name {:?} {error}", entry.name);
        entry.fault(".name", message, "write a name that a network may have");
    }
    match kind.as_deref() {
        Some("Raw") => {
            entry.config = text(members, "rawCNIConfig").map(Into::into);
            if entry.config.is_none() {
                let message = "an entry of type Raw has no configuration".to_owned();
                let help = "add \"rawCNIConfig\": a text that holds one JSON object";
                entry.fault(".rawCNIConfig", message, help);
            }
        }
        Some("SimpleMacvlan") => simple_macvlan(members, &mut entry),
        other => {
            let message = match other {
                None => "the entry has no type".to_owned(),
                Some(other) => format!("there is no type {other:?}"),
            };
            entry.fault(".type", message, "write Raw or SimpleMacvlan");
        }
    }
    entry
}

impl AdditionalNetwork {
    fn fault(&mut self, path: &'static str, message: String, help: &'static str) {
        self.faults.push(EntryFault {
            path,
            message,
            help,
        });
    }
}

fn simple_macvlan(members: &[JsonMember<'_>], entry: &mut AdditionalNetwork) {
    let settings = object(members, "simpleMacvlanConfig");
    let mut config = Map::new();
    let mut put = |key: &str, value: Value| config.insert(key.to_owned(), value);
    put("cniVersion", json!("0.3.1"));
    put("name", json!(entry.name));
    put("type", json!("macvlan"));
    if let Some(master) = text(&settings, "master") {
        put("master", json!(master));
    }
    if let Some(mode) = text(&settings, "mode") {
        if !["Bridge", "Private", "VEPA", "Passthru"].contains(&&*mode) {
            let help = "write Bridge, Private, VEPA or Passthru";
            entry.fault(
                ".simpleMacvlanConfig.mode",
                format!("there is no mode {mode:?}"),
                help,
            );
        }
        put("mode", json!(mode.to_lowercase()));
    }
    let mtu = find(&settings, "mtu").and_then(|m| m.value.integer());
    if let Some(mtu) = mtu.filter(|mtu| *mtu > 0) {
        put("mtu", json!(mtu));
    }
    let ipam = object(&settings, "ipamConfig");
    // The default is DHCP.
    let rendered = match text(&ipam, "type").as_deref() {
        None | Some("DHCP") => json!({"type": "dhcp"}),
        Some("Static") => static_ipam(&object(&ipam, "staticIPAMConfig")),
        Some(other) => {
            let message = format!("there is no IPAM of type {other:?}");
            let help = "write DHCP or Static; for others use an entry of type Raw";
            entry.fault(".simpleMacvlanConfig.ipamConfig.type", message, help);
            return;
        }
    };
    put("ipam", rendered);
    entry.source = ".simpleMacvlanConfig";
    entry.rendered = true;
    entry.config = Some(Value::Object(config).to_string().into());
}

/// Renders the static IPAM as the operator does, whose keys differ from the plugin's.
fn static_ipam(settings: &[JsonMember<'_>]) -> Value {
    let list = |name: &str, keys: [(&str, &str); 2]| -> Vec<Value> {
        let elements = find(settings, name).and_then(|m| m.value.elements());
        let elements = elements.unwrap_or_default().into_iter();
        elements
            .filter_map(JsonNode::members)
            .map(|members| {
                let keys = keys.into_iter();
                let pair =
                    |(from, to): (&str, &str)| Some((to.to_owned(), json!(text(&members, from)?)));
                Value::Object(keys.filter_map(pair).collect())
            })
            .collect()
    };
    let mut ipam = json!({
        "type": "static",
        "addresses": list("addresses", [("address", "address"), ("gateway", "gateway")]),
    });
    let routes = list("routes", [("destination", "dst"), ("gateway", "gw")]);
    if !routes.is_empty() {
        ipam["routes"] = json!(routes);
    }
    if let Some(dns) = find(settings, "dns")
        && let Ok(dns) = serde_json::from_str::<Value>(dns.value.text())
    {
        ipam["dns"] = dns;
    }
    ipam
}

/// Returns a string member that is not empty.
fn text(members: &[JsonMember<'_>], name: &str) -> Option<String> {
    let text = find(members, name)?.value.string()?.into_owned();
    (!text.is_empty()).then_some(text)
}

fn object<'a>(members: &[JsonMember<'a>], name: &str) -> Vec<JsonMember<'a>> {
    let found = find(members, name).and_then(|m| m.value.members());
    found.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_simple_macvlan_is_rendered() {
        let read = read(
            r#"[{"name":"m","type":"SimpleMacvlan","simpleMacvlanConfig":{"master":"eth1","mode":"VEPA",
                "mtu":9000,"ipamConfig":{"type":"Static","staticIPAMConfig":{
                "addresses":[{"address":"192.0.2.5/24","gateway":"192.0.2.1"}],
                "routes":[{"destination":"0.0.0.0/0","gateway":"192.0.2.1"}]}}}},
               {"name":"d","namespace":"db","type":"SimpleMacvlan"}]"#,
        );
        let configs: Vec<Value> = read
            .iter()
            .filter_map(|entry| serde_json::from_str(entry.config.as_deref()?).ok())
            .collect();
        assert_eq!(
            configs,
            [
                json!({"cniVersion": "0.3.1", "name": "m", "type": "macvlan", "master": "eth1",
                    "mode": "vepa", "mtu": 9000, "ipam": {"type": "static",
                        "addresses": [{"address": "192.0.2.5/24", "gateway": "192.0.2.1"}],
                        "routes": [{"dst": "0.0.0.0/0", "gw": "192.0.2.1"}]}}),
                json!({"cniVersion": "0.3.1", "name": "d", "type": "macvlan", "ipam": {"type": "dhcp"}}),
            ]
        );
        assert_eq!(
            [&*read[0].namespace, &*read[1].namespace],
            ["default", "db"]
        );
        assert!(read.iter().all(|entry| entry.faults.is_empty()));
        let networks: Vec<Network> = read.iter().filter_map(AdditionalNetwork::network).collect();
        assert_eq!(
            Daemons::of(&networks),
            Daemons {
                dhcp: true,
                whereabouts: false
            }
        );
    }

    #[test]
    fn entries_that_the_operator_rejects_have_faults() {
        let paths = |text: &str| {
            let faults = read(text).into_iter().flat_map(|entry| entry.faults);
            faults.map(|fault| fault.path).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(paths("{"), "");
        assert_eq!(paths("{}"), "");
        assert_eq!(paths("[1,{}]"), ".name .type");
        assert_eq!(
            paths(r#"[{"name":"A","type":"Raw"}]"#),
            ".name .rawCNIConfig"
        );
        let twice = r#"{"name":"a","type":"Raw","rawCNIConfig":"{}"}"#;
        assert_eq!(paths(&format!("[{twice},{twice}]")), ".name");
        assert_eq!(
            paths(
                r#"[{"name":"a","type":"SimpleMacvlan","simpleMacvlanConfig":{"mode":"bridge","ipamConfig":{"type":"Whereabouts"}}}]"#
            ),
            ".simpleMacvlanConfig.mode .simpleMacvlanConfig.ipamConfig.type"
        );
    }
}
