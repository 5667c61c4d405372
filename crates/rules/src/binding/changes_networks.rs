//! `binding-changes-networks`: a Binding whose annotations would change a pod's networks.

use super::BindingSubject;
use crate::{
    Check, Example, FieldRef, Levels, Report, Rule, RuleDocs,
    examples::{MACVLAN_CONF, pod},
    subject::annotation_path,
};

pub(crate) const RULE: Rule = Rule {
    code: "binding-changes-networks",
    levels: Levels::AUTHORITY,
    summary: "A Binding has networks or addresses that nadmit did not record for the pod",
    docs: RuleDocs {
        checks: "An annotation of a Binding has networks or addresses that differ from what \
            nadmit recorded for the pod. nadmit's own webhook writes the pod's addresses there. \
            Another component that binds pods may send the same annotations with the same \
            content, or none.",
        consequence: "The API server merges the annotations of a Binding into the pod when it is \
            bound to a node. They replace the pod's own, and no rule checks the pod again.",
        fix: "Bind the pod without these annotations, or with exactly the recorded content.",
        source: "Executed with a real API server: annotations that are forged in a Binding reach \
            the pod.",
    },
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
            None => "remove this annotation from the Binding".to_owned(),
            Some(held) => format!("remove this annotation from the Binding, or write {held}"),
        };
        report.add(
            field_ref,
            "the Binding would change the networks or addresses that nadmit recorded for the pod"
                .to_owned(),
            help,
        );
    }
}
