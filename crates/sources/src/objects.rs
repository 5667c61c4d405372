//! The objects of a file from which the catalog is built.

use std::sync::Arc;

use nadmit_allocation::{Pool, Reservation, SpecError};
use nadmit_catalog::{
    AllLabels, MigrationRef, NamespaceLabels, Pod, RequestedAnnotations, all_labels,
};
use nadmit_cni::{
    Network, Position, annotations, ipam::SLICE_CONTROLLER, operator::AdditionalNetwork,
};
use nadmit_manifests::{
    FieldLocations, GeneratedNetworkManifest, Located, Manifest, NamespaceManifest, PodManifest,
    PodName, PoolManifest, ReservationManifest, WorkloadManifest,
};

use super::SourceError;

/// The objects of a file, each with the line on which it begins.
#[derive(Debug, Default)]
pub(super) struct FileObjects {
    pub networks: Vec<(Arc<Network>, usize)>,
    pub namespaces: Vec<(FileNamespace, usize)>,
    pub pods: Vec<(Arc<Pod>, usize)>,
    /// Objects from which networks with unknown configurations are generated.
    pub generated: Vec<(GeneratedNetworkManifest, usize)>,
    /// The additional networks of each operator's `Network`.
    pub operators: Vec<(Vec<Arc<Network>>, usize)>,
    pub pools: Vec<(AddressPool, usize)>,
    pub reservations: Vec<(AddressReservation, usize)>,
    /// Whereabouts's controllers, which create node slices: their namespaces, and whether they run.
    pub controllers: Vec<((Box<str>, bool), usize)>,
    /// The namespaces and names of the `NodeSlicePool`s that they created.
    pub slice_pools: Vec<(NamespaceAndName, usize)>,
}

/// A pool, or its errors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct AddressPool {
    pub name: Box<str>,
    pub pool: Result<Arc<Pool>, Arc<[SpecError]>>,
}

/// A reservation; `None` if it is invalid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct AddressReservation {
    pub namespace: Box<str>,
    pub name: Box<str>,
    pub reservation: Option<Arc<Reservation>>,
}
type NamespaceAndName = (Box<str>, Box<str>);

/// A namespace and its labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FileNamespace {
    pub name: Box<str>,
    pub labels: NamespaceLabels,
    pub all_labels: Arc<AllLabels>,
}

impl FileObjects {
    /// Collects the objects of manifests; adds errors that concern only the catalog to `errors`.
    pub(super) fn of(
        manifests: Vec<Located<Manifest>>,
        file: &str,
        errors: &mut Vec<SourceError>,
    ) -> Self {
        let mut objects = Self::default();
        for Located { value, location } in manifests {
            let line = location.position.line;
            match value {
                Manifest::Network(manifest) => {
                    objects.networks.push((Arc::new(manifest.network), line));
                }
                Manifest::Namespace(manifest) => {
                    objects
                        .namespaces
                        .push((namespace(manifest, file, errors), line));
                }
                Manifest::GeneratedNetwork(manifest) => objects.generated.push((manifest, line)),
                Manifest::Operator(manifest) => {
                    let networks = manifest
                        .entries
                        .iter()
                        .filter_map(AdditionalNetwork::network);
                    objects
                        .operators
                        .push((networks.map(Arc::new).collect(), line));
                }
                Manifest::Pod(manifest) => {
                    let pod = pod(manifest).map(|pod| (Arc::new(pod), line));
                    objects.pods.extend(pod);
                }
                Manifest::Pool(manifest) => {
                    let pool = pool(*manifest, location.position, file, errors);
                    objects.pools.push((pool, line));
                }
                Manifest::Reservation(manifest) => {
                    let reservation = reservation(*manifest, location.position, file, errors);
                    objects.reservations.push((reservation, line));
                }
                Manifest::SlicePool(pool) => {
                    objects
                        .slice_pools
                        .push(((pool.namespace, pool.name), line));
                }
                Manifest::Workload(workload) => {
                    let controller = controller(workload).map(|found| (found, line));
                    objects.controllers.extend(controller);
                }
                // The catalog does not contain these.
                Manifest::VirtualMachine(_)
                | Manifest::ConfigMap(_)
                | Manifest::Configuration(_) => {}
            }
        }
        objects
    }

    /// Returns the number of objects.
    pub(super) fn len(&self) -> usize {
        let lengths = [
            self.networks.len(),
            self.namespaces.len(),
            self.pods.len(),
            self.generated.len(),
            self.operators.len(),
            self.controllers.len(),
            self.slice_pools.len(),
            self.pools.len(),
            self.reservations.len(),
        ];
        lengths.iter().sum()
    }

    /// Returns true if the objects result in the same catalog as those of `other`; lines are
    /// ignored.
    pub(super) fn is_equivalent_to(&self, other: &Self) -> bool {
        same(&self.networks, &other.networks)
            && same(&self.namespaces, &other.namespaces)
            && same(&self.pods, &other.pods)
            && same(&self.generated, &other.generated)
            && same(&self.operators, &other.operators)
            && same(&self.pools, &other.pools)
            && same(&self.reservations, &other.reservations)
            && same(&self.controllers, &other.controllers)
            && same(&self.slice_pools, &other.slice_pools)
    }
}

fn same<T: PartialEq>(left: &[(T, usize)], right: &[(T, usize)]) -> bool {
    left.len() == right.len() && left.iter().zip(right).all(|(l, r)| l.0 == r.0)
}

fn namespace(
    manifest: NamespaceManifest,
    file: &str,
    errors: &mut Vec<SourceError>,
) -> FileNamespace {
    let name = manifest.name;
    let mut unknown = |label, expected, written: &Located<Box<str>>| {
        errors.push(SourceError::Label {
            label,
            expected,
            file: file.to_owned(),
            position: written.location.position,
            namespace: name.to_string(),
            text: written.value.to_string(),
        });
    };
    let mut labels = NamespaceLabels {
        terminating: manifest.terminating,
        ..NamespaceLabels::default()
    };
    if let Some(written) = &manifest.mode {
        labels.mode = written.value.parse().ok();
        if labels.mode.is_none() {
            unknown(annotations::MODE_LABEL, "deny, warn or off", written);
        }
    }
    if let Some(written) = &manifest.attachments {
        match &*written.value {
            "mutable" => labels.mutable_attachments = true,
            "immutable" => {}
            _ => unknown(
                annotations::ATTACHMENTS_LABEL,
                "mutable or immutable",
                written,
            ),
        }
    }
    if let Some(written) = &manifest.injection {
        match &*written.value {
            "enabled" => labels.injection = true,
            "disabled" => {}
            _ => unknown(annotations::INJECTION_LABEL, "enabled or disabled", written),
        }
    }
    let all_labels = all_labels(&name, manifest.labels);
    FileNamespace {
        name,
        labels,
        all_labels,
    }
}

fn pool(
    manifest: PoolManifest,
    whole: Position,
    file: &str,
    errors: &mut Vec<SourceError>,
) -> AddressPool {
    let PoolManifest {
        name,
        parsed,
        locations,
    } = manifest;
    let pool = parsed.pool(&name);
    if let Err(faults) = &pool {
        let object = format!("pool {name}");
        errors.extend(
            faults
                .iter()
                .map(|f| fault(&object, f, &locations, whole, file)),
        );
    }
    let pool = pool.map(Arc::new).map_err(Arc::from);
    AddressPool { name, pool }
}

fn reservation(
    manifest: ReservationManifest,
    whole: Position,
    file: &str,
    errors: &mut Vec<SourceError>,
) -> AddressReservation {
    let ReservationManifest {
        namespace,
        name,
        parsed,
        locations,
    } = manifest;
    let parsed_reservation = parsed.reservation(&namespace, &name);
    if let Err(faults) = &parsed_reservation {
        let object = format!("reservation {namespace}/{name}");
        errors.extend(
            faults
                .iter()
                .map(|f| fault(&object, f, &locations, whole, file)),
        );
    }
    AddressReservation {
        namespace,
        name,
        reservation: parsed_reservation.ok().map(Arc::new),
    }
}

fn fault(
    object: &str,
    fault: &SpecError,
    locations: &FieldLocations,
    whole: Position,
    file: &str,
) -> SourceError {
    let location = locations.nearest(&format!("spec.{}", fault.path));
    SourceError::Pool {
        object: object.to_owned(),
        file: file.to_owned(),
        position: location.map_or(whole, |location| location.position),
        fault: fault.clone(),
    }
}

/// Returns the namespace of Whereabouts's controller, and whether it has a replica; one is the
/// default.
fn controller(workload: WorkloadManifest) -> Option<(Box<str>, bool)> {
    let is_one = workload.kind == "Deployment" && &*workload.name == SLICE_CONTROLLER;
    let runs = workload.scale.replicas.is_none_or(|replicas| replicas > 0);
    is_one.then_some((workload.namespace, runs))
}

/// Converts a pod. A pod without a name does not exist yet, and one that has finished uses no
/// addresses.
pub(super) fn pod(manifest: PodManifest) -> Option<Pod> {
    if manifest.finished {
        return None;
    }
    let text = |key| manifest.annotation(key).map(|text| text.value.clone());
    let networks = text(annotations::NETWORKS);
    let default_network = text(annotations::DEFAULT_NETWORK);
    let network_status = text(annotations::NETWORK_STATUS);
    let requested = RequestedAnnotations {
        networks: text(annotations::REQUESTED_NETWORKS),
        default_network: text(annotations::REQUESTED_DEFAULT_NETWORK),
    };
    let mirror = text(annotations::MIRROR_POD).is_some();
    let migration = MigrationRef::new(
        text(annotations::MIGRATION_NAME).as_deref(),
        manifest.identity.migration_uid.as_deref(),
    );
    let holder = manifest
        .identity_with_token(manifest.token())
        .requester()?
        .holder;
    let PodName::Explicit(name) = manifest.name else {
        return None;
    };
    Some(Pod {
        namespace: manifest.namespace,
        name,
        uid: manifest.identity.uid,
        holder,
        host_network: manifest.host_network,
        networks,
        default_network,
        network_status,
        requested,
        node: manifest.node,
        terminating: manifest.terminating,
        mirror,
        migration: migration.map(Box::new),
    })
}
