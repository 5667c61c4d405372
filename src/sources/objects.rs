//! What the catalog takes from one file.

use std::sync::Arc;

use crate::{
    allocation::{Pool, Reservation, SpecError},
    catalog::{AllLabels, Labels, MigrationRef, Pod, RequestedAnnotations, all_labels},
    manifests::{
        FieldLocations, GeneratedNetworkManifest, Located, Manifest, NamespaceManifest,
        NetworkNamespaces, PodManifest, PodName, PoolManifest, ReservationManifest,
        WorkloadManifest,
    },
    network::{
        Network, Position, annotations, ipam::SLICE_CONTROLLER, operator::AdditionalNetwork,
    },
};

use super::SourceError;

/// The objects of one file, each with the line where it begins.
#[derive(Debug, Default)]
pub(super) struct Objects {
    pub networks: Vec<(Arc<Network>, usize)>,
    pub namespaces: Vec<(Namespace, usize)>,
    pub pods: Vec<(Arc<Pod>, usize)>,
    /// What makes networks whose configuration is written somewhere else.
    pub made: Vec<(GeneratedNetworkManifest, usize)>,
    /// The additional networks of each operator's `Network`.
    pub operators: Vec<(Vec<Arc<Network>>, usize)>,
    pub pools: Vec<(AddressPool, usize)>,
    pub reservations: Vec<(AddressReservation, usize)>,
    /// What cuts ranges into slices: the namespace of Whereabouts's controller, and whether it runs.
    pub controllers: Vec<((Box<str>, bool), usize)>,
    /// Namespaces and names of the pools that it made.
    pub slice_pools: Vec<(Named, usize)>,
}

/// A pool, or what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct AddressPool {
    pub name: Box<str>,
    pub pool: Result<Arc<Pool>, Arc<[SpecError]>>,
}

/// A reservation; `None` if it makes no sense.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct AddressReservation {
    pub namespace: Box<str>,
    pub name: Box<str>,
    pub reservation: Option<Arc<Reservation>>,
}
/// A namespace and a name.
type Named = (Box<str>, Box<str>);

/// A namespace and how its pods are treated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Namespace {
    pub name: Box<str>,
    pub labels: Labels,
    pub all_labels: Arc<AllLabels>,
}

impl Objects {
    /// Takes over manifests; remarks on what is wrong with them to the catalog only.
    pub(super) fn of(
        manifests: Vec<Located<Manifest>>,
        file: &str,
        remarks: &mut Vec<SourceError>,
    ) -> Self {
        let mut objects = Self::default();
        for Located {
            value,
            location: location,
        } in manifests
        {
            let line = location.position.line;
            match value {
                Manifest::Network(manifest) => {
                    objects.networks.push((Arc::new(manifest.network), line));
                }
                Manifest::Namespace(manifest) => {
                    objects
                        .namespaces
                        .push((namespace(manifest, file, remarks), line));
                }
                Manifest::GeneratedNetwork(manifest) => objects.made.push((manifest, line)),
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
                    let pool = pool(*manifest, location.position, file, remarks);
                    objects.pools.push((pool, line));
                }
                Manifest::Reservation(manifest) => {
                    let reservation = reservation(*manifest, location.position, file, remarks);
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
                // The catalog has no use for them.
                Manifest::VirtualMachine(_)
                | Manifest::ConfigMap(_)
                | Manifest::Configuration(_) => {}
            }
        }
        objects
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        let lengths = [
            self.networks.len(),
            self.namespaces.len(),
            self.pods.len(),
            self.made.len(),
            self.operators.len(),
            self.controllers.len(),
            self.slice_pools.len(),
            self.pools.len(),
            self.reservations.len(),
        ];
        lengths.iter().sum()
    }

    /// Whether a catalog of these would be the same as one of `other`: lines do not count.
    pub(super) fn mean_the_same_as(&self, other: &Self) -> bool {
        same(&self.networks, &other.networks)
            && same(&self.namespaces, &other.namespaces)
            && same(&self.pods, &other.pods)
            && same(&self.made, &other.made)
            && same(&self.operators, &other.operators)
            && same(&self.pools, &other.pools)
            && same(&self.reservations, &other.reservations)
            && same(&self.controllers, &other.controllers)
            && same(&self.slice_pools, &other.slice_pools)
    }
}

/// The networks that an object makes in these namespaces. What they hold is not known.
pub(super) fn made<'o>(
    maker: &'o GeneratedNetworkManifest,
    namespaces: impl Iterator<Item = &'o Namespace>,
) -> Vec<Arc<Network>> {
    let network = |namespace: &str| {
        Arc::new(Network {
            resource_name: maker.resource_name.clone(),
            ..Network::new(namespace, &maker.network, None)
        })
    };
    match &maker.namespaces {
        NetworkNamespaces::Namespace(home) => vec![network(home)],
        NetworkNamespaces::Selected(selector) => namespaces
            .filter(|namespace| selector.selects(&namespace.all_labels))
            .map(|namespace| network(&namespace.name))
            .collect(),
    }
}

fn same<T: PartialEq>(left: &[(T, usize)], right: &[(T, usize)]) -> bool {
    left.len() == right.len() && left.iter().zip(right).all(|(l, r)| l.0 == r.0)
}

fn namespace(manifest: NamespaceManifest, file: &str, remarks: &mut Vec<SourceError>) -> Namespace {
    let name = manifest.name;
    let mut unknown = |label, expected, written: &Located<Box<str>>| {
        remarks.push(SourceError::Label {
            label,
            expected,
            file: file.to_owned(),
            position: written.location.position,
            namespace: name.to_string(),
            text: written.value.to_string(),
        });
    };
    let mut labels = Labels {
        terminating: manifest.terminating,
        ..Labels::default()
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
    Namespace {
        name,
        labels,
        all_labels,
    }
}

fn pool(
    manifest: PoolManifest,
    whole: Position,
    file: &str,
    remarks: &mut Vec<SourceError>,
) -> AddressPool {
    let PoolManifest {
        name,
        words,
        places,
    } = manifest;
    let pool = words.pool(&name);
    if let Err(faults) = &pool {
        let object = format!("pool {name}");
        remarks.extend(
            faults
                .iter()
                .map(|f| fault(&object, f, &places, whole, file)),
        );
    }
    let pool = pool.map(Arc::new).map_err(Arc::from);
    AddressPool { name, pool }
}

fn reservation(
    manifest: ReservationManifest,
    whole: Position,
    file: &str,
    remarks: &mut Vec<SourceError>,
) -> AddressReservation {
    let ReservationManifest {
        namespace,
        name,
        words,
        places,
    } = manifest;
    let made = words.reservation(&namespace, &name);
    if let Err(faults) = &made {
        let object = format!("reservation {namespace}/{name}");
        remarks.extend(
            faults
                .iter()
                .map(|f| fault(&object, f, &places, whole, file)),
        );
    }
    AddressReservation {
        namespace,
        name,
        reservation: made.ok().map(Arc::new),
    }
}

fn fault(
    object: &str,
    fault: &SpecError,
    places: &FieldLocations,
    whole: Position,
    file: &str,
) -> SourceError {
    let location = places.nearest(&format!("spec.{}", fault.path));
    SourceError::Pool {
        object: object.to_owned(),
        file: file.to_owned(),
        position: location.map_or(whole, |location| location.position),
        fault: fault.clone(),
    }
}

/// The namespace of Whereabouts's controller, and whether it has a replica; one if it does not say.
fn controller(workload: WorkloadManifest) -> Option<(Box<str>, bool)> {
    let is_one = workload.kind == "Deployment" && &*workload.name == SLICE_CONTROLLER;
    let runs = workload.scale.replicas.is_none_or(|replicas| replicas > 0);
    is_one.then_some((workload.namespace, runs))
}

/// A pod without a name is one that does not exist yet; one that has ended uses nothing any more.
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
