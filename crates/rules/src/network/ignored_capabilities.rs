//! `ignored-capabilities`: capabilities that no component reads.

use crate::{
    Check, Example, Levels, NetworkSubject, Report, Rule, RuleDocs,
    examples::{STORAGE_NET, network},
};
use nadmit_cni::cni::Capability;

use super::fields::{Fields, quoted};

pub(crate) const RULE: Rule = Rule {
    code: "ignored-capabilities",
    levels: Levels::ADVICE,
    summary: "Capabilities are in a place where no plugin reads them",
    docs: RuleDocs {
        checks: "Capabilities are at the top of a list of plugins, or inside \"ipam\". Multus reads them \
            only in the object of a plugin, next to its \"type\". The rule also reports a name that \
            differs from CNI's in its case, and a capability on a plugin that does not read it. \
            \"ips\" belongs to the plugin with the IPAM, and \"mac\" to macvlan, bridge, sriov or \
            tuning. \"portMappings\" belongs to portmap, \"bandwidth\" to bandwidth, and \
            \"infinibandGUID\" to ib-sriov. OpenShift's SimpleMacvlan writes a list inside \"ipam\".",
        consequence: "Multus ignores the capability. Although the configuration seems to declare it, no plugin \
            gets it.",
        fix: "Move the capability into the object of the plugin that reads it, next to \"type\". Write \
            its name as CNI does.",
        source: "libcni, injectRuntimeConfig; executed with Multus v4.3.0.",
    },
    wrong: Example(&[network!(
        r#"{"cniVersion": "0.3.1", "type": "macvlan", "ipam": {"type": "static", "capabilities": {"ips": true}}}"#
    )]),
    right: Example(&[STORAGE_NET]),
    check: Check::Network(check),
};

fn check(subject: &NetworkSubject<'_>, report: &mut Report<'_>) {
    let plugins = Fields::plugins(subject);
    if let Some(document) = Fields::document(subject)
        && document.text("type").is_none()
        && !plugins.is_empty()
        && document.has("capabilities")
    {
        report.add(
            document.field_ref("capabilities"),
            "Multus does not read capabilities at the top of a list of plugins",
            "move them to the plugin that reads them, next to its \"type\"",
        );
    }
    for (_, plugin) in plugins {
        if let Some(ipam) = plugin.object("ipam")
            && ipam.has("capabilities")
        {
            report.add(
                ipam.field_ref("capabilities"),
                "Multus does not read capabilities inside \"ipam\"",
                "move them out of \"ipam\", next to the plugin's \"type\"",
            );
        }
        check_case(&plugin, report);
    }
    check_readers(subject, report);
}

/// Reports capabilities on plugins that do not read them.
fn check_readers(subject: &NetworkSubject<'_>, report: &mut Report<'_>) {
    let Some(config) = subject.parsed() else {
        return;
    };
    let texts = Fields::plugins(subject);
    for (plugin, (kind, text)) in config.plugins.iter().zip(texts) {
        for capability in Capability::ALL {
            if !plugin.capabilities.has(capability) || plugin.reads(capability) {
                continue;
            }
            let name = capability.name();
            let field_ref = text
                .object("capabilities")
                .map(|object| object.field_ref(name));
            let reader = match capability {
                Capability::Ips => "the plugin that has \"ipam\"",
                Capability::Mac => "the plugin that sets MACs: macvlan, bridge, sriov or tuning",
                Capability::PortMappings => "the plugin portmap",
                Capability::Bandwidth => "the plugin bandwidth",
                Capability::InfinibandGuid => "the plugin ib-sriov",
            };
            report.add(
                field_ref.unwrap_or_else(|| text.own_ref()),
                format!("{kind} does not read the capability \"{name}\""),
                format!("move it to {reader}, or remove it"),
            );
        }
    }
}

/// Reports capabilities in a wrong case: Go compares the keys of a map exactly, unlike those of a struct.
fn check_case(plugin: &Fields<'_, '_>, report: &mut Report<'_>) {
    let Some(capabilities) = plugin.object("capabilities") else {
        return;
    };
    for member in capabilities.members() {
        let written = &*member.name.value;
        let meant = Capability::ALL
            .into_iter()
            .map(Capability::name)
            .find(|name| name.eq_ignore_ascii_case(written) && *name != written);
        if let Some(meant) = meant {
            report.add(
                capabilities.name_ref(member),
                format!("{} is not a CNI capability", quoted(written)),
                format!("write \"{meant}\""),
            );
        }
    }
}
