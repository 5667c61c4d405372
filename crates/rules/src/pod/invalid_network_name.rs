//! `invalid-network-name`: a missing network name, or one that is not valid in Kubernetes.

use crate::{
    Attachment, Check, Example, Levels, PodSubject, Report, Rule, RuleDocs,
    examples::{MACVLAN_CONF, pod},
};
use nadmit_cni::{AnnotationFormat, NameError, name, selection::SelectionName};

pub(crate) const RULE: Rule = Rule {
    code: "invalid-network-name",
    levels: Levels::FAILS,
    summary: "A network entry has no network name, or a name that cannot exist",
    docs: RuleDocs {
        checks: "A network is an object, whose name consists of lower-case letters, digits, \
            \"-\" and \".\". The short format does not accept \".\". A network entry without a \
            name is reported, too; a trailing comma creates one. A name in the form \
            namespace/name is reported by qualified-name.",
        consequence: "The network cannot be found, and the pod stays in ContainerCreating.",
        fix: "Write the name in lower case, as kubectl get net-attach-def prints it, and remove \
            empty entries. Write a name with \".\" in the JSON format: [{\"name\": \"vlan.7\"}].",
        source: "The spec, section 4.1.1; RFC 1123; Multus, parsePodNetworkObjectName.",
    },
    wrong: Example(&[MACVLAN_CONF, pod!("Macvlan-Conf")]),
    right: Example(&[MACVLAN_CONF, pod!("macvlan-conf")]),
    check: Check::Pod(check),
};

fn check(subject: &PodSubject<'_>, report: &mut Report<'_>) {
    for attachment in subject.attachments() {
        if report.is_full() {
            return;
        }
        match &attachment.selection.name {
            None => missing(attachment, report),
            // `qualified-name` reports names with a namespace.
            Some(name) if super::qualified_name::split(attachment).is_none() => {
                if let Err(error) = name.value {
                    invalid(attachment, name, error, report);
                }
            }
            Some(_) => {}
        }
    }
}

fn missing(attachment: Attachment<'_, '_>, report: &mut Report<'_>) {
    if attachment
        .request
        .has_fault_at(&format!("[{}].name", attachment.selection.index))
    {
        return;
    }
    let help = match attachment.request.annotation.format {
        AnnotationFormat::Short => "remove the comma without a name beside it, or write a name",
        AnnotationFormat::Json => "add \"name\": \"my-network\"",
    };
    let field_ref = attachment.field_ref("", attachment.selection.span);
    report.add(field_ref, "the network entry has no network name", help);
}

fn invalid(
    attachment: Attachment<'_, '_>,
    written: &SelectionName<'_>,
    error: NameError,
    report: &mut Report<'_>,
) {
    let lower = written.text.to_ascii_lowercase();
    let help = match (attachment.request.annotation.format, error) {
        (AnnotationFormat::Short, NameError::Character('.')) if name::subdomain(&lower).is_ok() => {
            format!("write [{{\"name\": \"{lower}\"}}]: the short format does not accept dots")
        }
        _ if lower != *written.text && name::subdomain(&lower).is_ok() => {
            format!("write \"{lower}\"")
        }
        (_, NameError::Character(_)) => "use lower-case letters, digits and \"-\"".to_owned(),
        _ => "write the name of an existing network".to_owned(),
    };
    let member = attachment.member("name");
    report.add(
        attachment.field_ref(member, written.span),
        format!("{:?} is not a valid network name: it {error}", written.text),
        help,
    );
}
