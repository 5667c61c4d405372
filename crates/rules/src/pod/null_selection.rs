//! `null-selection`: an element that is `null`, on which Multus crashes.

use crate::{
    Check, Example, Levels, PodSubject, Report, Rule, RuleDocs,
    examples::{STORAGE_NET, pod},
};
use nadmit_cni::selection::DecodeErrorKind;

pub(crate) const RULE: Rule = Rule {
    code: "null-selection",
    levels: Levels::FAILS,
    summary: "A network entry is null",
    docs: RuleDocs {
        checks: "An element of the annotation's list is null. It is often left over from a \
            template.",
        consequence: "Multus v4.3.0 crashes when the pod starts (nil pointer dereference).",
        fix: "Remove the null, or write an object with a \"name\".",
        source: "Executed with Multus v4.3.0.",
    },
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
            if report.is_full() {
                return;
            }
            if fault.kind == DecodeErrorKind::NullSelection {
                report.add(
                    request.field_ref_at(&fault.path, fault.span),
                    "the network entry is null, and Multus crashes on it",
                    "remove it, or write an object with a \"name\"",
                );
            }
        }
    }
}
