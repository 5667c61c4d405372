//! By what objects are told apart.

use std::collections::HashSet;

use crate::manifests::{Located, Manifest, PodName};

/// Kind, namespace and name.
pub(super) type ObjectIdentity<'o> = (&'o str, &'o str, &'o str);

/// What the API server would know the object by; `None` for what has no name yet.
pub(super) fn identity_of(manifest: &Manifest) -> Option<ObjectIdentity<'_>> {
    Some(match manifest {
        Manifest::Network(m) => ("network", &m.network.namespace, &m.network.name),
        Manifest::Namespace(m) => ("namespace", "", &m.name),
        Manifest::Pod(m) => match &m.name {
            PodName::Explicit(name) => ("pod", &m.namespace, name),
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
        Manifest::GeneratedNetwork(m) => (m.kind, &m.namespace, &m.name),
        // There is but one that counts, "cluster".
        Manifest::Operator(_) => ("network.operator.openshift.io", "", "cluster"),
        Manifest::Configuration(_) => return None,
    })
}

/// The namespace that an object lives in; empty of what lives in none.
pub(super) fn namespace(manifest: &Manifest) -> &str {
    match manifest {
        Manifest::Pod(pod) => &pod.namespace,
        Manifest::Workload(workload) => &workload.namespace,
        other => identity_of(other).map_or("", |(_, namespace, _)| namespace),
    }
}

/// What remains of a cluster beside manifests: an object that stands in both is as it is written
/// there.
pub(super) fn without_overridden(
    mut cluster: Vec<Vec<Located<Manifest>>>,
    written: &[Vec<Located<Manifest>>],
) -> Vec<Vec<Located<Manifest>>> {
    let written = || written.iter().flatten().map(|object| &object.value);
    let known: HashSet<ObjectIdentity<'_>> = written().filter_map(identity).collect();
    // What the operator makes follows its list: networks of it that are already there do not count
    // where the list itself is written anew.
    let mut made: HashSet<(Box<str>, Box<str>)> = HashSet::new();
    if written().any(|manifest| matches!(manifest, Manifest::Operator(_))) {
        made.extend(written().flat_map(networks_made));
        let before = cluster.iter().flatten();
        made.extend(before.flat_map(|object| networks_made(&object.value)));
    }
    let counts = |manifest: &Manifest| {
        let own = identity_of(manifest);
        let is_made = matches!(manifest, Manifest::Network(m)
            if made.contains(&(m.network.namespace.clone(), m.network.name.clone())));
        !is_made && own.is_none_or(|own| !known.contains(&own))
    };
    for objects in &mut cluster {
        objects.retain(|object| counts(&object.value));
    }
    cluster
}

/// The networks that OpenShift's operator makes.
fn networks_made(manifest: &Manifest) -> Vec<(Box<str>, Box<str>)> {
    let Manifest::Operator(operator) = manifest else {
        return Vec::new();
    };
    let entries = operator.entries.iter();
    entries
        .map(|entry| (entry.namespace.clone(), entry.name.clone()))
        .collect()
}
