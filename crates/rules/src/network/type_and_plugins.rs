//! `type-and-plugins`: a configuration with both `type` and `plugins`.

use crate::{
    Check, Example, Levels, NetworkSubject, Report, Rule,
    examples::{STORAGE_NET, network},
};

use super::fields::Fields;

pub(crate) const RULE: Rule = Rule {
    code: "type-and-plugins",
    levels: Levels::ADVICE,
    summary: "A configuration has a type and a list of plugins, of which one is passed over",
    explanation: "A configuration is one plugin (\"type\") or a list (\"plugins\"). With both, \
        Multus runs the one plugin and never looks at the list. Source: Multus, \
        LoadDelegateNetConf; executed with v4.3.0.",
    wrong: Example(&[network!(
        r#"{"cniVersion": "0.3.1", "type": "macvlan", "ipam": {"type": "dhcp"}, "plugins": [{"type": "tuning"}]}"#
    )]),
    right: Example(&[STORAGE_NET]),
    check: Check::Network(check),
};

fn check(subject: &NetworkSubject<'_>, report: &mut Report<'_>) {
    let Some(document) = Fields::document(subject) else {
        return;
    };
    if document.text("type").is_some() && document.has("plugins") {
        report.add(
            document.field_ref("plugins"),
            "\"plugins\" is passed over, because there is a \"type\"",
            "remove \"type\", with what belongs to it, or \"plugins\"",
        );
    }
}
