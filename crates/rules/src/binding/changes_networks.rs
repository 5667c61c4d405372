//! `binding-changes-networks`: a Binding whose annotations would change a pod's networks.

use super::BindingSubject;
use crate::{
    Check, Example, FieldRef, Levels, Report, Rule,
    examples::{MACVLAN_CONF, pod},
    subject::annotation_path,
};

pub(crate) const RULE: Rule = Rule {
    code: "binding-changes-networks",
    levels: Levels::AUTHORITY,
    summary: "A Binding brings networks or addresses that nadmit does not hold for the pod",
    explanation: "The annotations of a Binding are merged into the pod when it is bound to a node, \
        in place of what the pod says, and no rule sees the pod again. nadmit's own webhook writes \
        the pod's addresses there; whoever else binds pods may bring the same annotations with the \
        same content, or none. Seen on a living API server: annotations forged in a Binding land on \
        the pod.",
    wrong: Example(&[
        MACVLAN_CONF,
        pod!("macvlan-conf"),
        pod!(r#"[{"name": "macvlan-conf", "ips": ["198.51.100.5/24"]}]"#),
    ]),
    right: Example(&[MACVLAN_CONF, pod!("macvlan-conf")]),
    check: Check::Binding(check),
};

fn check(subject: &BindingSubject<'_>, report: &mut Report<'_>) {
    for annotation in subject
        .annotations
        .iter()
        .filter(|annotation| !annotation.matches_record())
    {
        let field_ref = FieldRef {
            field: annotation_path(annotation.key, ""),
            source: None,
        };
        let help = match annotation.recorded {
            None => "bind the pod without this annotation; what it asks for stands in the pod"
                .to_owned(),
            Some(held) => format!("bind the pod without this annotation, or with {held}"),
        };
        report.add(
            field_ref,
            "the Binding would change what the pod was given".to_owned(),
            help,
        );
    }
}
