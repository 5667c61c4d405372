//! A CNI network configuration: what a NAD's `spec.config` holds.
//!
//! Read as Multus v4 and libcni v1.3 read it: a single configuration has `type`, a list has
//! `plugins`; with both, `type` wins. What they refuse is a [`ConfigError`] with its place.

use std::fmt;

use thiserror::Error;

use super::{
    ipam::Ipam,
    json::{Kind, Member, Node, SyntaxError, find},
    ovn::OvnNetwork,
    text::Span,
    wire::{Parent, family, wire},
};

/// A configuration that Multus and libcni would load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkConfig {
    /// The network's name; Multus puts the NAD's name in if there is none.
    pub name: Option<Box<str>>,
    /// The version of the CNI specification, as written.
    pub cni_version: Option<Box<str>>,
    /// The plugins in the order in which they run; never empty.
    pub plugins: Box<[Plugin]>,
}

/// One plugin's part of a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plugin {
    /// The name of the plugin's binary.
    pub kind: Box<str>,
    /// The `name` beside its `type`: of a single configuration the network's, in a list its own.
    pub name: Option<Box<str>>,
    /// The requests of a pod that it says it takes.
    pub capabilities: Capabilities,
    /// The part of its `args` that is not an object (`null` is not one), where Multus crashes when it
    /// merges a pod's `cni-args` into it: `args`, or `args.cni`.
    pub odd_args: Option<&'static str>,
    /// Whether it is tuning without a `sysctl`, which panics when a pod's `cni-args` bring one.
    pub panics_on_sysctl: bool,
    /// The wire its interface is on, as far as the configuration says, for people: of two plugins
    /// with the same words nothing shows that they are on different ones.
    pub wire: Box<str>,
    /// Whether a bridge is its pods' gateway.
    pub bridge_gateway: BridgeGateway,
    /// True where its device may be bound to a userspace driver (DPDK): then the plugin has IPAM give
    /// addresses, and puts none on an interface.
    pub may_use_dpdk: bool,
    /// The interface on which macvlan and ipvlan make theirs.
    pub parent: Option<Parent>,
    /// The network that OVN-Kubernetes makes of the configuration.
    pub ovn: Option<Box<OvnNetwork>>,
    /// How its interface gets addresses, if the plugin has an `ipam` section with a type.
    pub ipam: Option<Ipam>,
}

/// Whether a bridge is its pods' gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BridgeGateway {
    /// It is not, or the plugin is not bridge.
    #[default]
    No,
    /// `isGateway`: the bridge has the gateway's address.
    Address {
        /// `forceAddress`: another address of the bridge is taken from it.
        force: bool,
    },
    /// `isDefaultGateway`: the pods' default route goes by it, too.
    DefaultRoute {
        /// As above.
        force: bool,
    },
}

impl Plugin {
    /// The plugin that its binary is, by whichever name.
    pub fn family(&self) -> &str {
        family(&self.kind)
    }
}

/// A request that a plugin can take from the pod at run time (CNI conventions, "Dynamic plugin
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
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Ips,
        Self::Mac,
        Self::PortMappings,
        Self::Bandwidth,
        Self::InfinibandGuid,
    ];

    /// The name in a plugin's `capabilities`.
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
    /// Whether the set holds `capability`.
    pub fn has(self, capability: Capability) -> bool {
        self.0 & (1 << capability as u8) != 0
    }

    fn with(self, capability: Capability) -> Self {
        Self(self.0 | (1 << capability as u8))
    }
}

/// Why Multus or libcni would refuse a configuration, and where.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{fault}")]
pub struct ConfigError {
    /// What is wrong.
    pub fault: ConfigFault,
    /// The place in the configuration's text.
    pub span: Span,
}

/// What is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ConfigFault {
    /// The text is not JSON.
    #[error("the configuration is not JSON: {0}")]
    Syntax(String),
    /// A value of another sort than it must be.
    #[error("{what} is {}, but has to be {expected}", found.described())]
    Kind {
        /// Which value.
        what: Box<str>,
        /// What it has to be.
        expected: &'static str,
        /// What it is.
        found: Kind,
    },
    /// Neither `type` nor `plugins`.
    #[error("the configuration has neither \"type\" nor \"plugins\"")]
    NoPlugin,
    /// `plugins: []`
    #[error("\"plugins\" is an empty list")]
    EmptyPlugins,
    /// A plugin without a type.
    #[error("\"plugins[{0}]\" has no \"type\"")]
    NoType(usize),
    /// A name that libcni refuses.
    #[error(
        "the name {0:?} has a character that CNI refuses (letters, digits, \"_\", \".\" and \"-\", \
         the first a letter or digit)"
    )]
    Name(Box<str>),
}

impl NetworkConfig {
    /// Reads `text` as Multus and libcni do.
    ///
    /// # Errors
    /// The first thing for which they would refuse the configuration for every pod.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let document = Node::document(text).map_err(ConfigError::syntax)?;
        let members = document
            .members()
            .ok_or_else(|| ConfigError::kind("the configuration", "an object", document))?;
        let name = string(&members, "name")?;
        if let Some((name, node)) = &name
            && !name.is_empty()
            && !is_cni_name(name)
        {
            return Err(ConfigError::at(*node, ConfigFault::Name(name.clone())));
        }
        let cni_version = string(&members, "cniVersion")?;
        let single = string(&members, "type")?.filter(|(kind, _)| !kind.is_empty());
        let plugins = match single {
            Some(_) => Box::from([plugin(&members, 0, document)?]),
            None => plugin_list(&members, document)?,
        };
        let value = |pair: Option<(Box<str>, Node<'_>)>| {
            pair.map(|(text, _)| text).filter(|text| !text.is_empty())
        };
        Ok(Self {
            name: value(name),
            cni_version: value(cni_version),
            plugins,
        })
    }

    /// Whether a plugin that can take `capability` says that it does.
    pub fn has(&self, capability: Capability) -> bool {
        self.plugins
            .iter()
            .any(|plugin| plugin.capabilities.has(capability) && plugin.reads(capability))
    }

    /// The first plugin, which makes the interface.
    pub fn main(&self) -> Option<&Plugin> {
        self.plugins.first()
    }

    /// The IPAM that gives the interface its addresses: the first plugin's that has one.
    pub fn ipam(&self) -> Option<&Ipam> {
        self.addressing()?.ipam.as_ref()
    }

    /// The plugin whose IPAM gives the interface its addresses: the first that has one.
    pub fn addressing(&self) -> Option<&Plugin> {
        self.plugins.iter().find(|plugin| plugin.ipam.is_some())
    }
}

/// Plugins of which every capability is known that they read themselves. `ips` is read by the IPAM
/// plugin, whichever plugin runs it.
const READ: &[(&str, &[Capability])] = &[
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
    /// Whether the plugin, or its IPAM, reads what comes by `capability`; of a plugin that is not
    /// known it is taken to.
    pub fn reads(&self, capability: Capability) -> bool {
        if capability == Capability::Ips && self.ipam.is_some() {
            return true;
        }
        let known = READ.iter().find(|(kind, _)| *kind == &*self.kind);
        known.is_none_or(|(_, read)| read.contains(&capability))
    }
}

impl ConfigError {
    fn at(node: Node<'_>, fault: ConfigFault) -> Self {
        Self {
            fault,
            span: node.span(),
        }
    }

    fn syntax(error: SyntaxError) -> Self {
        let span = Span {
            start: error.at,
            end: error.at,
        };
        Self {
            fault: ConfigFault::Syntax(error.reason),
            span,
        }
    }

    fn kind(what: impl Into<Box<str>>, expected: &'static str, node: Node<'_>) -> Self {
        Self::at(
            node,
            ConfigFault::Kind {
                what: what.into(),
                expected,
                found: node.kind(),
            },
        )
    }
}

/// libcni's rule for a network's name.
pub fn is_cni_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c))
}

type Text<'a> = Option<(Box<str>, Node<'a>)>;

fn string<'a>(members: &[Member<'a>], name: &str) -> Result<Text<'a>, ConfigError> {
    let Some(member) = find(members, name) else {
        return Ok(None);
    };
    match member.value.string() {
        Some(text) => Ok(Some((text.into_owned().into_boxed_str(), member.value))),
        None => Err(ConfigError::kind(
            format!("\"{name}\""),
            "a string",
            member.value,
        )),
    }
}

fn plugin_list(members: &[Member<'_>], document: Node<'_>) -> Result<Box<[Plugin]>, ConfigError> {
    let Some(list) = find(members, "plugins") else {
        return Err(ConfigError::at(document, ConfigFault::NoPlugin));
    };
    let elements = list
        .value
        .elements()
        .ok_or_else(|| ConfigError::kind("\"plugins\"", "a list of objects", list.value))?;
    if elements.is_empty() {
        return Err(ConfigError::at(list.value, ConfigFault::EmptyPlugins));
    }
    let read = |(index, element): (usize, &Node<'_>)| {
        let members = element.members().ok_or_else(|| {
            ConfigError::kind(format!("\"plugins[{index}]\""), "an object", *element)
        })?;
        plugin(&members, index, *element)
    };
    elements.iter().enumerate().map(read).collect()
}

fn plugin(members: &[Member<'_>], index: usize, node: Node<'_>) -> Result<Plugin, ConfigError> {
    let kind = string(members, "type")?
        .map(|(kind, _)| kind)
        .filter(|kind| !kind.is_empty())
        .ok_or_else(|| ConfigError::at(node, ConfigFault::NoType(index)))?;
    let ipam = match find(members, "ipam") {
        None => None,
        Some(member) => Some(
            member
                .value
                .members()
                .ok_or_else(|| ConfigError::kind("\"ipam\"", "an object", member.value))?,
        ),
    };
    Ok(Plugin {
        wire: wire(&kind, members),
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
        odd_args: odd_args(members),
        ipam: ipam.as_deref().and_then(Ipam::read),
    })
}

fn bridge_gateway(kind: &str, members: &[Member<'_>]) -> BridgeGateway {
    let is = |name| find(members, name).and_then(|m| m.value.boolean()) == Some(true);
    let force = is("forceAddress");
    match kind {
        "bridge" | "cnv-bridge" if is("isDefaultGateway") => BridgeGateway::DefaultRoute { force },
        "bridge" | "cnv-bridge" if is("isGateway") => BridgeGateway::Address { force },
        _ => BridgeGateway::No,
    }
}

/// Returns whether the driver of a device decides what the plugin does: of SR-IOV always, of host-device
/// where the device is named by its PCI address, or by Multus at run time (plugins v1.10,
/// host-device.go, loadConf and handleDeviceID).
fn may_use_dpdk(kind: &str, members: &[Member<'_>]) -> bool {
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

/// Multus reads `args` and `cni` as keys of maps: in their exact case, and `null` is there.
fn odd_args(members: &[Member<'_>]) -> Option<&'static str> {
    fn exact<'a>(members: &[Member<'a>], key: &str) -> Option<Node<'a>> {
        let mut members = members.iter().rev();
        members.find(|m| m.name.value == key).map(|m| m.value)
    }
    let Some(args) = exact(members, "args")?.members() else {
        return Some("args");
    };
    let cni = exact(&args, "cni")?;
    (cni.kind() != Kind::Object).then_some("args.cni")
}

fn capabilities(members: &[Member<'_>]) -> Result<Capabilities, ConfigError> {
    let Some(member) = find(members, "capabilities") else {
        return Ok(Capabilities::default());
    };
    let expected = "an object of booleans";
    let entries = member
        .value
        .members()
        .ok_or_else(|| ConfigError::kind("\"capabilities\"", expected, member.value))?;
    let mut set = Capabilities::default();
    for entry in &entries {
        let what = || format!("the capability \"{}\"", entry.name.value);
        let given = match entry.value.boolean() {
            Some(given) => given,
            None if entry.value.is_null() => false,
            None => return Err(ConfigError::kind(what(), "true or false", entry.value)),
        };
        // A map's keys, unlike a struct's fields, are compared in their exact case.
        let known = Capability::ALL
            .into_iter()
            .find(|c| c.name() == entry.name.value);
        if let (true, Some(capability)) = (given, known) {
            set = set.with(capability);
        }
    }
    Ok(set)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> ConfigFault {
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
        let odd = |args: &str| {
            let text = format!(r#"{{"type":"x",{args}}}"#);
            let config = NetworkConfig::parse(&text).unwrap_or_else(|e| panic!("{e}"));
            config.plugins[0].odd_args
        };
        assert_eq!(odd(r#""args":null"#), Some("args"));
        assert_eq!(odd(r#""args":{"cni":[]}"#), Some("args.cni"));
        assert_eq!(odd(r#""args":{"cni":null}"#), Some("args.cni"));
        assert_eq!(odd(r#""args":{"CNI":null}"#), None);
        assert_eq!(odd(r#""args":{"cni":{}}"#), None);
        assert_eq!(odd(r#""Args":[]"#), None);
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
    fn what_multus_refuses_is_an_error() {
        assert!(matches!(fault(r#"{"type":"#), ConfigFault::Syntax(_)));
        assert!(matches!(
            fault(r#"[{"type":"x"}]"#),
            ConfigFault::Kind { .. }
        ));
        assert_eq!(fault(r#"{"name":"n"}"#), ConfigFault::NoPlugin);
        assert_eq!(fault(r#"{"plugins":[]}"#), ConfigFault::EmptyPlugins);
        assert!(matches!(
            fault(r#"{"plugins":[null]}"#),
            ConfigFault::Kind { .. }
        ));
        assert!(matches!(
            fault(r#"{"plugins":"x"}"#),
            ConfigFault::Kind { .. }
        ));
        assert_eq!(
            fault(r#"{"plugins":[{"type":"x"},{"a":1}]}"#),
            ConfigFault::NoType(1)
        );
        assert_eq!(
            fault(r#"{"name":"a/b","type":"x"}"#),
            ConfigFault::Name("a/b".into())
        );
        assert!(matches!(
            fault(r#"{"cniVersion":1.0,"type":"x"}"#),
            ConfigFault::Kind { .. }
        ));
        assert!(matches!(
            fault(r#"{"type":"x","ipam":"dhcp"}"#),
            ConfigFault::Kind { .. }
        ));
        assert!(matches!(
            fault(r#"{"type":"x","capabilities":["ips"]}"#),
            ConfigFault::Kind { .. }
        ));
    }

    #[test]
    fn an_error_knows_its_place() {
        let text = r#"{"type":"x","ipam":"dhcp"}"#;
        let span = NetworkConfig::parse(text).map(|_| ()).unwrap_err().span;
        assert_eq!(&text[span.start as usize..span.end as usize], r#""dhcp""#);
    }
}
