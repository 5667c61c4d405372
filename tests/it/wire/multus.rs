//! A model of Multus v4.3.0: from a pod's annotations to the input of the plugins.
//!
//! Written from `pkg/k8sclient` (parsePodNetworkAnnotation), `pkg/types/conf.go`
//! (LoadDelegateNetConf, injectCNIArgs, mergeCNIRuntimeConfig) and `pkg/multus` (DelegateAdd).

use std::collections::BTreeSet;

use super::go_json::{
    AttachFailure, GoSlice, Json, Member, StructKind, fields, into_text, is_int, parse_cidr,
    parse_ip, parse_mac, struct_field, text_field, texts_field,
};

/// The namespace where Multus looks up the default network.
pub(super) const MULTUS_NAMESPACE: &str = "kube-system";
/// The interface of the cluster's network.
const CLUSTER_INTERFACE: &str = "eth0";

/// A NetworkAttachmentDefinition.
#[derive(Debug, Clone)]
pub(super) struct Nad {
    pub(super) namespace: &'static str,
    pub(super) name: &'static str,
    pub(super) config: String,
}

/// A pod's annotations.
#[derive(Debug, Clone, Copy)]
pub(super) struct PodAnnotations<'p> {
    pub(super) namespace: &'p str,
    pub(super) networks: Option<&'p str>,
    pub(super) default_network: Option<&'p str>,
}

/// One attachment, as libcni and the plugins get it.
#[derive(Debug, Clone)]
pub(super) struct MultusAttachment {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) interface: String,
    /// Set for the default network, which has no `runtimeConfig`.
    pub(super) is_default: bool,
    pub(super) mac: String,
    /// `None` is a nil slice.
    pub(super) ips: Option<Vec<String>>,
    /// The plugins' configurations, with `args` merged.
    pub(super) plugins: Vec<Json>,
    pub(super) cni_version: String,
}

/// Multus's NetworkSelectionElement.
#[derive(Debug, Clone, Default)]
struct SelectionElement {
    name: String,
    namespace: String,
    interface: String,
    ips: Option<Vec<String>>,
    mac: String,
    cni_args: Option<Vec<Member>>,
    gateways: Option<Vec<String>>,
}

/// Returns the attachments in Multus's order; the first is the default network if the pod names
/// one. Networks are found in any namespace, because Multus isolates namespaces only if configured
/// to.
pub(super) fn attachments(
    pod: PodAnnotations<'_>,
    nads: &[Nad],
) -> Result<Vec<MultusAttachment>, AttachFailure> {
    let mut found = Vec::new();
    let mut gateways = Vec::new();
    if let Some(text) = pod.default_network {
        let elements = elements(text, MULTUS_NAMESPACE)?;
        if elements.len() > 1 {
            return Err(AttachFailure::Multus("more than one default network"));
        }
        let element = elements.into_iter().next();
        let element = element.ok_or(AttachFailure::Panic("an empty list"))?;
        gateways.extend(element.gateways.clone().unwrap_or_default());
        let interface = chosen(&element, CLUSTER_INTERFACE);
        found.push(load(element, interface, nads, true)?);
    }
    let networks = pod.networks.filter(|text| !text.is_empty());
    let elements = networks.map_or(Ok(Vec::new()), |text| elements(text, pod.namespace))?;
    for (index, element) in elements.into_iter().enumerate() {
        gateways.extend(element.gateways.clone().unwrap_or_default());
        let interface = chosen(&element, &format!("net{}", index + 1));
        found.push(load(element, interface, nads, false)?);
    }
    let of_family = |v4: bool| {
        let family = |text: &&String| parse_ip(text).is_some_and(|ip| ip.is_ipv4()) == v4;
        gateways.iter().filter(family).count()
    };
    if networks.is_some() && (of_family(true) > 1 || of_family(false) > 1) {
        return Err(AttachFailure::Multus("more than one gateway of a family"));
    }
    Ok(found)
}

/// Returns the names of the interfaces that a pod has before the first of these is created.
pub(super) fn interfaces_before(pod: PodAnnotations<'_>) -> BTreeSet<String> {
    let cluster = pod.default_network.is_none();
    cluster
        .then(|| CLUSTER_INTERFACE.to_owned())
        .into_iter()
        .collect()
}

fn chosen(element: &SelectionElement, automatic: &str) -> String {
    let asked = Some(&*element.interface).filter(|name| !name.is_empty());
    asked.unwrap_or(automatic).to_owned()
}

fn elements(text: &str, home: &str) -> Result<Vec<SelectionElement>, AttachFailure> {
    let mut elements = match text {
        "" => return Err(AttachFailure::Multus("an empty annotation")),
        text if text.contains(['[', '{', '"']) => from_json(text)?,
        text => text.split(',').map(from_name).collect::<Result<_, _>>()?,
    };
    for element in &mut elements {
        if element.namespace.is_empty() {
            home.clone_into(&mut element.namespace);
        }
        if !element.mac.is_empty() && parse_mac(&element.mac).is_none() {
            return Err(AttachFailure::Multus("a MAC"));
        }
        let valid = |ip: &String| match ip.contains('/') {
            true => parse_cidr(ip).is_some(),
            false => parse_ip(ip).is_some(),
        };
        if !element.ips.iter().flatten().all(valid) {
            return Err(AttachFailure::Multus("an address"));
        }
    }
    Ok(elements)
}

/// Parses one item of the short format: `namespace/name@interface`.
fn from_name(item: &str) -> Result<SelectionElement, AttachFailure> {
    let parts: Vec<&str> = item.trim().split('/').collect();
    let (namespace, rest) = match *parts {
        [name] => ("", name),
        [namespace, name] => (namespace.trim(), name),
        _ => return Err(AttachFailure::Multus("slashes")),
    };
    let parts: Vec<&str> = rest.split('@').collect();
    let (name, interface) = match *parts {
        [name] => (name.trim(), ""),
        [name, interface] => (name.trim(), interface.trim()),
        _ => return Err(AttachFailure::Multus("ats")),
    };
    let label = |text: &str| {
        let inner = text
            .bytes()
            .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'));
        text.is_empty() || (inner && !text.starts_with('-') && !text.ends_with('-'))
    };
    if !label(namespace) || !label(name) {
        return Err(AttachFailure::Multus("a name"));
    }
    if interface.len() > 15 || interface.contains([' ', '\t', '\n', '\u{b}', '\u{c}', '\r', '/']) {
        return Err(AttachFailure::Multus("an interface's name"));
    }
    Ok(SelectionElement {
        name: name.to_owned(),
        namespace: namespace.to_owned(),
        interface: interface.to_owned(),
        ..SelectionElement::default()
    })
}

fn from_json(text: &str) -> Result<Vec<SelectionElement>, AttachFailure> {
    let list = match Json::parse(text)? {
        Json::Null => Vec::new(),
        Json::List(list) => list,
        _ => return Err(AttachFailure::Decode("not a list")),
    };
    let mut elements = Vec::new();
    let mut has_null = false;
    for element in &list {
        match element {
            Json::Null => has_null = true,
            Json::Object(members) => elements.push(from_object(members)?),
            _ => return Err(AttachFailure::Decode("not an object")),
        }
    }
    if has_null {
        return Err(AttachFailure::Panic("a nil element"));
    }
    Ok(elements)
}

fn from_object(members: &[Member]) -> Result<SelectionElement, AttachFailure> {
    for value in fields(members, "portMappings") {
        let mut mappings: GoSlice<()> = GoSlice::default();
        mappings.decode(value, |(), mapping| port_mapping(mapping))?;
    }
    let bandwidth = struct_field(members, "bandwidth", StructKind::Yes)?;
    for rate in ["ingressRate", "ingressBurst", "egressRate", "egressBurst"] {
        fields(&bandwidth.clone().unwrap_or_default(), rate).try_for_each(is_int)?;
    }
    text_field(members, "deviceID")?;
    let guid = text_field(members, "infiniband-guid")?;
    if !guid.is_empty() && parse_mac(&guid).is_none() {
        return Err(AttachFailure::Multus("a GUID"));
    }
    let gateways = texts_field(members, "default-route")?;
    let gateway = |text: &String| text.is_empty() || parse_ip(text).is_some();
    if !gateways.elements().unwrap_or_default().iter().all(gateway) {
        return Err(AttachFailure::Decode("not an address"));
    }
    let mut interface = text_field(members, "interface")?;
    let obsolete = text_field(members, "interfaceRequest")?;
    if interface.is_empty() {
        interface = obsolete;
    }
    let ips = texts_field(members, "ips")?;
    Ok(SelectionElement {
        name: text_field(members, "name")?,
        namespace: text_field(members, "namespace")?,
        interface,
        ips: ips.elements().map(<[String]>::to_vec),
        mac: text_field(members, "mac")?,
        // A map: its keys are taken literally, and a second map is merged into the first.
        cni_args: struct_field(members, "cni-args", StructKind::Yes)?,
        gateways: gateways.elements().map(<[String]>::to_vec),
    })
}

fn port_mapping(value: &Json) -> Result<(), AttachFailure> {
    let members = match value {
        Json::Null => return Ok(()),
        Json::Object(members) => members,
        _ => return Err(AttachFailure::Decode("not an object")),
    };
    for number in ["hostPort", "containerPort"] {
        fields(members, number).try_for_each(is_int)?;
    }
    for text in ["protocol", "hostIP"] {
        fields(members, text).try_for_each(|value| into_text(&mut String::new(), value))?;
    }
    Ok(())
}

/// Returns a network's configuration with the element's values merged in.
fn load(
    element: SelectionElement,
    interface: String,
    nads: &[Nad],
    is_default: bool,
) -> Result<MultusAttachment, AttachFailure> {
    let is_it = |nad: &&Nad| (nad.namespace, nad.name) == (&*element.namespace, &*element.name);
    let nad = nads
        .iter()
        .find(is_it)
        .ok_or(AttachFailure::Multus("no such network"))?;
    let config = Json::parse(&nad.config)?.normalized();
    let single = config.at("type").is_some();
    let mut plugins = match config.at("plugins") {
        Some(Json::List(plugins)) if !single => plugins.clone(),
        _ => vec![config.clone()],
    };
    if let Some(args) = &element.cni_args {
        let args = Json::Object(args.clone()).normalized();
        for plugin in &mut plugins {
            inject(plugin, &args)?;
        }
    }
    let cni_version = config.at("cniVersion").and_then(Json::text);
    Ok(MultusAttachment {
        namespace: element.namespace,
        name: element.name,
        interface,
        is_default,
        mac: element.mac,
        ips: element.ips,
        plugins,
        cni_version: cni_version.unwrap_or("0.1.0").to_owned(),
    })
}

/// Merges `cni-args` into a plugin's `args.cni` by exact keys.
fn inject(plugin: &mut Json, args: &Json) -> Result<(), AttachFailure> {
    let odd = AttachFailure::Panic("args are no object");
    let mut outer = plugin
        .at("args")
        .cloned()
        .unwrap_or(Json::Object(Vec::new()));
    if outer.members().is_none() {
        return Err(odd);
    }
    let mut inner = outer.at("cni").cloned().unwrap_or(Json::Object(Vec::new()));
    if inner.members().is_none() {
        return Err(odd);
    }
    for (key, value) in args.members().unwrap_or_default() {
        inner.set(key, value.clone());
    }
    outer.set("cni", inner);
    plugin.set("args", outer);
    Ok(())
}
