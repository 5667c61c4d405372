//! `config-on-node`: a network without `spec.config`.

use crate::{
    Check, Example, Levels, NetworkSubject, Report, Rule, RuleDocs,
    examples::{MACVLAN_CONF, network},
};

pub(crate) const RULE: Rule = Rule {
    code: "config-on-node",
    levels: Levels::ADVICE,
    summary: "A network has no configuration, so Multus reads a file on each node",
    docs: RuleDocs {
        checks: "The NetworkAttachmentDefinition has no spec.config. Multus then reads a file in the \
            node's CNI folder whose \"name\" is the name of the network. nadmit cannot check this \
            file.",
        consequence: "On a node without the file, no pod of this network starts.",
        fix: "Write the configuration into spec.config. To keep the file, an administrator makes sure \
            that it is on every node.",
        source: "The spec, section 3.4.1.",
    },
    wrong: Example(&[network!("")]),
    right: Example(&[MACVLAN_CONF]),
    check: Check::Network(check),
};

fn check(subject: &NetworkSubject<'_>, report: &mut Report<'_>) {
    let empty = subject.config.is_none_or(str::is_empty);
    if empty && subject.non_string_config.is_none() {
        report.add(
            subject.config_ref(),
            "the network has no configuration, so Multus reads a file on each node",
            "write the configuration, or make sure that the file is on every node",
        );
    }
}
