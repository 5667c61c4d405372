//! The identity of objects in manifests.

use std::collections::HashSet;

use crate::manifests::{Located, Manifest, PodName};

/// Kind, namespace and name.
pub(super) type ObjectIdentity<'o> = (&'o str, &'o str, &'o str);

/// Returns the identity under which the API server would store an object; `None` for an object
/// without a name or with a generated one.
pub(super) fn identity_of(manifest: &Manifest) -> Option<ObjectIdentity<'_>> {
    Some(match manifest {
        Manifest::Network(m) => ("network", &m.network.namespace, &m.network.name),
        Manifest::Namespace(m) => ("namespace", "", &m.name),
        Manifest::Pod(m) => match &m.name {
            PodName::Explicit(name) => ("pod", &m.namespace, name),
            PodName::Generated(_) => return None,
        },
        // A name that ends so is only a prefix (`metadata.generateName`).
        Manifest::Workload(m) if m.name.ends_with(['-', '.']) => return None,
        Manifest::Workload(m) => (m.kind, &m.namespace, &m.name),
        Manifest::VirtualMachine(m) => ("virtualmachine", &m.namespace, &m.name),
        Manifest::Pool(m) => ("addresspool", "", &m.name),
        Manifest::Reservation(m) => ("addressreservation", &m.namespace, &m.name),
        Manifest::SlicePool(m) => ("nodeslicepool", &m.namespace, &m.name),
        Manifest::ConfigMap(m) => ("configmap", &m.namespace, &m.name),
        Manifest::GeneratedNetwork(m) => (m.kind, &m.namespace, &m.name),
        // Only the object named "cluster" is used.
        Manifest::Operator(_) => ("network.operator.openshift.io", "", "cluster"),
        Manifest::Configuration(_) => return None,
    })
}

/// Returns an object's namespace; empty for cluster-scoped objects.
pub(super) fn namespace(manifest: &Manifest) -> &str {
    match manifest {
        Manifest::Pod(pod) => &pod.namespace,
        Manifest::Workload(workload) => &workload.namespace,
        other => identity_of(other).map_or("", |(_, namespace, _)| namespace),
    }
}

/// Removes objects from a cluster that manifests override: an object in both is used as it is in
/// the manifest.
pub(super) fn without_overridden(
    mut cluster: Vec<Vec<Located<Manifest>>>,
    manifests: &[Vec<Located<Manifest>>],
) -> Vec<Vec<Located<Manifest>>> {
    let manifests = || manifests.iter().flatten().map(|object| &object.value);
    let known: HashSet<ObjectIdentity<'_>> = manifests().filter_map(identity_of).collect();
    // The operator's networks follow from its list: where the list itself is overridden, the
    // networks that it made before are removed.
    let mut made: HashSet<(Box<str>, Box<str>)> = HashSet::new();
    if manifests().any(|manifest| matches!(manifest, Manifest::Operator(_))) {
        made.extend(manifests().flat_map(networks_made));
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

/// Returns the networks that OpenShift's network operator creates.
fn networks_made(manifest: &Manifest) -> Vec<(Box<str>, Box<str>)> {
    let Manifest::Operator(operator) = manifest else {
        return Vec::new();
    };
    let entries = operator.entries.iter();
    entries
        .map(|entry| (entry.namespace.clone(), entry.name.clone()))
        .collect()
}
