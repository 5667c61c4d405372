//! `duplicate-interface`: two attachments with the same interface name.

use std::{borrow::Cow, collections::BTreeMap};

use crate::{
    Attachment, Check, Example, Levels, PodSubject, Report, Rule,
    examples::{MACVLAN_CONF, pod},
};

pub(crate) const RULE: Rule = Rule {
    code: "duplicate-interface",
    levels: Levels::FAILS,
    summary: "Two attachments have the same interface name",
    explanation: "Each attachment needs an interface of its own. Multus names them net1, net2, … \
        by the place in the list and does not step aside for a name that was given to another \
        element: \"net2\" on the first element collides with the automatic name of the second. The \
        second attachment fails and the pod stays in ContainerCreating. Source: the spec, section \
        4.1.2.1.5; executed with Multus v4.3.0.",
    wrong: Example(&[MACVLAN_CONF, pod!("macvlan-conf@net2,macvlan-conf")]),
    right: Example(&[MACVLAN_CONF, pod!("macvlan-conf@net3,macvlan-conf")]),
    check: Check::Pod(check),
};

fn check(subject: &PodSubject<'_>, report: &mut Report<'_>) {
    // A fast path: nearly every pod has one attachment.
    if subject.attachments().nth(1).is_none() {
        return;
    }
    let mut taken: BTreeMap<Cow<'_, str>, Attachment<'_, '_>> = BTreeMap::new();
    for attachment in subject.attachments() {
        let name = attachment.interface();
        match taken.get(&name) {
            Some(first) => report_duplicate(*first, attachment, &name, report),
            None => {
                taken.insert(name, attachment);
            }
        }
    }
}

fn report_duplicate(
    first: Attachment<'_, '_>,
    second: Attachment<'_, '_>,
    name: &str,
    report: &mut Report<'_>,
) {
    let written = second.selection.interface.as_ref();
    let field_ref = match written {
        Some(text) => second.field_ref(second.member("interface"), text.span),
        None => second.field_ref("", second.selection.span),
    };
    let automatic = if written.is_none() {
        ", its automatic name,"
    } else {
        ""
    };
    report.add(
        field_ref,
        format!(
            "the interface \"{name}\"{automatic} is already that of element [{}] ({})",
            first.selection.index,
            first.selection.network_name().unwrap_or("without a name"),
        ),
        "give one of the two another interface name, or none",
    );
}
