//! Objects that stand twice in what was read.

use std::collections::HashMap;

use crate::{
    manifests::{Located, Manifest, PodName},
    network::Position,
    rules::Level,
};

use super::{DUPLICATE_OBJECT, File, Remark, place::span_at};

/// Kind, namespace and name.
type Identity<'o> = (&'o str, &'o str, &'o str);

/// A warning at each object that was defined before, which names that place.
pub(super) fn find(files: &[File], read: &[Vec<Located<Manifest>>]) -> Vec<Remark> {
    let mut first: HashMap<Identity<'_>, (&str, Position)> = HashMap::new();
    let mut remarks = Vec::new();
    for (index, (file, objects)) in files.iter().zip(read).enumerate() {
        let text = file.text.as_deref().unwrap_or_default();
        for object in objects {
            let Some(identity) = identity(&object.value) else {
                continue;
            };
            let position = object.place.position;
            let (name, before) = *first.entry(identity).or_insert((&file.name, position));
            if (name, before) == (&*file.name, position) {
                continue;
            }
            let (kind, namespace, own) = identity;
            let slash = if namespace.is_empty() { "" } else { "/" };
            remarks.push(Remark {
                file: index,
                code: DUPLICATE_OBJECT,
                level: Level::Warn,
                object: format!("{kind} {namespace}{slash}{own}"),
                field: "metadata.name".to_owned(),
                span: span_at(position, text),
                message: format!(
                    "{kind} {namespace}{slash}{own} is defined in {name}:{}:{}, too",
                    before.line, before.column
                ),
                help: "keep one of the two, or check what belongs to one cluster at a time"
                    .to_owned(),
            });
        }
    }
    remarks
}

/// What the API server would know the object by; `None` for what has no name yet.
fn identity(manifest: &Manifest) -> Option<Identity<'_>> {
    Some(match manifest {
        Manifest::Network(m) => ("network", &m.network.namespace, &m.network.name),
        Manifest::Namespace(m) => ("namespace", "", &m.name),
        Manifest::Pod(m) => match &m.name {
            PodName::Given(name) => ("pod", &m.namespace, name),
            PodName::Generated(_) => return None,
        },
        // What ends so is only the beginning of a name (`metadata.generateName`).
        Manifest::Workload(m) if m.name.ends_with(['-', '.']) => return None,
        Manifest::Workload(m) => (m.kind, &m.namespace, &m.name),
        Manifest::VirtualMachine(m) => ("virtualmachine", &m.namespace, &m.name),
        Manifest::Pool(m) => ("addresspool", "", &m.name),
        Manifest::Reservation(m) => ("addressreservation", &m.namespace, &m.name),
        Manifest::SlicePool(m) => ("nodeslicepool", &m.namespace, &m.name),
        Manifest::ConfigMap(m) => ("configmap", &m.namespace, &m.name),
        // There is but one that counts, "cluster".
        Manifest::Operator(_) => ("network.operator.openshift.io", "", "cluster"),
        Manifest::Configuration(_) => return None,
    })
}
