//! `attachments-changed`: a change of a running pod's networks, which has no effect.

use crate::{
    Check, Example, FieldRef, Levels, Report, Rule, RuleDocs, UpdateSubject,
    examples::{MACVLAN_CONF, pod},
    subject::{AnnotationChange, annotation_path},
};
use nadmit_cni::{
    Annotation, Selection,
    selection::normalized::{InterfaceChange, NormalizedAnnotation},
};

pub(crate) const RULE: Rule = Rule {
    code: "attachments-changed",
    levels: Levels::MISLEADS,
    summary: "An update changes the networks of an existing pod",
    docs: RuleDocs {
        checks: "An update changes what an existing pod requests in its annotations for \
            networks. The rule compares the requests, not the text, so that re-applying the same \
            manifest is not a change. The annotation network-status may change at any time. \
            nadmit's own ServiceAccount and, for launcher pods, KubeVirt's controller may change \
            networks (ownUsers, kubevirtUsers).",
        consequence: "Multus attaches networks when it sets up the pod's sandbox. A later edit \
            changes nothing in the running pod. The API then shows networks that the pod does \
            not have.",
        fix: "Delete the pod, and create it again with the new annotation. Where a controller \
            attaches networks to running pods (multus-dynamic-networks-controller), an \
            administrator sets immutableAttachments: false, or labels the namespace \
            nadmit.io/attachments: mutable.",
        source: "multus-dynamic-networks-controller issue 66.",
    },
    wrong: Example(&[
        MACVLAN_CONF,
        pod!("macvlan-conf"),
        pod!("macvlan-conf,macvlan-conf"),
    ]),
    right: Example(&[
        MACVLAN_CONF,
        pod!("macvlan-conf"),
        pod!(r#"[{"name": "macvlan-conf"}]"#),
    ]),
    check: Check::Update(check),
};

const HELP: &str = "delete the pod and create it again with the new annotation: an edit attaches and \
                    detaches nothing";

fn check(subject: &UpdateSubject<'_>, report: &mut Report<'_>) {
    if !subject.policy.immutable_attachments || subject.may_change {
        return;
    }
    for change in &subject.changes {
        if let Some(what) = describe(change) {
            let field_ref = FieldRef {
                field: annotation_path(change.origin.key, ""),
                source: None,
            };
            report.add(
                field_ref,
                format!("the networks of an existing pod cannot change: {what}"),
                HELP,
            );
        }
    }
}

/// Describes the changes in meaning; `None` if there are none.
fn describe(change: &AnnotationChange<'_>) -> Option<String> {
    let [before, after] = [change.before, change.after].map(Option::unwrap_or_default);
    if before == after {
        return None;
    }
    let [before, after] = [before, after].map(parse);
    let faulty = [&before, &after]
        .iter()
        .any(|side| !side.decode_errors.is_empty());
    if faulty {
        return Some("the annotation differs".to_owned());
    }
    let interface = |s: &Selection<'_>| change.origin.interface(s).into_owned();
    let meaning = |side: &Annotation<'_>| {
        NormalizedAnnotation::of(side, change.origin.default_namespace, interface)
    };
    let differences = meaning(&before).differences(&meaning(&after));
    let descriptions: Vec<String> = differences.iter().map(describe_difference).collect();
    (!descriptions.is_empty()).then(|| descriptions.join(", "))
}

/// Parses an annotation. A missing one and an empty one are equivalent.
fn parse(text: &str) -> Annotation<'_> {
    Annotation::parse(if text.is_empty() { "[]" } else { text })
}

fn describe_difference(difference: &InterfaceChange) -> String {
    match difference {
        InterfaceChange::Added { interface, network } => {
            format!("{interface} ({network}) is added")
        }
        InterfaceChange::Removed { interface, network } => {
            format!("{interface} ({network}) is removed")
        }
        InterfaceChange::Changed { interface, keys } => {
            let verb = if keys.len() == 1 { "is" } else { "are" };
            format!("{} of {interface} {verb} changed", keys.join(" and "))
        }
    }
}
