//! `invalid-namespace`: a namespace name that is not valid in Kubernetes.

use crate::{
    Check, Example, Levels, PodSubject, Report, Rule, RuleDocs,
    examples::{MACVLAN_CONF, pod},
};
use nadmit_cni::name;

pub(crate) const RULE: Rule = Rule {
    code: "invalid-namespace",
    levels: Levels::FAILS,
    summary: "A network entry names a namespace that cannot exist",
    docs: RuleDocs {
        checks: "The name of a namespace is a DNS-1123 label: at most 63 lower-case letters, \
            digits and \"-\". Any other namespace in a network entry is reported.",
        consequence: "The network cannot be found, and the pod stays in ContainerCreating.",
        fix: "Write the name as kubectl get namespaces prints it. Leave the namespace out for a \
            network of the pod's own namespace.",
        source: "The spec, section 4.1.1; RFC 1123.",
    },
    wrong: Example(&[MACVLAN_CONF, pod!("DB/macvlan-conf")]),
    right: Example(&[MACVLAN_CONF, pod!("db/macvlan-conf")]),
    check: Check::Pod(check),
};

fn check(subject: &PodSubject<'_>, report: &mut Report<'_>) {
    for attachment in subject.attachments() {
        if report.is_full() {
            return;
        }
        let Some(written) = &attachment.selection.namespace else {
            continue;
        };
        let Err(error) = written.value else { continue };
        let lower = written.text.to_ascii_lowercase();
        let help = if lower != *written.text && name::label(&lower).is_ok() {
            format!("write \"{lower}\"")
        } else {
            "write the name as kubectl get namespaces prints it, or leave it out for the pod's own \
             namespace"
                .to_owned()
        };
        report.add(
            attachment.field_ref(attachment.member("namespace"), written.span),
            format!("{:?} is not a valid namespace: it {error}", written.text),
            help,
        );
    }
}
