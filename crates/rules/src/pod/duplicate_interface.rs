//! `duplicate-interface`: two attachments with the same interface name.

use std::{borrow::Cow, collections::BTreeMap};

use crate::{
    Attachment, Check, Example, Levels, PodSubject, Report, Rule, RuleDocs,
    examples::{MACVLAN_CONF, pod},
};

pub(crate) const RULE: Rule = Rule {
    code: "duplicate-interface",
    levels: Levels::FAILS,
    summary: "Two network entries have the same interface name",
    docs: RuleDocs {
        checks: "Two network entries of a pod have the same interface name. Multus names interfaces \
            net1, net2, … by their position in the list. It does not skip a name that another entry \
            has: \"net2\" on the first entry collides with the automatic name of the second.",
        consequence: "The second attachment fails, and the pod hangs in ContainerCreating.",
        fix: "Give one of the two entries another interface name, or remove its name.",
        source: "The spec, section 4.1.2.1.5; run with Multus v4.3.0.",
    },
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
    for attachment in subject.with_comparable_interfaces() {
        if report.is_full() {
            return;
        }
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
        ", the automatic name of this entry"
    } else {
        ""
    };
    report.add(
        field_ref,
        format!(
            "network entry [{}] ({}) already has the interface name \"{name}\"{automatic}",
            first.selection.index,
            first.selection.network_name().unwrap_or("without a name"),
        ),
        "give one of the two entries another interface name, or remove its name",
    );
}
