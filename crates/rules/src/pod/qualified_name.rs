//! `qualified-name`: a `name` in JSON that contains a namespace, as only the short format allows.

use crate::{
    Attachment, Check, Example, Levels, PodSubject, Report, Rule, RuleDocs,
    examples::{MACVLAN_CONF, pod},
};
use nadmit_cni::{AnnotationFormat, name};

pub(crate) const RULE: Rule = Rule {
    code: "qualified-name",
    levels: Levels::FAILS,
    summary: "\"name\" contains a namespace",
    docs: RuleDocs {
        checks: "\"name\" in the JSON format has the form namespace/name, which is the notation \
            of the short format. In the JSON format the namespace has its own key.",
        consequence: "Multus looks for a network whose name contains \"/\" and does not find it. \
            The pod stays in ContainerCreating.",
        fix: "Write two keys: {\"namespace\": \"db\", \"name\": \"macvlan-conf\"}.",
        source: "The spec, section 4.1.2; executed with Multus v4.3.0.",
    },
    wrong: Example(&[MACVLAN_CONF, pod!(r#"[{"name": "db/macvlan-conf"}]"#)]),
    right: Example(&[
        MACVLAN_CONF,
        pod!(r#"[{"namespace": "db", "name": "macvlan-conf"}]"#),
    ]),
    check: Check::Pod(check),
};

fn check(subject: &PodSubject<'_>, report: &mut Report<'_>) {
    for attachment in subject.attachments() {
        if report.is_full() {
            return;
        }
        let (Some((namespace, network)), Some(written)) =
            (split(attachment), &attachment.selection.name)
        else {
            continue;
        };
        report.add(
            attachment.field_ref("name", written.span),
            format!(
                "{:?} contains a namespace, which \"name\" does not accept",
                written.text
            ),
            format!("write \"namespace\": \"{namespace}\", \"name\": \"{network}\""),
        );
    }
}

/// Returns namespace and name, if the `name` of a selection in JSON contains both.
pub(super) fn split<'s>(attachment: Attachment<'s, '_>) -> Option<(&'s str, &'s str)> {
    if attachment.request.annotation.format == AnnotationFormat::Short {
        return None;
    }
    let (namespace, network) = attachment.selection.network_name()?.split_once('/')?;
    (name::label(namespace).is_ok() && name::subdomain(network).is_ok())
        .then_some((namespace, network))
}
