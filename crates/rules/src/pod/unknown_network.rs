//! `unknown-network`: a network that does not exist.

use crate::{
    Attachment, Check, Example, Levels, PodSubject, Report, Rule,
    examples::{MACVLAN_CONF, pod},
    subject::Resolution,
};
use nadmit_catalog::{Catalog, LiveRead};

pub(crate) const RULE: Rule = Rule {
    code: "unknown-network",
    levels: Levels::FAILS,
    summary: "The named network does not exist",
    explanation: "Each selection names a NetworkAttachmentDefinition: of the pod's own namespace, \
        unless another one is written. Without it Multus fails and the pod stays in \
        ContainerCreating, until somebody reads its events. nadmit looks the network up afresh \
        before it denies. Source: the spec, section 4.1; multus-cni issue 337.",
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
        (Some(similar), Some(elsewhere)) => format!("{similar} {elsewhere}"),
        (Some(only), None) | (None, Some(only)) => only,
        (None, None) => format!(
            "create the NetworkAttachmentDefinition first, or name one that exists: {}",
            existing(catalog, namespace)
        ),
    }
}

/// Returns the remedy if a network of this name exists in another namespace.
fn elsewhere(
    subject: &PodSubject<'_>,
    attachment: Attachment<'_, '_>,
    name: &str,
) -> Option<String> {
    let namespaces: Vec<&str> = subject.catalog.namespaces_of(name).collect();
    let usable = namespaces
        .iter()
        .find(|namespace| subject.policy.may_use(subject.namespace, namespace));
    if let Some(namespace) = usable {
        let write = match attachment.request.annotation.format {
            nadmit_cni::AnnotationFormat::Short => format!("{namespace}/{name}"),
            nadmit_cni::AnnotationFormat::Json => {
                format!("\"namespace\": \"{namespace}\", \"name\": \"{name}\"")
            }
        };
        return Some(format!(
            "it exists in namespace \"{namespace}\"; write {write}"
        ));
    }
    let namespace = namespaces.first()?;
    Some(format!(
        "it exists in namespace \"{namespace}\", whose networks pods of \"{}\" may not use; create it \
         in \"{}\"",
        subject.namespace,
        attachment.namespace(),
    ))
}

fn existing(catalog: &Catalog, namespace: &str) -> String {
    let names = catalog.network_names(namespace);
    match names.len() {
        0 => format!("namespace \"{namespace}\" has none"),
        count if count > NAMED => {
            format!("{} and {} more", names[..NAMED].join(", "), count - NAMED)
        }
        _ => names.join(", "),
    }
}
