//! `type-and-plugins`: a configuration with both `type` and `plugins`.

use crate::{
    Check, Example, Levels, NetworkSubject, Report, Rule, RuleDocs,
    examples::{STORAGE_NET, network},
};

use super::fields::Fields;

pub(crate) const RULE: Rule = Rule {
    code: "type-and-plugins",
    levels: Levels::ADVICE,
    summary: "A configuration has both a type and a list of plugins, which Multus ignores",
    docs: RuleDocs {
        checks: "A configuration has both \"type\" and \"plugins\". A configuration is either one plugin \
            (\"type\") or a list (\"plugins\").",
        consequence: "Multus runs the one plugin and ignores the list.",
        fix: "Remove \"plugins\", or remove \"type\" with its options.",
        source: "Multus, LoadDelegateNetConf; executed with v4.3.0.",
    },
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
            "Multus ignores \"plugins\", because the configuration has a \"type\"",
            "remove \"plugins\", or \"type\" with its options",
        );
    }
}
