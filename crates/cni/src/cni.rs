//! A CNI network configuration: the content of a NAD's `spec.config`.
//!
//! It is read as Multus v4 and libcni v1.3 read it: a single configuration has `type`, a list has
//! `plugins`; with both, `type` wins. A configuration that they reject is a [`NetworkConfigError`]
//! with its span.

use std::fmt;

use thiserror::Error;

use super::{
    ipam::Ipam,
    json::{JsonMember, JsonNode, JsonSyntaxError, ValueKind, find},
    link::{Parent, family, link},
    ovn::OvnNetwork,
    text::Span,
};

/// A configuration that Multus and libcni accept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkConfig {
    /// The network's name; if absent, Multus uses the NAD's name.
    pub name: Option<Box<str>>,
    /// The version of the CNI specification, as written.
    pub cni_version: Option<Box<str>>,
    /// The plugins in the order in which they run; never empty.
    pub plugins: Box<[Plugin]>,
}

/// The configuration of one plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plugin {
    /// The name of the plugin's binary.
    pub kind: Box<str>,
    /// The `name` next to `type`: the network's name in a single configuration, the plugin's own in
    /// a list.
    pub name: Option<Box<str>>,
    /// The capabilities that its configuration declares.
    pub capabilities: Capabilities,
    /// The path of the part of its `args` that is not an object (`null` included): `args` or
    /// `args.cni`. Multus crashes when it merges a pod's `cni-args` into it.
    pub non_object_args: Option<&'static str>,
    /// True if this is tuning without `sysctl`, which panics if a pod's `cni-args` contain one.
    pub panics_on_sysctl: bool,
    /// The link that its interface is on, as far as the configuration names it; for messages.
    /// Plugins with equal texts may still be on different links.
    pub link: Box<str>,
    /// The role of a bridge as the gateway of its pods.
    pub bridge_gateway: BridgeGateway,
    /// True if its device may be bound to a userspace driver (DPDK). Then the plugin runs its IPAM,
    /// but does not configure the addresses on an interface.
    pub may_use_dpdk: bool,
    /// The parent interface of macvlan and ipvlan.
    pub parent: Option<Parent>,
    /// The network as OVN-Kubernetes sees it, if this is its plugin.
    pub ovn: Option<Box<OvnNetwork>>,
    /// The IPAM of its interface, if its `ipam` section has a type.
    pub ipam: Option<Ipam>,
}

/// The role of a bridge as the gateway of its pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BridgeGateway {
    /// The bridge is not a gateway, or the plugin is not bridge.
    #[default]
    No,
    /// `isGateway`: the bridge has the gateway's address.
    Address {
        /// `forceAddress`: replaces an existing address of the bridge.
        force: bool,
    },
    /// `isDefaultGateway`: the bridge is also the gateway of the pods' default route.
    DefaultRoute {
        /// `forceAddress`: replaces an existing address of the bridge.
        force: bool,
    },
}

impl Plugin {
    /// Returns the plugin's canonical name: some binaries are installed under several names.
    pub fn family(&self) -> &str {
        family(&self.kind)
    }
}

/// A parameter that a plugin can accept from the pod at run time (CNI conventions, "Dynamic plugin
/// specific fields").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Capability {
    /// `ips`
    Ips,
    /// `mac`
    Mac,
    /// `portMappings`
    PortMappings,
    /// `bandwidth`
    Bandwidth,
    /// `infinibandGUID`
    InfinibandGuid,
}

impl Capability {
    /// All capabilities.
    pub const ALL: [Self; 5] = [
        Self::Ips,
        Self::Mac,
        Self::PortMappings,
        Self::Bandwidth,
        Self::InfinibandGuid,
    ];

    /// Returns the key in a plugin's `capabilities`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ips => "ips",
            Self::Mac => "mac",
            Self::PortMappings => "portMappings",
            Self::Bandwidth => "bandwidth",
            Self::InfinibandGuid => "infinibandGUID",
        }
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A set of capabilities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Capabilities(u8);

impl Capabilities {
    /// Returns true if the set contains `capability`.
    pub fn has(self, capability: Capability) -> bool {
        self.0 & (1 << capability as u8) != 0
    }

    fn with(self, capability: Capability) -> Self {
        Self(self.0 | (1 << capability as u8))
    }
}

/// The reason why Multus or libcni rejects a configuration, with its span.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{fault}")]
pub struct NetworkConfigError {
    /// The mistake.
    pub fault: NetworkConfigFault,
    /// The span in the configuration's text.
    pub span: Span,
}

/// A mistake for which Multus or libcni rejects a configuration.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NetworkConfigFault {
    /// The text is not JSON.
    #[error("the configuration is not JSON: {0}")]
    Syntax(String),
    /// A value has the wrong type.
    #[error("{what} is {}, but has to be {expected}", found.described())]
    Kind {
        /// The value's path.
        what: Box<str>,
        /// The expected type, for messages.
        expected: &'static str,
        /// The actual type.
        found: ValueKind,
    },
    /// The configuration has neither `type` nor `plugins`.
    #[error("the configuration has neither \"type\" nor \"plugins\"")]
    NoPlugin,
    /// The list of plugins is empty.
    #[error("\"plugins\" is an empty list")]
    EmptyPlugins,
    /// The plugin with this index has no type.
    #[error("\"plugins[{0}]\" has no \"type\"")]
    NoType(usize),
    /// libcni rejects the network's name.
    #[error(
        "the name {0:?} has a character that CNI refuses (letters, digits, \"_\", \".\" and \"-\", \
         the first a letter or digit)"
    )]
    Name(Box<str>),
}

impl NetworkConfig {
    /// Parses `text` as Multus and libcni do.
    ///
    /// # Errors
    /// Returns the first mistake for which they reject the configuration for every pod.
    pub fn parse(text: &str) -> Result<Self, NetworkConfigError> {
        let document = JsonNode::document(text).map_err(NetworkConfigError::syntax)?;
        let members = document
            .members()
            .ok_or_else(|| NetworkConfigError::kind("the configuration", "an object", document))?;
        let name = string(&members, "name")?;
        if let Some((name, node)) = &name
            && !name.is_empty()
            && !is_cni_name(name)
        {
            return Err(NetworkConfigError::at(
                *node,
                NetworkConfigFault::Name(name.clone()),
            ));
        }
        let cni_version = string(&members, "cniVersion")?;
        let single = string(&members, "type")?.filter(|(kind, _)| !kind.is_empty());
        let plugins = match single {
            Some(_) => Box::from([plugin(&members, 0, document)?]),
            None => plugin_list(&members, document)?,
        };
        let value = |pair: Option<(Box<str>, JsonNode<'_>)>| {
            pair.map(|(text, _)| text).filter(|text| !text.is_empty())
        };
        Ok(Self {
            name: value(name),
            cni_version: value(cni_version),
            plugins,
        })
    }

    /// Returns true if a plugin that reads `capability` declares it.
    pub fn has(&self, capability: Capability) -> bool {
        self.plugins
            .iter()
            .any(|plugin| plugin.capabilities.has(capability) && plugin.reads(capability))
    }

    /// Returns the first plugin, which creates the interface.
    pub fn main(&self) -> Option<&Plugin> {
        self.plugins.first()
    }

    /// Returns the IPAM that assigns the interface's addresses: that of the first plugin with one.
    pub fn ipam(&self) -> Option<&Ipam> {
        self.addressing()?.ipam.as_ref()
    }

    /// Returns the plugin whose IPAM assigns the interface's addresses: the first with one.
    pub fn addressing(&self) -> Option<&Plugin> {
        self.plugins.iter().find(|plugin| plugin.ipam.is_some())
    }
}

/// Known plugins with the capabilities that they read themselves. `ips` is read by the IPAM plugin,
/// whichever plugin runs it.
const CAPABILITIES_READ: &[(&str, &[Capability])] = &[
    ("bandwidth", &[Capability::Bandwidth]),
    ("bridge", &[Capability::Mac]),
    ("cnv-bridge", &[Capability::Mac]),
    ("cnv-tuning", &[Capability::Mac]),
    ("dummy", &[]),
    ("firewall", &[]),
    ("host-device", &[]),
    ("ipvlan", &[]),
    ("loopback", &[]),
    ("macvlan", &[Capability::Mac]),
    ("portmap", &[Capability::PortMappings]),
    ("ptp", &[]),
    ("sbr", &[]),
    ("sriov", &[Capability::Mac]),
    ("tap", &[Capability::Mac]),
    ("tuning", &[Capability::Mac]),
    ("vlan", &[]),
    ("vrf", &[]),
];

impl Plugin {
    /// Returns true if the plugin or its IPAM reads `capability`. Unknown plugins are assumed to.
    pub fn reads(&self, capability: Capability) -> bool {
        if capability == Capability::Ips && self.ipam.is_some() {
            return true;
        }
        let known = CAPABILITIES_READ
            .iter()
            .find(|(kind, _)| *kind == &*self.kind);
        known.is_none_or(|(_, read)| read.contains(&capability))
    }
}

impl NetworkConfigError {
    fn at(node: JsonNode<'_>, fault: NetworkConfigFault) -> Self {
        Self {
            fault,
            span: node.span(),
        }
    }

    fn syntax(error: JsonSyntaxError) -> Self {
        let span = Span {
            start: error.offset,
            end: error.offset,
        };
        Self {
            fault: NetworkConfigFault::Syntax(error.reason),
            span,
        }
    }

    fn kind(what: impl Into<Box<str>>, expected: &'static str, node: JsonNode<'_>) -> Self {
        Self::at(
            node,
            NetworkConfigFault::Kind {
                what: what.into(),
                expected,
                found: node.kind(),
            },
        )
    }
}

/// Returns true if libcni accepts `text` as a network's name.
pub fn is_cni_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c))
}

type OptionalString<'a> = Option<(Box<str>, JsonNode<'a>)>;

fn string<'a>(
    members: &[JsonMember<'a>],
    name: &str,
) -> Result<OptionalString<'a>, NetworkConfigError> {
    let Some(member) = find(members, name) else {
        return Ok(None);
    };
    match member.value.string() {
        Some(text) => Ok(Some((text.into_owned().into_boxed_str(), member.value))),
        None => Err(NetworkConfigError::kind(
            format!("\"{name}\""),
            "a string",
            member.value,
        )),
    }
}

fn plugin_list(
    members: &[JsonMember<'_>],
    document: JsonNode<'_>,
) -> Result<Box<[Plugin]>, NetworkConfigError> {
    let Some(list) = find(members, "plugins") else {
        return Err(NetworkConfigError::at(
            document,
            NetworkConfigFault::NoPlugin,
        ));
    };
    let elements = list
        .value
        .elements()
        .ok_or_else(|| NetworkConfigError::kind("\"plugins\"", "a list of objects", list.value))?;
    if elements.is_empty() {
        return Err(NetworkConfigError::at(
            list.value,
            NetworkConfigFault::EmptyPlugins,
        ));
    }
    let read = |(index, element): (usize, &JsonNode<'_>)| {
        let members = element.members().ok_or_else(|| {
            NetworkConfigError::kind(format!("\"plugins[{index}]\""), "an object", *element)
        })?;
        plugin(&members, index, *element)
    };
    elements.iter().enumerate().map(read).collect()
}

fn plugin(
    members: &[JsonMember<'_>],
    index: usize,
    node: JsonNode<'_>,
) -> Result<Plugin, NetworkConfigError> {
    let kind = string(members, "type")?
        .map(|(kind, _)| kind)
        .filter(|kind| !kind.is_empty())
        .ok_or_else(|| NetworkConfigError::at(node, NetworkConfigFault::NoType(index)))?;
    let ipam = match find(members, "ipam") {
        None => None,
        Some(member) => Some(
            member
                .value
                .members()
                .ok_or_else(|| NetworkConfigError::kind("\"ipam\"", "an object", member.value))?,
        ),
    };
    Ok(Plugin {
        link: link(&kind, members),
        bridge_gateway: bridge_gateway(&kind, members),
        may_use_dpdk: may_use_dpdk(&kind, members),
        name: find(members, "name")
            .and_then(|m| m.value.string())
            .filter(|name| !name.is_empty())
            .map(|name| name.into_owned().into_boxed_str()),
        parent: Parent::read(&kind, members),
        ovn: OvnNetwork::read(&kind, members).map(Box::new),
        panics_on_sysctl: ["tuning", "cnv-tuning"].contains(&&*kind)
            && find(members, "sysctl").is_none(),
        kind,
        capabilities: capabilities(members)?,
        non_object_args: non_object_args(members),
        ipam: ipam.as_deref().and_then(Ipam::read),
    })
}

fn bridge_gateway(kind: &str, members: &[JsonMember<'_>]) -> BridgeGateway {
    let is = |name| find(members, name).and_then(|m| m.value.boolean()) == Some(true);
    let force = is("forceAddress");
    match kind {
        "bridge" | "cnv-bridge" if is("isDefaultGateway") => BridgeGateway::DefaultRoute { force },
        "bridge" | "cnv-bridge" if is("isGateway") => BridgeGateway::Address { force },
        _ => BridgeGateway::No,
    }
}

/// Returns whether the plugin's behavior depends on the driver of its device. For SR-IOV it always
/// does; for host-device if the device is given by its PCI address, or by Multus at run time
/// (plugins v1.10, host-device.go, loadConf and handleDeviceID).
fn may_use_dpdk(kind: &str, members: &[JsonMember<'_>]) -> bool {
    let names = |key| {
        let text = find(members, key).and_then(|m| m.value.string());
        text.is_some_and(|text| !text.is_empty())
    };
    match kind {
        "sriov" | "ib-sriov" | "ib-sriov-cni" => true,
        "host-device" => !["device", "hwaddr", "kernelpath"].into_iter().any(names),
        _ => false,
    }
}

/// Returns the path of the part of `args` that is not an object. Multus reads `args` and `cni` as
/// map keys: it compares their exact case, and `null` counts as present.
fn non_object_args(members: &[JsonMember<'_>]) -> Option<&'static str> {
    fn exact<'a>(members: &[JsonMember<'a>], key: &str) -> Option<JsonNode<'a>> {
        let mut members = members.iter().rev();
        members.find(|m| m.name.value == key).map(|m| m.value)
    }
    let Some(args) = exact(members, "args")?.members() else {
        return Some("args");
    };
    let cni = exact(&args, "cni")?;
    (cni.kind() != ValueKind::Object).then_some("args.cni")
}

fn capabilities(members: &[JsonMember<'_>]) -> Result<Capabilities, NetworkConfigError> {
    let Some(member) = find(members, "capabilities") else {
        return Ok(Capabilities::default());
    };
    let expected = "an object of booleans";
    let entries = member
        .value
        .members()
        .ok_or_else(|| NetworkConfigError::kind("\"capabilities\"", expected, member.value))?;
    let mut set = Capabilities::default();
    for entry in &entries {
        let what = || format!("the capability \"{}\"", entry.name.value);
        let enabled = match entry.value.boolean() {
            Some(enabled) => enabled,
            None if entry.value.is_null() => false,
            None => {
                return Err(NetworkConfigError::kind(
                    what(),
                    "true or false",
                    entry.value,
                ));
            }
        };
        // Unlike the fields of a struct, Go compares the keys of a map exactly.
        let known = Capability::ALL
            .into_iter()
            .find(|c| c.name() == entry.name.value);
        if let (true, Some(capability)) = (enabled, known) {
            set = set.with(capability);
        }
    }
    Ok(set)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> NetworkConfigFault {
        NetworkConfig::parse(text).map(|_| ()).unwrap_err().fault
    }

    #[test]
    fn a_list_has_its_plugins_capabilities_and_ipam() {
        let config = NetworkConfig::parse(
            r#"{"cniVersion":"0.3.1","name":"storage","plugins":[
                {"type":"macvlan","capabilities":{"ips":true,"mac":false},"ipam":{"type":"static"}},
                {"type":"tuning","capabilities":{"mac":true}}]}"#,
        )
        .unwrap_or_else(|e| panic!("{e}"));
        assert!(config.has(Capability::Ips) && config.has(Capability::Mac));
        assert!(!config.plugins[0].capabilities.has(Capability::Mac));
        assert_eq!(config.ipam().map(Ipam::name), Some("static"));
        assert_eq!(config.main().map(|plugin| &*plugin.kind), Some("macvlan"));
    }

    #[test]
    fn args_have_to_be_objects_where_multus_adds_to_them() {
        let invalid = |args: &str| {
            let text = format!(r#"{{"type":"x",{args}}}"#);
            let config = NetworkConfig::parse(&text).unwrap_or_else(|e| panic!("{e}"));
            config.plugins[0].non_object_args
        };
        assert_eq!(invalid(r#""args":null"#), Some("args"));
        assert_eq!(invalid(r#""args":{"cni":[]}"#), Some("args.cni"));
        assert_eq!(invalid(r#""args":{"cni":null}"#), Some("args.cni"));
        assert_eq!(invalid(r#""args":{"CNI":null}"#), None);
        assert_eq!(invalid(r#""args":{"cni":{}}"#), None);
        assert_eq!(invalid(r#""Args":[]"#), None);
    }

    #[test]
    fn with_type_and_plugins_the_type_wins() {
        let config = NetworkConfig::parse(r#"{"type":"x","plugins":[{"type":"y"}]}"#);
        assert_eq!(config.map(|c| c.plugins[0].kind.clone()), Ok("x".into()));
    }

    #[test]
    fn capabilities_count_only_on_the_plugin_itself() {
        let config = NetworkConfig::parse(
            r#"{"capabilities":{"ips":true},"plugins":[{"type":"macvlan","ipam":{"type":"static","capabilities":["ips"]}}]}"#,
        );
        assert_eq!(config.map(|c| c.has(Capability::Ips)), Ok(false));
    }

    #[test]
    fn capabilities_count_on_plugins_that_read_them() {
        let has = |plugins: &str, capability| {
            let config = NetworkConfig::parse(&format!(r#"{{"plugins":[{plugins}]}}"#));
            config.map(|config| config.has(capability))
        };
        let ips = |plugins| has(plugins, Capability::Ips);
        assert_eq!(
            ips(r#"{"type":"macvlan","ipam":{"type":"static"}},
                {"type":"tuning","capabilities":{"ips":true}}"#),
            Ok(false)
        );
        assert_eq!(
            ips(r#"{"type":"macvlan","capabilities":{"ips":true},"ipam":{"type":"static"}}"#),
            Ok(true)
        );
        assert_eq!(
            ips(r#"{"type":"kube-ovn","capabilities":{"ips":true}}"#),
            Ok(true)
        );
        let mac = |plugins| has(plugins, Capability::Mac);
        assert_eq!(
            mac(r#"{"type":"portmap","capabilities":{"mac":true}}"#),
            Ok(false)
        );
        assert_eq!(
            mac(r#"{"type":"bridge","capabilities":{"mac":true}}"#),
            Ok(true)
        );
        assert_eq!(
            has(
                r#"{"type":"bridge","capabilities":{"portMappings":true}}"#,
                Capability::PortMappings
            ),
            Ok(false)
        );
    }

    #[test]
    fn configurations_that_multus_rejects_are_errors() {
        assert!(matches!(
            fault(r#"{"type":"#),
            NetworkConfigFault::Syntax(_)
        ));
        assert!(matches!(
            fault(r#"[{"type":"x"}]"#),
            NetworkConfigFault::Kind { .. }
        ));
        assert_eq!(fault(r#"{"name":"n"}"#), NetworkConfigFault::NoPlugin);
        assert_eq!(fault(r#"{"plugins":[]}"#), NetworkConfigFault::EmptyPlugins);
        assert!(matches!(
            fault(r#"{"plugins":[null]}"#),
            NetworkConfigFault::Kind { .. }
        ));
        assert!(matches!(
            fault(r#"{"plugins":"x"}"#),
            NetworkConfigFault::Kind { .. }
        ));
        assert_eq!(
            fault(r#"{"plugins":[{"type":"x"},{"a":1}]}"#),
            NetworkConfigFault::NoType(1)
        );
        assert_eq!(
            fault(r#"{"name":"a/b","type":"x"}"#),
            NetworkConfigFault::Name("a/b".into())
        );
        assert!(matches!(
            fault(r#"{"cniVersion":1.0,"type":"x"}"#),
            NetworkConfigFault::Kind { .. }
        ));
        assert!(matches!(
            fault(r#"{"type":"x","ipam":"dhcp"}"#),
            NetworkConfigFault::Kind { .. }
        ));
        assert!(matches!(
            fault(r#"{"type":"x","capabilities":["ips"]}"#),
            NetworkConfigFault::Kind { .. }
        ));
    }

    #[test]
    fn an_error_has_its_span() {
        let text = r#"{"type":"x","ipam":"dhcp"}"#;
        let span = NetworkConfig::parse(text).map(|_| ()).unwrap_err().span;
        assert_eq!(&text[span.start as usize..span.end as usize], r#""dhcp""#);
    }
}
