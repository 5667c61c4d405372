//! `unknown-network`: a network that does not exist.

use crate::{
    Attachment, Check, Example, Levels, PodSubject, Report, Rule, RuleDocs,
    examples::{MACVLAN_CONF, pod},
    subject::Resolution,
};
use nadmit_catalog::{Catalog, LiveRead};

pub(crate) const RULE: Rule = Rule {
    code: "unknown-network",
    levels: Levels::FAILS,
    summary: "The named network does not exist",
    docs: RuleDocs {
        checks: "A network entry names a NetworkAttachmentDefinition that does not exist. It is \
            looked up in the pod's own namespace, unless the entry has another one. For the \
            default network, Multus's namespace takes the place of the pod's. nadmit makes a \
            live lookup of the network before it denies.",
        consequence: "Multus fails, and the pod stays in ContainerCreating until somebody reads \
            its events.",
        fix: "Correct the name or the namespace, or create the NetworkAttachmentDefinition \
            first.",
        source: "The spec, section 4.1; multus-cni issue 337.",
    },
    wrong: Example(&[MACVLAN_CONF, pod!("macvlan-cnf")]),
    right: Example(&[MACVLAN_CONF, pod!("macvlan-conf")]),
    check: Check::Pod(check),
};

/// The number of networks of a namespace that a message names.
const NAMED: usize = 5;

fn check(subject: &PodSubject<'_>, report: &mut Report<'_>) {
    for attachment in subject.attachments() {
        if report.is_full() {
            return;
        }
        let (Resolution::Missing, Some(name)) = (attachment.resolution, &attachment.selection.name)
        else {
            continue;
        };
        let namespace = attachment.namespace();
        let live_read = LiveRead::Network {
            namespace: namespace.into(),
            name: (*name.text).into(),
        };
        report.add_after_live_read(
            live_read,
            attachment.field_ref(attachment.member("name"), name.span),
            format!(
                "network \"{}\" does not exist in namespace \"{namespace}\"",
                name.text
            ),
            help(subject, attachment, &name.text),
        );
    }
}

fn help(subject: &PodSubject<'_>, attachment: Attachment<'_, '_>, name: &str) -> String {
    let namespace = attachment.namespace();
    let catalog = subject.catalog;
    let similar = catalog.similar_network(namespace, name);
    let similar = similar.map(|similar| format!("did you mean \"{similar}\"?"));
    let elsewhere = elsewhere(subject, attachment, name);
    match (similar, elsewhere) {
        (Some(similar), Some(elsewhere)) => format!("{similar} or {elsewhere}"),
        (Some(only), None) | (None, Some(only)) => only,
        (None, None) => match existing(catalog, namespace) {
            Some(names) => format!(
                "create the NetworkAttachmentDefinition first, or use a network that exists: {names}"
            ),
            None => format!(
                "create the NetworkAttachmentDefinition first: namespace \"{namespace}\" has none"
            ),
        },
    }
}

/// Returns the remedy if a network of this name exists in another namespace.
fn elsewhere(
    subject: &PodSubject<'_>,
    attachment: Attachment<'_, '_>,
    name: &str,
) -> Option<String> {
    let mut namespaces = subject.catalog.namespaces_of(name);
    let first = namespaces.next()?;
    let mut all = std::iter::once(first).chain(namespaces);
    let usable = all.find(|namespace| subject.policy.may_use(subject.namespace, namespace));
    if let Some(namespace) = usable {
        let write = match attachment.request.annotation.format {
            nadmit_cni::AnnotationFormat::Short => format!("{namespace}/{name}"),
            nadmit_cni::AnnotationFormat::Json => {
                format!("\"namespace\": \"{namespace}\", \"name\": \"{name}\"")
            }
        };
        return Some(format!(
            "write {write}: namespace \"{namespace}\" has this network"
        ));
    }
    Some(format!(
        "create it in \"{}\": namespace \"{first}\" has it, but pods of \"{}\" may not use it",
        attachment.namespace(),
        subject.namespace,
    ))
}

/// Returns the names of the namespace's networks, or the first of them; `None` if there are none.
fn existing(catalog: &Catalog, namespace: &str) -> Option<String> {
    let (names, count) = catalog.first_network_names(namespace, NAMED);
    match count {
        0 => None,
        count if count > NAMED => {
            let more = count - NAMED;
            Some(format!("{} and {more} more", names.join(", ")))
        }
        _ => Some(names.join(", ")),
    }
}
