//! `qualified-name`: a `name` in JSON that contains a namespace, as only the short format allows.

use crate::{
    Attachment, Check, Example, Levels, PodSubject, Report, Rule,
    examples::{MACVLAN_CONF, pod},
};
use nadmit_cni::{AnnotationFormat, name};

pub(crate) const RULE: Rule = Rule {
    code: "qualified-name",
    levels: Levels::FAILS,
    summary: "\"name\" holds a namespace, too",
    explanation: "namespace/name is the short format's notation. In the JSON format the namespace \
        has a key of its own; Multus would look for a network whose name holds a \"/\", find none, \
        and the pod would stay in ContainerCreating. Source: the spec, section 4.1.2; executed \
        with Multus v4.3.0.",
    wrong: Example(&[MACVLAN_CONF, pod!(r#"[{"name": "db/macvlan-conf"}]"#)]),
    right: Example(&[
        MACVLAN_CONF,
        pod!(r#"[{"namespace": "db", "name": "macvlan-conf"}]"#),
    ]),
    check: Check::Pod(check),
};

fn check(subject: &PodSubject<'_>, report: &mut Report<'_>) {
    for attachment in subject.attachments() {
        let (Some((namespace, network)), Some(written)) =
            (split(attachment), &attachment.selection.name)
        else {
            continue;
        };
        report.add(
            attachment.field_ref("name", written.span),
            format!("{:?} is a namespace and a name in one", written.text),
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
