//! Kubernetes manifests: text in, objects out, each knowing where it stood.
//!
//! [`read`] reads what the catalog is made of: `NetworkAttachmentDefinition`, `Namespace`, `Pod`,
//! nadmit's own `AddressPool` and `AddressReservation`, what other projects make networks of, the `Network` of OpenShift's operator, and of
//! Whereabouts its `NodeSlicePool`s and its controller's `Deployment`, single or in lists.
//! [`read_all`] also reads what makes pods: workloads with their templates, and KubeVirt's virtual
//! machines; and the `ConfigMap` of Whereabouts's reconciler.
//! Other kinds are other people's, and passed over. An object of these that Kubernetes would
//! not take is an error with its place, and leaves the other objects of its file alone. A network
//! whose *configuration* is broken is no error here: Kubernetes takes it, and the rules speak of
//! it.

mod configuration;
mod error;
mod kinds;
mod list;
mod made;
mod pools;
mod reading;
#[cfg(test)]
mod tests;
mod workloads;

use crate::{
    allocation::{Controller, Identity, selector::Selector},
    document::{self, Booleans},
    network::{Network, annotations, operator::AdditionalNetwork},
};

use self::reading::Reading;

pub use self::{
    error::{ManifestError, ManifestFault},
    pools::{Places, PoolManifest, ReservationManifest},
};
pub use crate::document::Place;

/// What a file of manifests holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Read {
    /// The objects that could be read, in their order.
    pub objects: Vec<Located<Manifest>>,
    /// What is wrong, in the order of the text. Of very many errors only the first are listed.
    pub errors: Vec<ManifestError>,
    /// What Kubernetes takes, though it is likely not what was meant.
    pub warnings: Vec<ManifestError>,
}

/// Something read from a file, and where it stands there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located<T> {
    /// What was read.
    pub value: T,
    /// Where it stands.
    pub place: Place,
}

/// An object of a kind that nadmit knows.
#[derive(Debug, Clone, PartialEq)]
pub enum Manifest {
    /// A `NetworkAttachmentDefinition`.
    Network(NetworkManifest),
    /// A `Namespace`.
    Namespace(NamespaceManifest),
    /// nadmit's `AddressPool`.
    Pool(Box<PoolManifest>),
    /// nadmit's `AddressReservation`.
    Reservation(Box<ReservationManifest>),
    /// A `Pod`.
    Pod(PodManifest),
    /// A workload: what makes pods from a template.
    Workload(WorkloadManifest),
    /// KubeVirt's `VirtualMachine`.
    VirtualMachine(VirtualMachineManifest),
    /// An object of another project that makes a network.
    Made(MadeNetworkManifest),
    /// A `Network` of OpenShift's Cluster Network Operator.
    Operator(OperatorManifest),
    /// A `NodeSlicePool` of Whereabouts.
    SlicePool(SlicePoolManifest),
    /// A `ConfigMap` that rules speak of.
    ConfigMap(ConfigMapManifest),
    /// A CNI configuration that stands alone, as the files on nodes do.
    Configuration(Located<Box<str>>),
}

/// A `NetworkAttachmentDefinition` in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkManifest {
    /// The network.
    pub network: Network,
    /// The text of `spec.config`, if there is one.
    pub config: Option<Located<Box<str>>>,
    /// The text of its annotation `nadmit.io/address-pool`, if it has one.
    pub address_pool: Option<Located<Box<str>>>,
}

/// An object that makes a network, whose configuration is generated from it somewhere else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MadeNetworkManifest {
    /// Its kind.
    pub kind: &'static str,
    /// Its namespace; empty of what lives in none.
    pub namespace: Box<str>,
    /// Its name.
    pub name: Box<str>,
    /// The network's name.
    pub network: Box<str>,
    /// The network's namespaces.
    pub home: NetworkHome,
    /// The device plugin resource behind the network.
    pub resource_name: Option<Box<str>>,
}

/// The namespaces in which a network is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NetworkHome {
    /// This one.
    Namespace(Box<str>),
    /// Those with such labels.
    Selected(Selector),
}

/// A `Namespace` in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamespaceManifest {
    /// Its name.
    pub name: Box<str>,
    /// Whether its deletion has been asked for.
    pub terminating: bool,
    /// The text of its label `nadmit.io/mode`, if it has one.
    pub mode: Option<Located<Box<str>>>,
    /// The text of its label `nadmit.io/attachments`, if it has one.
    pub attachments: Option<Located<Box<str>>>,
    /// The text of its label `nadmit.io/injection`, if it has one.
    pub injection: Option<Located<Box<str>>>,
    /// All of its labels, in their order.
    pub labels: Vec<(Box<str>, Box<str>)>,
}

/// A `Network` of OpenShift's Cluster Network Operator in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorManifest {
    /// Its additional networks.
    pub entries: Vec<AdditionalNetwork>,
    /// The `rawCNIConfig` of each entry, by the entry's index; `None` without one.
    pub configs: Vec<Option<Located<Box<str>>>>,
}

/// A `NodeSlicePool` of Whereabouts in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlicePoolManifest {
    /// Its namespace; `default` if the file names none.
    pub namespace: Box<str>,
    /// Its name.
    pub name: Box<str>,
}

/// A `ConfigMap` in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigMapManifest {
    /// Its namespace; `default` if the file names none.
    pub namespace: Box<str>,
    /// Its name.
    pub name: Box<str>,
    /// Its `data`: keys and values in their order.
    pub data: Vec<(Box<str>, Located<Box<str>>)>,
}

/// A `Pod` in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodManifest {
    /// Its namespace; `default` if the file names none.
    pub namespace: Box<str>,
    /// What it is called.
    pub name: PodName,
    /// Who it says it is, beside its name.
    pub identity: PodIdentity,
    /// Whether it uses the node's own network.
    pub host_network: bool,
    /// Whether it has ended: its phase is Succeeded or Failed.
    pub finished: bool,
    /// Whether its deletion has been asked for.
    pub terminating: bool,
    /// `spec.nodeName`: where it runs.
    pub node: Option<Box<str>>,
    /// Its annotations: keys and values in their order.
    pub annotations: Vec<(Box<str>, Located<Box<str>>)>,
}

/// Who a pod in a file says it is, beside its name: what the cluster wrote there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PodIdentity {
    /// `metadata.uid`
    pub uid: Option<Box<str>>,
    /// `metadata.generateName`
    pub generate_name: Box<str>,
    /// The owner that controls it: API version, kind, name.
    pub controller: Option<[Box<str>; 3]>,
    /// The UID of the migration as whose target KubeVirt made it, by its label.
    pub migration_uid: Option<Box<str>>,
}

/// A workload in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkloadManifest {
    /// `Deployment`, `CronJob` and so on.
    pub kind: &'static str,
    /// Its namespace; `default` if the file names none.
    pub namespace: Box<str>,
    /// Its name, or what its name will begin with.
    pub name: Box<str>,
    /// How many pods it makes, as far as it says.
    pub scale: ScaleManifest,
    /// Whether the pods use the node's own network.
    pub host_network: bool,
    /// The template's annotations: keys and values in their order.
    pub annotations: Vec<(Box<str>, Located<Box<str>>)>,
    /// Of its own annotations those that were meant for its pods.
    pub own_annotations: Vec<(Box<str>, Located<Box<str>>)>,
}

/// What a workload says of how many pods it makes; what it does not say is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScaleManifest {
    /// `spec.replicas`
    pub replicas: Option<i64>,
    /// A job's `spec.parallelism`
    pub parallelism: Option<i64>,
    /// A job's `spec.completions`
    pub completions: Option<i64>,
    /// A Deployment's `spec.strategy.type`
    pub strategy: Option<Box<str>>,
    /// A `CronJob`'s `spec.concurrencyPolicy`
    pub concurrency: Option<Box<str>>,
}

/// A `VirtualMachine` in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VirtualMachineManifest {
    /// Its namespace; `default` if the file names none.
    pub namespace: Box<str>,
    /// Its name, or what its name will begin with.
    pub name: Box<str>,
    /// Its Multus networks: the place in the list of its networks, and `multus.networkName`.
    pub networks: Vec<(usize, Located<Box<str>>)>,
    /// Of its own annotations those that were meant for its pod.
    pub own_annotations: Vec<(Box<str>, Located<Box<str>>)>,
}

/// What a pod in a file is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PodName {
    /// Its name.
    Given(Box<str>),
    /// The beginning of the name that the API server will make (`metadata.generateName`).
    Generated(Box<str>),
}

impl PodManifest {
    /// The value of an annotation, if the pod has it.
    pub fn annotation(&self, key: &str) -> Option<&Located<Box<str>>> {
        let mut values = self.annotations.iter().filter(|(k, _)| &**k == key);
        values.next().map(|(_, value)| value)
    }

    /// What proves who the pod is, if it holds by `token`.
    pub fn identity_by<'p>(&'p self, token: Option<&'p str>) -> Identity<'p> {
        let (name, generate_name) = match &self.name {
            PodName::Given(name) => (&**name, &*self.identity.generate_name),
            PodName::Generated(prefix) => ("", &**prefix),
        };
        let controller = self.identity.controller.as_ref();
        Identity {
            namespace: &self.namespace,
            name,
            generate_name,
            uid: self.identity.uid.as_deref(),
            controller: controller.map(|[api_version, kind, name]| Controller {
                api_version,
                kind,
                name,
            }),
            token,
        }
    }

    /// The token that it carries.
    pub fn token(&self) -> Option<&str> {
        let token = self.annotation(annotations::HOLDER_TOKEN)?;
        Some(&token.value)
    }
}

/// Reads the manifests in `text`, which is the content of the file called `name`.
///
/// The name stands in the errors; if it ends in `.json`, the text has to be JSON.
pub fn read(text: &str, name: &str) -> Read {
    read_kinds(text, name, false)
}

/// The same, and what else holds networks or makes pods: workloads, virtual machines, OpenShift's
/// `Network`, and CNI configurations in JSON that stand alone.
pub fn read_all(text: &str, name: &str) -> Read {
    read_kinds(text, name, true)
}

fn read_kinds(text: &str, name: &str, workloads: bool) -> Read {
    let mut reading = Reading::new(name, workloads);
    for document in document::read(text, name, Booleans::Yaml11) {
        match document {
            Ok(node) => match configuration::read(&node, text).filter(|_| workloads) {
                Some(found) => reading.found(found, node.place),
                None => reading.object(&node, None),
            },
            Err(error) => reading.syntax_error(error),
        }
    }
    reading.finish()
}
