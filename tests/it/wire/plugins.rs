//! A model of libcni and of the plugins v1.1.1 and v1.10.0, which behave alike here: the addresses
//! that an attachment puts on its interface.
//!
//! Written from `libcni/api.go` (injectRuntimeConfig), `plugins/main/{macvlan,bridge,ipvlan}`,
//! `plugins/meta/tuning`, `plugins/ipam/{static,host-local}` and `pkg/ipam` (ConfigureIface).

use std::{collections::BTreeSet, net::IpAddr};

use super::{
    go_json::{
        AttachFailure, GoSlice, Json, Member, StructKind, fields, is_bool, is_int, parse_cidr,
        parse_ip, parse_mac, struct_field, text_field, texts_field,
    },
    multus::MultusAttachment,
};

/// A MAC of six bytes.
pub(super) type Mac = [u8; 6];

/// The addresses and MACs that an attachment puts on the wire.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct OnWire {
    /// Every address that the interface had at any time, even if a later step failed.
    pub(super) ips: BTreeSet<IpAddr>,
    /// Every MAC that was configured; those that the kernel generates are not included.
    pub(super) macs: BTreeSet<Mac>,
    /// The final MAC, if one was configured.
    pub(super) mac: Option<Mac>,
    /// Set if host-local chose addresses by itself.
    pub(super) more: bool,
    /// The reason why the attachment fails in the end.
    pub(super) failure: Option<AttachFailure>,
}

/// The inputs of a plugin besides its configuration.
struct PluginInput<'a> {
    /// `MAC=` of CNI_ARGS.
    mac: &'a str,
    /// `IP=` of CNI_ARGS.
    ip: String,
    cni_version: &'a str,
}

/// An address and its prefix length.
type Assigned = (IpAddr, u32);

/// Runs an attachment's plugins one after another.
pub(super) fn attach(attachment: &MultusAttachment) -> OnWire {
    let mut seen = OnWire::default();
    seen.failure = run(attachment, &mut seen).err();
    seen
}

fn run(attachment: &MultusAttachment, seen: &mut OnWire) -> Result<(), AttachFailure> {
    let name = &attachment.interface;
    let odd = |c: char| c == '/' || c == ':' || c.is_whitespace();
    if name.is_empty() || name.len() > 15 || [".", ".."].contains(&&**name) || name.contains(odd) {
        return Err(AttachFailure::Plugin("the interface's name"));
    }
    let environment = PluginInput {
        mac: &attachment.mac,
        ip: attachment.ips.as_deref().unwrap_or_default().join(","),
        cni_version: &attachment.cni_version,
    };
    let mut main: Option<&str> = None;
    for plugin in &attachment.plugins {
        let config = with_runtime_config(plugin, attachment);
        let members = config.members().unwrap_or_default();
        let kind = plugin.at("type").and_then(Json::text).unwrap_or_default();
        match kind {
            "macvlan" => {
                let mac = macvlan_mac(members, &environment)?;
                interface(members, &environment, mac, MustHaveAddress::WithIpam, seen)?;
            }
            "bridge" => {
                let mac = bridge_mac(members, &environment)?;
                interface(members, &environment, mac, MustHaveAddress::WithIpam, seen)?;
            }
            "ipvlan" => {
                interface(
                    members,
                    &environment,
                    String::new(),
                    MustHaveAddress::Always,
                    seen,
                )?;
            }
            "tuning" => tuning(members, &environment, main, seen)?,
            _ => return Err(AttachFailure::Plugin("no such plugin")),
        }
        main = main.or(Some(kind));
        if seen.ips.is_empty() && !seen.more && is_old(&environment) {
            return Err(AttachFailure::Plugin(
                "a result of that version has an address",
            ));
        }
    }
    Ok(())
}

/// Returns true if a result can have only one address of each family.
fn is_old(environment: &PluginInput<'_>) -> bool {
    ["0.1.0", "0.2.0"].contains(&environment.cni_version)
}

/// Models libcni: passes the requested capabilities to each plugin that declares them. The default network
/// gets none, because Multus leaves its runtime configuration empty.
pub(super) fn with_runtime_config(plugin: &Json, attachment: &MultusAttachment) -> Json {
    let mut config = plugin.clone();
    if attachment.is_default {
        return config;
    }
    let has =
        |name: &str| plugin.at("capabilities").and_then(|c| c.at(name)) == Some(&Json::Bool(true));
    let mut asked = Vec::new();
    let ips = attachment.ips.as_deref().unwrap_or_default();
    if has("ips") && !ips.is_empty() {
        let ips = ips.iter().cloned().map(Json::Text).collect();
        asked.push(("ips".to_owned(), Json::List(ips)));
    }
    if has("mac") && !attachment.mac.is_empty() {
        asked.push(("mac".to_owned(), Json::Text(attachment.mac.clone())));
    }
    if !asked.is_empty() {
        config.set("runtimeConfig", Json::Object(asked));
    }
    config
}

/// Returns the last text that is not empty.
fn last_given<const N: usize>(texts: [String; N]) -> String {
    let given = texts.into_iter().rev().find(|text| !text.is_empty());
    given.unwrap_or_default()
}

fn runtime_mac(members: &[Member]) -> Result<String, AttachFailure> {
    let runtime = struct_field(members, "runtimeConfig", StructKind::No)?.unwrap_or_default();
    text_field(&runtime, "mac")
}

fn macvlan_mac(members: &[Member], environment: &PluginInput<'_>) -> Result<String, AttachFailure> {
    let own = text_field(members, "mac")?;
    Ok(last_given([
        own,
        environment.mac.to_owned(),
        runtime_mac(members)?,
    ]))
}

fn bridge_mac(members: &[Member], environment: &PluginInput<'_>) -> Result<String, AttachFailure> {
    let args = struct_field(members, "args", StructKind::No)?.unwrap_or_default();
    let args = struct_field(&args, "cni", StructKind::No)?.unwrap_or_default();
    let args = text_field(&args, "mac")?;
    Ok(last_given([
        environment.mac.to_owned(),
        args,
        runtime_mac(members)?,
    ]))
}

/// The requirement of an interface for addresses.
#[derive(Clone, Copy, PartialEq, Eq)]
enum MustHaveAddress {
    Always,
    WithIpam,
}

/// Creates the interface and assigns its addresses.
fn interface(
    members: &[Member],
    environment: &PluginInput<'_>,
    mac: String,
    must: MustHaveAddress,
    seen: &mut OnWire,
) -> Result<(), AttachFailure> {
    let mac = match &*mac {
        "" => None,
        text => {
            let bytes = parse_mac(text).ok_or(AttachFailure::Plugin("a MAC"))?;
            let six = Mac::try_from(&*bytes).map_err(|_| AttachFailure::Plugin("a long MAC"))?;
            Some(usable(six)?)
        }
    };
    let ipam = struct_field(members, "ipam", StructKind::No)?.unwrap_or_default();
    let kind = text_field(&ipam, "type")?;
    let assigned = match &*kind {
        "" if must == MustHaveAddress::WithIpam => Vec::new(),
        "static" => static_ipam(members, environment)?,
        "host-local" => {
            let (asked, more) = host_local(members, environment)?;
            seen.more = more;
            asked
        }
        _ => return Err(AttachFailure::Plugin("no such IPAM")),
    };
    if assigned.is_empty() && !kind.is_empty() && !seen.more {
        return Err(AttachFailure::Plugin("no address"));
    }
    // The interface is down until here.
    seen.macs.extend(mac);
    seen.mac = mac;
    let mut there = BTreeSet::new();
    for (ip, prefix) in assigned {
        // Linux identifies IPv6 addresses without their prefixes.
        let key = (ip, if ip.is_ipv4() { prefix } else { 0 });
        if !there.insert(key) {
            return Err(AttachFailure::Plugin("an address twice"));
        }
        match ip {
            // The kernel reports success and assigns nothing.
            IpAddr::V4(ip) if ip.is_unspecified() => continue,
            IpAddr::V6(ip) if ip.is_unspecified() || ip.is_loopback() || ip.is_multicast() => {
                return Err(AttachFailure::Plugin("an address that Linux refuses"));
            }
            _ => {}
        }
        seen.ips.insert(ip);
    }
    Ok(())
}

fn usable(mac: Mac) -> Result<Mac, AttachFailure> {
    match mac[0] & 1 == 1 || mac == [0; 6] {
        true => Err(AttachFailure::Plugin("a MAC that Linux refuses")),
        false => Ok(mac),
    }
}

/// Models the static plugin: CNI_ARGS are appended to the configured addresses; `args.cni.ips` replace
/// both, and `runtimeConfig.ips` replace everything.
fn static_ipam(
    members: &[Member],
    environment: &PluginInput<'_>,
) -> Result<Vec<Assigned>, AttachFailure> {
    let runtime = struct_field(members, "runtimeConfig", StructKind::No)?.unwrap_or_default();
    let runtime = texts_field(&runtime, "ips")?;
    let args = struct_field(members, "args", StructKind::Yes)?.unwrap_or_default();
    let args = struct_field(&args, "cni", StructKind::Yes)?.unwrap_or_default();
    let args = texts_field(&args, "ips")?;
    let mut found = Vec::new();
    let ipam = struct_field(members, "ipam", StructKind::Yes)?.unwrap_or_default();
    for list in fields(&ipam, "addresses") {
        let Json::List(list) = list else { continue };
        let texts = list.iter().filter_map(|one| one.at("address")?.text());
        found.extend(texts.map(str::to_owned));
    }
    if !environment.ip.is_empty() {
        let asked: Vec<&str> = environment.ip.split(',').map(str::trim).collect();
        if !asked.iter().all(|ip| parse_cidr(ip).is_some()) {
            return Err(AttachFailure::Plugin("an address without prefix"));
        }
        found.extend(asked.into_iter().map(str::to_owned));
    }
    // Each list is parsed before the next one replaces it.
    for list in [&args, &runtime] {
        let list = list.elements().unwrap_or_default();
        if !list.is_empty() {
            found = list.to_vec();
            if !found.iter().all(|ip| parse_cidr(ip).is_some()) {
                return Err(AttachFailure::Plugin("an address without prefix"));
            }
        }
    }
    let found: Option<Vec<Assigned>> = found.iter().map(|ip| parse_cidr(ip)).collect();
    let found = found.ok_or(AttachFailure::Plugin("an address"))?;
    let v4 = found.iter().filter(|(ip, _)| ip.is_ipv4()).count();
    let crowded = v4 > 1 || found.len() - v4 > 1;
    if crowded && is_old(environment) {
        return Err(AttachFailure::Plugin("more than one address of a family"));
    }
    Ok(found)
}

/// Models host-local with one range set: assigns a requested address, from whichever source, if it is in
/// the range; else chooses one. Also returns whether it chose one.
fn host_local(
    members: &[Member],
    environment: &PluginInput<'_>,
) -> Result<(Vec<Assigned>, bool), AttachFailure> {
    let ip_or_none = |target: &mut Option<String>, value: &Json| match value {
        Json::Null => {
            *target = None;
            Ok(())
        }
        Json::Text(text) => {
            let fits = text.is_empty() || parse_cidr(text).is_some() || parse_ip(text).is_some();
            *target = Some(text.clone());
            fits.then_some(())
                .ok_or(AttachFailure::Decode("not an address"))
        }
        _ => Err(AttachFailure::Decode("not a string")),
    };
    let list = |members: &[Member]| {
        let mut slice: GoSlice<Option<String>> = GoSlice::default();
        for value in fields(members, "ips") {
            slice.decode(value, ip_or_none)?;
        }
        Ok(slice.elements().unwrap_or_default().to_vec())
    };
    let runtime = struct_field(members, "runtimeConfig", StructKind::No)?.unwrap_or_default();
    let runtime = list(&runtime)?;
    let args = struct_field(members, "args", StructKind::Yes)?.unwrap_or_default();
    let args = struct_field(&args, "cni", StructKind::Yes)?.unwrap_or_default();
    let args = list(&args)?;
    let read = |text: &str| match parse_cidr(text) {
        Some((ip, _)) => Some(ip),
        None => parse_ip(text),
    };
    let mut asked = BTreeSet::new();
    if !environment.ip.is_empty() {
        let ip = read(&environment.ip).ok_or(AttachFailure::Plugin("more than one address"))?;
        asked.insert(ip);
    }
    for ip in args.into_iter().chain(runtime) {
        let ip = ip.ok_or(AttachFailure::Panic("a nil address"))?;
        asked.insert(read(&ip).ok_or(AttachFailure::Plugin("an empty address"))?);
    }
    let ipam = struct_field(members, "ipam", StructKind::Yes)?.unwrap_or_default();
    let (subnet, prefix) =
        parse_cidr(&text_field(&ipam, "subnet")?).ok_or(AttachFailure::Plugin("no range"))?;
    let inside = |ip: &IpAddr| match (subnet, ip) {
        (IpAddr::V4(subnet), IpAddr::V4(ip)) => {
            let bits = |ip: &std::net::Ipv4Addr| ip.to_bits() >> (32 - prefix);
            let host = ip.to_bits() & (u32::MAX >> prefix);
            // Excludes the network's own address, its last one, and the gateway, which is the
            // first.
            bits(&subnet) == bits(ip) && host > 1 && host < u32::MAX >> prefix
        }
        _ => false,
    };
    match asked.len() {
        0 => Ok((Vec::new(), true)),
        1 if asked.iter().all(inside) => {
            Ok((asked.into_iter().map(|ip| (ip, prefix)).collect(), false))
        }
        _ => Err(AttachFailure::Plugin("not in the range")),
    }
}

/// Models tuning: `args.cni.mac`, even an empty one, replaces `runtimeConfig.mac`, which replaces that of
/// CNI_ARGS. The kernel uses the first six bytes of a longer one.
fn tuning(
    members: &[Member],
    environment: &PluginInput<'_>,
    main: Option<&str>,
    seen: &mut OnWire,
) -> Result<(), AttachFailure> {
    let own = text_field(members, "mac")?;
    let mut mac = last_given([own, environment.mac.to_owned(), runtime_mac(members)?]);
    let args = struct_field(members, "args", StructKind::Yes)?.unwrap_or_default();
    let args = struct_field(&args, "cni", StructKind::Yes)?.unwrap_or_default();
    for key in ["mtu", "txQLen"] {
        fields(&args, key).try_for_each(is_int)?;
    }
    for key in ["promisc", "allmulti"] {
        fields(&args, key).try_for_each(is_bool)?;
    }
    for value in fields(&args, "mac") {
        match value {
            Json::Null | Json::Text(_) => {}
            _ => return Err(AttachFailure::Decode("not a string")),
        }
    }
    // A pointer: a last `null` makes it nil.
    if let Some(Json::Text(text)) = fields(&args, "mac").last() {
        mac.clone_from(text);
    }
    if main.is_none() {
        return Err(AttachFailure::Plugin("nothing to tune"));
    }
    if mac.is_empty() {
        return Ok(());
    }
    let bytes = parse_mac(&mac).ok_or(AttachFailure::Plugin("a MAC"))?;
    let mut six = Mac::default();
    six.copy_from_slice(&bytes[..6]);
    if main == Some("ipvlan") {
        return Err(AttachFailure::Plugin("ipvlan has no MAC of its own"));
    }
    let six = usable(six)?;
    seen.macs.insert(six);
    seen.mac = Some(six);
    Ok(())
}
