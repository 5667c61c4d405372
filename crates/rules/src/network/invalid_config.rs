//! `invalid-network-config`: Multus or libcni would reject the configuration.
//!
//! [`NetworkConfig::parse`](nadmit_cni::cni::NetworkConfig::parse) stops at the first fault, which is
//! enough for a pod. The author of a network gets all faults.

use crate::{
    Check, Example, Levels, NetworkSubject, Report, Rule, RuleDocs,
    examples::{BROKEN_NET, MACVLAN_CONF},
};
use nadmit_cni::{
    cni::{NetworkConfigFault, is_cni_name},
    json::JsonNode,
};

use super::fields::{FieldValue, Fields};

pub(crate) const RULE: Rule = Rule {
    code: "invalid-network-config",
    levels: Levels::FAILS,
    summary: "Multus or libcni refuses the configuration of a network",
    docs: RuleDocs {
        checks: "spec.config is not a configuration that Multus and libcni accept. It has to be a string \
            with one JSON object, which has the \"type\" of a plugin or a list of \"plugins\". If \
            \"args\" is not an object, the rule only warns in the profile multus.",
        consequence: "Every pod that names the network stays in ContainerCreating. Some configurations, such \
            as an empty \"plugins\", crash Multus. \"args\" that are not an object crash Multus only \
            when a pod has cni-args.",
        fix: "Correct each reported field. The smallest configuration is one JSON object with the \
            \"type\" of a plugin.",
        source: "The spec, section 3.4; libcni v1.3; executed with Multus v4.3.0.",
    },
    wrong: Example(&[BROKEN_NET]),
    right: Example(&[MACVLAN_CONF]),
    check: Check::Network(check),
};

/// Switches of a list, which libcni reads as booleans or strings.
const SWITCHES: [&str; 3] = ["disableCheck", "disableGC", "loadOnlyInlinedPlugins"];

fn check(subject: &NetworkSubject<'_>, report: &mut Report<'_>) {
    if let Some(value) = subject.non_string_config {
        let kind =
            JsonNode::document(value).map_or("of another type", |node| node.kind().described());
        report.add(
            subject.config_ref(),
            format!("spec.config is {kind}, but has to be a string with JSON in it"),
            "write the configuration in quotes, or after \"config: |\" in YAML",
        );
        return;
    }
    let Some(text) = subject.config.filter(|text| !text.is_empty()) else {
        return;
    };
    match JsonNode::document(text) {
        Err(error) => {
            let span = nadmit_cni::Span {
                start: error.offset,
                end: error.offset,
            };
            let fault = NetworkConfigFault::Syntax(error.reason);
            report.add(subject.field_ref("", span), fault.to_string(), help(&fault));
        }
        Ok(node) => match Fields::document(subject) {
            Some(document) => check_document(&document, report),
            None => {
                let fault = NetworkConfigFault::Kind {
                    what: "the configuration".into(),
                    expected: "an object",
                    found: node.kind(),
                };
                report.add(
                    subject.field_ref("", node.span()),
                    fault.to_string(),
                    help(&fault),
                );
            }
        },
    }
}

fn check_document(document: &Fields<'_, '_>, report: &mut Report<'_>) {
    check_text(document, "name", report);
    check_text(document, "cniVersion", report);
    if let Some(name) = document.text("name").filter(|name| !is_cni_name(name)) {
        let fault = NetworkConfigFault::Name(name.into());
        report.add(document.field_ref("name"), fault.to_string(), help(&fault));
    }
    if document.text("type").is_some() {
        return check_plugin(document, report);
    }
    check_text(document, "type", report);
    let Some(list) = document.value("plugins") else {
        if !document.has("type") || document.value("type").is_some_and(|t| t.node.is_empty()) {
            let fault = NetworkConfigFault::NoPlugin;
            report.add(document.own_ref(), fault.to_string(), help(&fault));
        }
        return;
    };
    check_list(&list, report);
    for switch in SWITCHES {
        check_switch(document, switch, report);
    }
}

fn check_list(list: &FieldValue<'_, '_>, report: &mut Report<'_>) {
    let Some(elements) = list.node.elements() else {
        return report_wrong_type(list, "\"plugins\"", "a list of objects", report);
    };
    if elements.is_empty() {
        let fault = NetworkConfigFault::EmptyPlugins;
        report.add(list.field_ref(), fault.to_string(), help(&fault));
    }
    for (index, element) in list.elements().iter().enumerate() {
        let Some(plugin) = element.fields() else {
            report_wrong_type(
                element,
                &format!("\"plugins[{index}]\""),
                "an object",
                report,
            );
            continue;
        };
        if plugin.text("type").is_some() {
            check_plugin(&plugin, report);
        } else if plugin.value("type").is_none_or(|kind| kind.node.is_empty()) {
            let fault = NetworkConfigFault::NoType(index);
            report.add(plugin.own_ref(), fault.to_string(), help(&fault));
        } else {
            check_text(&plugin, "type", report);
        }
    }
}

/// Checks the fields that all plugins have in common.
fn check_plugin(plugin: &Fields<'_, '_>, report: &mut Report<'_>) {
    if let Some(ipam) = plugin.value("ipam")
        && ipam.fields().is_none()
    {
        report_wrong_type(&ipam, "\"ipam\"", "an object", report);
    }
    if let Some(args) = plugin.value("args")
        && args.fields().is_none()
    {
        report.add_capped(
            Levels::MISLEADS,
            args.field_ref(),
            format!(
                "\"args\" is {}, not an object, so a pod with cni-args crashes Multus",
                args.node.kind().described()
            ),
            "write an object, such as {\"cni\": {}}",
        );
    }
    let Some(capabilities) = plugin.value("capabilities") else {
        return;
    };
    let Some(entries) = capabilities.node.members() else {
        return report_wrong_type(
            &capabilities,
            "\"capabilities\"",
            "an object of booleans",
            report,
        );
    };
    for entry in entries {
        if entry.value.boolean().is_none() && !entry.value.is_null() {
            let fault = NetworkConfigFault::Kind {
                what: format!(
                    "the capability {}",
                    super::fields::quoted(&entry.name.value)
                )
                .into(),
                expected: "true or false",
                found: entry.value.kind(),
            };
            let mut field_ref = capabilities.field_ref();
            if let Some((span, _)) = &mut field_ref.source {
                *span = entry.value.span();
            }
            report.add(field_ref, fault.to_string(), help(&fault));
        }
    }
}

/// Checks a switch. libcni matches its name exactly, and accepts a boolean or its name in any case.
fn check_switch(document: &Fields<'_, '_>, key: &str, report: &mut Report<'_>) {
    let mut members = document.members().iter().rev();
    let Some(member) = members.find(|member| member.name.value == key) else {
        return;
    };
    let word = member.value.string();
    let fits = member.value.boolean().is_some()
        || word.is_some_and(|word| {
            ["true", "false"]
                .iter()
                .any(|w| word.eq_ignore_ascii_case(w))
        });
    if !fits {
        let field_ref = document
            .subject()
            .field_ref(&format!(".{key}"), member.value.span());
        report.add(
            field_ref,
            format!("{key} is neither true nor false"),
            "write true or false",
        );
    }
}

fn check_text(fields: &Fields<'_, '_>, key: &str, report: &mut Report<'_>) {
    if let Some(value) = fields.value(key)
        && value.node.string().is_none()
    {
        report_wrong_type(&value, &format!("\"{key}\""), "a string", report);
    }
}

fn report_wrong_type(
    value: &FieldValue<'_, '_>,
    what: &str,
    expected: &'static str,
    report: &mut Report<'_>,
) {
    let fault = NetworkConfigFault::Kind {
        what: what.into(),
        expected,
        found: value.node.kind(),
    };
    report.add(value.field_ref(), fault.to_string(), help(&fault));
}

fn help(fault: &NetworkConfigFault) -> &'static str {
    match fault {
        NetworkConfigFault::Syntax(_) => "write one JSON object",
        NetworkConfigFault::Kind { .. } => "write a value of the expected type",
        NetworkConfigFault::NoPlugin => {
            "add the \"type\" of a plugin, such as \"macvlan\", or a list of \"plugins\""
        }
        NetworkConfigFault::EmptyPlugins => "add a plugin, such as {\"type\": \"macvlan\"}",
        NetworkConfigFault::NoType(_) => {
            "add \"type\" with the name of the plugin's binary, such as \"macvlan\""
        }
        NetworkConfigFault::Name(_) => "write a name of these characters, or remove it",
    }
}

#[cfg(test)]
mod tests {
    use crate::{Finding, Level, NetworkSubject, Policy, Report, network_subject::RawNetwork};
    use nadmit_catalog::Catalog;
    use nadmit_cni::cni::NetworkConfig;

    use super::{RULE, check};

    fn findings(text: &str) -> Vec<Finding> {
        let (policy, catalog) = (Policy::default(), Catalog::default());
        let written = RawNetwork {
            namespace: "db",
            name: "n",
            config: Some(text),
            ..RawNetwork::default()
        };
        let subject = NetworkSubject::new(written, &policy, &catalog);
        let mut report = Report::new(&policy, Level::Deny);
        report.begin(RULE.code, Level::Deny);
        check(&subject, &mut report);
        report.into_findings()
    }

    #[test]
    fn each_fault_is_reported_at_its_field() {
        let found = findings(
            r#"{"name": "a/b", "cniVersion": 1, "disableCheck": "yes", "plugins": [null,
                {"type": 5}, {"type": "x", "ipam": [], "capabilities": {"ips": "true"}},
                {"type": "x", "capabilities": ["ips"], "args": []}, {}]}"#,
        );
        let fields: Vec<&str> = found
            .iter()
            .map(|f| f.field.strip_prefix("spec.config").unwrap_or_default())
            .collect();
        assert_eq!(
            fields,
            [
                ".cniVersion",
                ".name",
                ".plugins[0]",
                ".plugins[1].type",
                ".plugins[2].ipam",
                ".plugins[2].capabilities",
                ".plugins[3].args",
                ".plugins[3].capabilities",
                ".plugins[4]",
                ".disableCheck",
            ]
        );
    }

    #[test]
    fn configurations_that_do_not_parse_have_findings() {
        for text in [
            "{",
            "",
            "[]",
            "null",
            "{}",
            r#"{"type":""}"#,
            r#"{"type":null}"#,
            r#"{"type":1}"#,
            r#"{"type":1,"plugins":[{"type":"x"}]}"#,
            r#"{"type":"","plugins":[]}"#,
            r#"{"plugins":null}"#,
            r#"{"plugins":{}}"#,
            r#"{"plugins":[[]]}"#,
            r#"{"plugins":[{"type":""}]}"#,
            r#"{"plugins":[{"type":{}}]}"#,
            r#"{"type":"x","name":"-"}"#,
            r#"{"type":"x","name":[]}"#,
            r#"{"type":"x","cniVersion":0.3}"#,
            r#"{"type":"x","ipam":5}"#,
            r#"{"type":"x","capabilities":{"a":1}}"#,
        ] {
            let refused = !text.is_empty() && NetworkConfig::parse(text).is_err();
            assert_eq!(refused, !findings(text).is_empty(), "{text}");
        }
    }
}
