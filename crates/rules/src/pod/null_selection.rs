//! `null-selection`: an element that is `null`, on which Multus crashes.

use crate::{
    Check, Example, Levels, PodSubject, Report, Rule,
    examples::{STORAGE_NET, pod},
};
use nadmit_cni::selection::DecodeErrorKind;

pub(crate) const RULE: Rule = Rule {
    code: "null-selection",
    levels: Levels::FAILS,
    summary: "An element of the annotation is null",
    explanation: "A null in the list, often left over by a template, makes Multus v4.3.0 crash \
        (nil pointer dereference) when the pod starts. Source: executed with Multus v4.3.0.",
    wrong: Example(&[
        STORAGE_NET,
        pod!(r#"[null, {"name": "storage-net", "ips": ["192.0.2.205/24"]}]"#),
    ]),
    right: Example(&[
        STORAGE_NET,
        pod!(r#"[{"name": "storage-net", "ips": ["192.0.2.205/24"]}]"#),
    ]),
    check: Check::Pod(check),
};

fn check(subject: &PodSubject<'_>, report: &mut Report<'_>) {
    for request in &subject.requests {
        for fault in &request.annotation.decode_errors {
            if fault.kind == DecodeErrorKind::NullSelection {
                report.add(
                    request.field_ref_at(&fault.path, fault.span),
                    "the element is null, on which Multus crashes",
                    "remove it, or write an object with a \"name\"",
                );
            }
        }
    }
}
