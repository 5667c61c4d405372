//! The rules on requests for which no plugin has the capability: `missing-capability` and
//! `capability-by-fallback`.
//!
//! A plugin gets a request only if its own entry has the capability. `ips` and `mac` have a second way,
//! which Multus always uses: the environment variable `CNI_ARGS`. The behavior for it was observed by
//! running the plugins.

use crate::{
    Attachment, Check, Example, Levels, PodSubject, Report, Rule, RuleDocs,
    examples::{BRIDGE_NET, PORTMAP_NET, STORAGE_NET, pod},
};
use nadmit_cni::{
    Selection, Span,
    cni::{Capability, NetworkConfig},
    ipam::Ipam,
};

pub(crate) const MISSING: Rule = Rule {
    code: "missing-capability",
    levels: Levels::MISLEADS,
    summary: "No plugin of the network has the requested capability",
    docs: RuleDocs {
        checks: "A pod requests portMappings, bandwidth or infiniband-guid, and no plugin that reads \
            the request has its capability. A plugin receives the request only if its own entry in \
            the network's configuration has the capability, such as {\"portMappings\": true}. \
            capabilities at the top of a plugin list or inside \"ipam\" have no effect. A capability \
            on a plugin that does not read it (\"ips\" on tuning) has no effect either. A requested \
            mac on vlan or host-device is only warned of, except in the profile strict.",
        consequence: "The pod starts, and the request is silently dropped. The spec requires the \
            attachment to fail.",
        fix: "Remove the request, or use a network that has the capability. An administrator adds the \
            capability to the plugin that reads it.",
        source: "The spec, section 4.1.2.1; CNI conventions; run with Multus v4.3.0.",
    },
    wrong: Example(&[
        BRIDGE_NET,
        pod!(
            r#"[{"name": "bridge-net", "portMappings": [{"hostPort": 8080, "containerPort": 80}]}]"#
        ),
    ]),
    right: Example(&[
        PORTMAP_NET,
        pod!(
            r#"[{"name": "portmap-net", "portMappings": [{"hostPort": 8080, "containerPort": 80}]}]"#
        ),
    ]),
    check: Check::Pod(missing),
};

pub(crate) const FALLBACK: Rule = Rule {
    code: "capability-by-fallback",
    levels: Levels::SPEC,
    summary: "The network lacks the capability ips or mac, and only a fallback passes the request on",
    docs: RuleDocs {
        checks: "A pod requests ips or mac, and no plugin that reads the request has the capability \
            \"ips\" or \"mac\". Multus also passes both in the variable CNI_ARGS. static, host-local, \
            bridge, macvlan, tuning and sriov read them there.",
        consequence: "The request works today, but against the spec. The requested addresses are \
            appended to the configured ones and do not replace them.",
        fix: "An administrator adds \"capabilities\": {\"ips\": true} or {\"mac\": true} to the plugin \
            of the network.",
        source: "The spec, section 4.1.2.1; run with the plugins v1.9.",
    },
    wrong: Example(&[
        BRIDGE_NET,
        pod!(r#"[{"name": "bridge-net", "mac": "02:5e:00:00:00:01"}]"#),
    ]),
    right: Example(&[
        STORAGE_NET,
        pod!(r#"[{"name": "storage-net", "ips": ["192.0.2.205/24"], "mac": "02:5e:00:00:00:01"}]"#),
    ]),
    check: Check::Pod(fallback),
};

/// The plugins that take a MAC from `CNI_ARGS`.
const MAC_BY_ARGS: [&str; 4] = ["bridge", "macvlan", "tuning", "sriov"];
/// The plugins that are known to take a MAC in neither way.
const NO_MAC: [&str; 2] = ["vlan", "host-device"];

/// A request that needs a capability, with its key and span in the annotation.
struct CapabilityRequest {
    capability: Capability,
    key: &'static str,
    span: Span,
}

fn capability_requests(selection: &Selection<'_>) -> impl Iterator<Item = CapabilityRequest> {
    let some = |capability, key, span: Option<Span>| {
        span.map(|span| CapabilityRequest {
            capability,
            key,
            span,
        })
    };
    let ips = selection.ips.as_ref().filter(|ips| !ips.value.is_empty());
    let ports = selection
        .port_mappings
        .as_ref()
        .filter(|ports| !ports.value.is_empty());
    [
        some(Capability::Ips, "ips", ips.map(|ips| ips.span)),
        some(
            Capability::Mac,
            "mac",
            selection.mac.as_ref().map(|mac| mac.span),
        ),
        some(
            Capability::PortMappings,
            "portMappings",
            ports.map(|ports| ports.span),
        ),
        some(
            Capability::Bandwidth,
            "bandwidth",
            selection.bandwidth.as_ref().map(|b| b.span),
        ),
        some(
            Capability::InfinibandGuid,
            "infiniband-guid",
            selection.infiniband_guid.as_ref().map(|guid| guid.span),
        ),
    ]
    .into_iter()
    .flatten()
}

/// Calls `check` for each request whose capability is missing, with its attachment and configuration.
fn for_each_missing<'s>(
    subject: &'s PodSubject<'_>,
    mut check: impl FnMut(Attachment<'s, '_>, &NetworkConfig, CapabilityRequest),
) {
    for attachment in subject.attachments() {
        let Some(config) = attachment
            .network()
            .and_then(|network| network.config.loaded())
        else {
            continue;
        };
        for asked in capability_requests(attachment.selection) {
            if !config.has(asked.capability) {
                check(attachment, config, asked);
            }
        }
    }
}

fn missing(subject: &PodSubject<'_>, report: &mut Report<'_>) {
    for_each_missing(subject, |attachment, config, asked| {
        let field_ref = attachment.field_ref(asked.key, asked.span);
        let capability = asked.capability;
        let network = attachment.selection.network_name().unwrap_or_default();
        let help = format!(
            "remove \"{}\"; an administrator can add \"capabilities\": {{\"{capability}\": true}} to \
             the plugin that reads it",
            asked.key
        );
        let message = format!(
            "{}, so the request is silently dropped",
            missing_capability(config, network, capability)
        );
        match capability {
            Capability::Ips => {}
            // Not verified by running these plugins, so it is only a warning except in strict.
            Capability::Mac if has_plugin(config, &NO_MAC) && !takes_mac(config) => {
                report.add_capped(Levels::SPEC, field_ref, message, help);
            }
            Capability::Mac => {}
            _ => report.add(field_ref, message, help),
        }
    });
}

fn fallback(subject: &PodSubject<'_>, report: &mut Report<'_>) {
    for_each_missing(subject, |attachment, config, asked| {
        let taken_by = match asked.capability {
            Capability::Ips => config.ipam().filter(|ipam| needs_ips(ipam)).map(Ipam::name),
            Capability::Mac => mac_plugin(config),
            _ => None,
        };
        let Some(taken_by) = taken_by else { return };
        let network = attachment.selection.network_name().unwrap_or_default();
        report.add(
            attachment.field_ref(asked.key, asked.span),
            format!(
                "{}; {taken_by} takes \"{}\" only from CNI_ARGS, a fallback",
                missing_capability(config, network, asked.capability),
                asked.key
            ),
            format!(
                "add \"capabilities\": {{\"{}\": true}} to the {} plugin of the network",
                asked.capability,
                match config.addressing() {
                    Some(plugin) if asked.capability == Capability::Ips => &plugin.kind,
                    _ => taken_by,
                },
            ),
        );
    });
}

/// Describes a missing capability for a message. Names a plugin that has it but does not read it.
fn missing_capability(config: &NetworkConfig, network: &str, capability: Capability) -> String {
    let mut plugins = config.plugins.iter();
    match plugins.find(|plugin| plugin.capabilities.has(capability)) {
        Some(plugin) => format!(
            "in network \"{network}\", the capability \"{capability}\" is on {}, which does not read it",
            plugin.kind
        ),
        None => format!("no plugin of network \"{network}\" has the capability \"{capability}\""),
    }
}

fn needs_ips(ipam: &Ipam) -> bool {
    match ipam {
        Ipam::Static(_) | Ipam::HostLocal(_) => true,
        // Without a range, Whereabouts acts like static.
        Ipam::Whereabouts(found) => found.ranges.is_empty(),
        Ipam::Dhcp(_) | Ipam::Other(_) => false,
    }
}

fn has_plugin(config: &NetworkConfig, kinds: &[&str]) -> bool {
    config
        .plugins
        .iter()
        .any(|plugin| kinds.contains(&plugin.family()))
}

fn takes_mac(config: &NetworkConfig) -> bool {
    mac_plugin(config).is_some()
}

/// Returns the plugin that takes a MAC from `CNI_ARGS`.
fn mac_plugin(config: &NetworkConfig) -> Option<&str> {
    let mut plugins = config.plugins.iter();
    let taker = plugins.find(|plugin| MAC_BY_ARGS.contains(&plugin.family()))?;
    Some(&taker.kind)
}
