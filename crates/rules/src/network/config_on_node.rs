//! `config-on-node`: a network without `spec.config`.

use crate::{
    Check, Example, Levels, NetworkSubject, Report, Rule,
    examples::{MACVLAN_CONF, network},
};

pub(crate) const RULE: Rule = Rule {
    code: "config-on-node",
    levels: Levels::ADVICE,
    summary: "A network has no configuration: it is a file on each node",
    explanation: "Without spec.config Multus looks for a file in the node's CNI folder whose \
        \"name\" is the network's. nadmit cannot see it, and a node without it starts no pod of \
        this network. Source: the spec, section 3.4.1.",
    wrong: Example(&[network!("")]),
    right: Example(&[MACVLAN_CONF]),
    check: Check::Network(check),
};

fn check(subject: &NetworkSubject<'_>, report: &mut Report<'_>) {
    let empty = subject.config.is_none_or(str::is_empty);
    if empty && subject.non_string_config.is_none() {
        report.add(
            subject.config_ref(),
            "there is no configuration: Multus looks for a file on each node",
            "make sure that the file is on every node, or write the configuration here",
        );
    }
}
