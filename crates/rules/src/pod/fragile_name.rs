//! `fragile-name`: a name or notation that works in Multus, but not everywhere.

use crate::{
    Attachment, Check, Example, Levels, PodSubject, Report, Rule, RuleDocs,
    examples::{DOTTED_NET, pod},
};
use nadmit_cni::{AnnotationFormat, name, selection::SelectionName};

pub(crate) const RULE: Rule = Rule {
    code: "fragile-name",
    levels: Levels::ADVICE,
    summary: "A name or notation works with Multus, but not everywhere",
    docs: RuleDocs {
        checks: "The name of the network has a dot, which only the JSON format can express, or more \
            than the recommended 63 characters. An empty namespace (/net) or interface (net@) in the \
            short format is also reported.",
        consequence: "Multus reads an empty namespace or interface as absent; other implementations \
            refuse it. The short format cannot name a network with a dot in its name.",
        fix: "Remove the \"/\" or \"@\" without a name. An administrator gives the network a name \
            without dots and with at most 63 characters.",
        source: "The spec, sections 3.3 and 4.1.1; run with Multus v4.3.0.",
    },
    wrong: Example(&[DOTTED_NET, pod!(r#"[{"name": "storage.v2"}]"#)]),
    right: Example(&[DOTTED_NET, pod!(r#"[{"name": "storage-v2"}]"#)]),
    check: Check::Pod(check),
};

fn check(subject: &PodSubject<'_>, report: &mut Report<'_>) {
    for attachment in subject.attachments() {
        if report.is_full() {
            return;
        }
        let name = attachment
            .selection
            .name
            .as_ref()
            .filter(|name| name.value.is_ok());
        if let Some(name) = name {
            check_name(attachment, name, report);
        }
        if attachment.request.annotation.format == AnnotationFormat::Short {
            check_separators(attachment, report);
        }
    }
}

fn check_name(attachment: Attachment<'_, '_>, name: &SelectionName<'_>, report: &mut Report<'_>) {
    let field_ref = || attachment.field_ref(attachment.member("name"), name.span);
    if name.text.len() > name::LABEL_MAX {
        report.add(
            field_ref(),
            format!(
                "the network's name has {} characters, more than the spec recommends",
                name.text.len()
            ),
            format!(
                "give the network a name of at most {} characters",
                name::LABEL_MAX
            ),
        );
    } else if name.text.contains('.') {
        report.add(
            field_ref(),
            format!(
                "the network's name \"{}\" has a dot, which the short format does not support",
                name.text
            ),
            "give the network a name without dots",
        );
    }
}

fn check_separators(attachment: Attachment<'_, '_>, report: &mut Report<'_>) {
    let span = attachment.selection.span;
    let text = attachment.request.annotation.text;
    let Some(element) = text.get(span.start as usize..span.end as usize) else {
        return;
    };
    let empty = [
        (
            "namespace before \"/\"",
            '/',
            attachment.selection.namespace.is_none(),
        ),
        (
            "interface after \"@\"",
            '@',
            attachment.selection.interface.is_none(),
        ),
    ];
    for (what, separator, absent) in empty {
        if absent && element.contains(separator) {
            report.add(
                attachment.field_ref("", span),
                format!("{element:?} has no {what}, which Multus accepts and others refuse"),
                format!("remove the \"{separator}\""),
            );
        }
    }
}
