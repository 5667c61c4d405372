//! The configuration of one plugin.

use super::{
    capabilities::{Capabilities, Capability, capabilities},
    error::{NetworkConfigError, NetworkConfigFault},
};
use crate::{
    ipam::Ipam,
    json::{JsonMember, JsonNode, ValueKind, find},
    link::{Parent, family, link},
    ovn::OvnNetwork,
};

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
    /// Returns the plugin's canonical name: some binaries are installed under several names.
    pub fn family(&self) -> &str {
        family(&self.kind)
    }

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

/// Parses the configuration of the plugin with this index.
pub(super) fn plugin(
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

pub(super) type OptionalString<'a> = Option<(Box<str>, JsonNode<'a>)>;

/// Returns a string and its node; `None` if the member is missing.
pub(super) fn string<'a>(
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
