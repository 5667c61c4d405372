//! `malformed-annotation`: an annotation that Multus cannot decode.

use crate::{
    Check, Example, Levels, PodSubject, Report, Rule, RuleDocs,
    examples::{STORAGE_NET, pod},
    subject::{NetworkRequest, is_cni_args_fault},
};
use nadmit_cni::{
    annotations,
    json::ValueKind,
    selection::{DecodeError, DecodeErrorKind, MAX_ANNOTATIONS_BYTES},
};

pub(crate) const RULE: Rule = Rule {
    code: "malformed-annotation",
    levels: Levels::FAILS,
    summary: "Multus cannot read the annotation as a list of networks",
    docs: RuleDocs {
        checks: "The annotation has one of two formats, never both: names joined by commas \
            (net-a,net-b), or a JSON list of objects ([{\"name\": \"net-a\"}]). Multus reads any \
            text that contains [, { or \" as JSON. A text that it cannot decode is reported. So \
            is a default network annotation that does not name exactly one network, and an \
            annotation that is too long for Kubernetes.",
        consequence: "Multus attaches no network of the pod, and the pod stays in \
            ContainerCreating. Multus crashes on a default network annotation without a network.",
        fix: "Write names joined by commas, such as net-a,net-b, or a JSON list of objects, such \
            as [{\"name\": \"net-a\"}].",
        source: "The multi-network spec, section 4.1; Multus, parsePodNetworkAnnotation.",
    },
    wrong: Example(&[
        STORAGE_NET,
        pod!(r#"[{"name": "storage-net", "ips": "192.0.2.205/24"}]"#),
    ]),
    right: Example(&[
        STORAGE_NET,
        pod!(r#"[{"name": "storage-net", "ips": ["192.0.2.205/24"]}]"#),
    ]),
    check: Check::Pod(check),
};

const TWO_FORMATS: &str =
    "write a JSON list of objects ([{\"name\": \"my-network\"}]), or names joined by commas";

fn check(subject: &PodSubject<'_>, report: &mut Report<'_>) {
    for request in &subject.requests {
        for fault in &request.annotation.decode_errors {
            if report.is_full() {
                return;
            }
            // `null-selection` and `invalid-cni-args` report null elements and cni-args.
            if is_cni_args_fault(fault) {
                continue;
            }
            if let Some((message, help)) = describe(fault) {
                report.add(request.field_ref_at(&fault.path, fault.span), message, help);
            }
        }
        check_count(request, report);
    }
}

/// Reports a default network annotation without exactly one network: Multus rejects several, and crashes
/// on none.
fn check_count(request: &NetworkRequest<'_>, report: &mut Report<'_>) {
    let annotation = &request.annotation;
    let count = annotation.selections.len();
    let default_network = request.origin.key == annotations::DEFAULT_NETWORK;
    if !default_network || count == 1 || !annotation.decode_errors.is_empty() {
        return;
    }
    report.add(
        request.field_ref(),
        format!("the annotation names {count} networks for one interface"),
        "name exactly one network, or remove the annotation",
    );
}

fn describe(fault: &DecodeError) -> Option<(String, String)> {
    Some(match &fault.kind {
        DecodeErrorKind::NullSelection => return None,
        DecodeErrorKind::Syntax(reason) => (
            format!("the annotation is not JSON: {reason}"),
            TWO_FORMATS.to_owned(),
        ),
        DecodeErrorKind::Kind { expected, found } => (
            format!("expected {expected}, got {}", found.described()),
            help_for_kind(&fault.path, expected, *found),
        ),
        DecodeErrorKind::TooLong(bytes) => (
            format!(
                "the annotation has {bytes} bytes, and Kubernetes allows {MAX_ANNOTATIONS_BYTES} for all \
                 of an object"
            ),
            "request fewer networks".to_owned(),
        ),
        DecodeErrorKind::NotAnInteger => (
            "the value is not a whole number".to_owned(),
            "write digits only, such as 8080".to_owned(),
        ),
        DecodeErrorKind::TooManySlashes => (
            "the network entry has more than one \"/\"".to_owned(),
            "write namespace/name".to_owned(),
        ),
        DecodeErrorKind::TooManyAts => (
            "the network entry has more than one \"@\"".to_owned(),
            "write name@interface".to_owned(),
        ),
    })
}

fn help_for_kind(path: &str, expected: &str, found: ValueKind) -> String {
    match (expected, found) {
        ("a list of strings", ValueKind::String) => {
            "put the value in brackets: [\"...\"]".to_owned()
        }
        ("a list of objects", ValueKind::Object) => {
            "put the object in brackets: [{...}]".to_owned()
        }
        ("a whole number", ValueKind::String) => "write the number without quotes".to_owned(),
        ("a string", ValueKind::Number | ValueKind::Boolean) => {
            "put the value in quotes: \"...\"".to_owned()
        }
        _ if path.is_empty() => TWO_FORMATS.to_owned(),
        _ => format!("write {expected}"),
    }
}
