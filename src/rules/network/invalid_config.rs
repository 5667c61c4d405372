//! `invalid-network-config`: Multus or libcni would refuse the configuration.

use crate::{
    network::{
        cni::{ConfigFault, NetworkConfig},
        json::Node,
    },
    rules::{
        Check, Example, Levels, NetworkSubject, Report, Rule,
        examples::{BROKEN_NET, MACVLAN_CONF},
    },
};

/// The rule.
pub const RULE: Rule = Rule {
    code: "invalid-network-config",
    levels: Levels::FAILS,
    summary: "A network's configuration could not start any pod",
    explanation: "spec.config is a text: one JSON object, with the type of a plugin or a list of \
        plugins. What Multus or libcni refuse (some forms, like an empty \"plugins\", crash Multus) \
        leaves every pod that names the network in ContainerCreating. Source: the spec, section \
        3.4; libcni v1.3; executed with Multus v4.3.0.",
    wrong: Example(&[BROKEN_NET]),
    right: Example(&[MACVLAN_CONF]),
    check: Check::Network(check),
};

fn check(subject: &NetworkSubject<'_>, report: &mut Report<'_>) {
    if let Some(odd) = subject.odd_config {
        let kind = Node::document(odd).map_or("no text", |node| node.kind().described());
        report.add(
            subject.place_of_config(),
            format!("spec.config is {kind}, but has to be a text that holds JSON"),
            "put the configuration in quotes, or behind \"config: |\" in YAML",
        );
        return;
    }
    let Some(text) = subject.config.filter(|text| !text.is_empty()) else {
        return;
    };
    if let Err(error) = NetworkConfig::parse(text) {
        let help = match error.fault {
            ConfigFault::Syntax(_) => "write one JSON object",
            ConfigFault::Kind { .. } => "write a value of that kind",
            ConfigFault::NoPlugin => "add \"type\": \"macvlan\", or a list of \"plugins\"",
            ConfigFault::EmptyPlugins => "add a plugin: {\"type\": \"macvlan\"}",
            ConfigFault::NoType(_) => "add \"type\": the name of the plugin's binary",
            ConfigFault::Name(_) => "write a name of these characters, or leave it out",
        };
        report.add(subject.place("", error.span), error.to_string(), help);
    }
}
