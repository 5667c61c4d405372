//! Parses Kubernetes manifests into objects with their locations.
//!
//! [`read`] reads the objects of the catalog: `NetworkAttachmentDefinition`, `Namespace`, `Pod`,
//! nadmit's own `AddressPool` and `AddressReservation`, objects from which other projects generate
//! networks, the `Network` of OpenShift's operator, and Whereabouts's `NodeSlicePool`s and the
//! `Deployment` of its controller, single or in lists. [`read_all`] also reads what creates pods,
//! workloads and KubeVirt's virtual machines, and the `ConfigMap`s with schedules of Whereabouts's
//! reconciler and of nadmit.
//!
//! Other kinds are ignored. An object of a known kind that Kubernetes would reject is an error with
//! its location, and does not affect the other objects of its file. A network whose *configuration*
//! is invalid is not an error here: Kubernetes accepts it, and the rules report it.

mod configuration;
mod dispatch;
mod error;
mod generated_network;
mod kinds;
mod list;
mod objects;
mod pools;
mod reader;
#[cfg(test)]
mod tests;
mod values;
mod workloads;

use nadmit_allocation::{Controller, RequesterIdentity, selector::Selector};
use nadmit_cni::document::{self, Booleans};
use nadmit_cni::{Network, annotations, operator::AdditionalNetwork};

use self::reader::ManifestReader;

pub use self::{
    error::{ManifestError, ManifestFault},
    objects::is_finished,
    pools::{FieldLocations, PoolManifest, ReservationManifest},
    values::{ParsedValues, values},
};
pub use nadmit_cni::document::SourceLocation;

/// The content of a file of manifests.
#[derive(Debug, Clone, PartialEq)]
pub struct ParsedManifests {
    /// The valid objects, in the order of the text.
    pub objects: Vec<Located<Manifest>>,
    /// The errors, in the order of the text, up to a limit.
    pub errors: Vec<ManifestError>,
    /// Likely mistakes that Kubernetes accepts.
    pub warnings: Vec<ManifestError>,
}

/// A value read from a file, with its location.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located<T> {
    pub value: T,
    pub location: SourceLocation,
}

/// An object of a kind that nadmit knows.
#[derive(Debug, Clone, PartialEq)]
pub enum Manifest {
    /// A `NetworkAttachmentDefinition`.
    Network(NetworkManifest),
    Namespace(NamespaceManifest),
    /// nadmit's `AddressPool`.
    Pool(Box<PoolManifest>),
    /// nadmit's `AddressReservation`.
    Reservation(Box<ReservationManifest>),
    Pod(PodManifest),
    /// A workload, which creates pods from a template.
    Workload(WorkloadManifest),
    /// KubeVirt's `VirtualMachine`.
    VirtualMachine(VirtualMachineManifest),
    /// An object of another project, from which a network is generated.
    GeneratedNetwork(GeneratedNetworkManifest),
    /// A `Network` of OpenShift's Cluster Network Operator.
    Operator(OperatorManifest),
    /// A `NodeSlicePool` of Whereabouts.
    SlicePool(SlicePoolManifest),
    /// A `ConfigMap` that rules check.
    ConfigMap(ConfigMapManifest),
    /// A CNI configuration outside of a Kubernetes object, as in the files on nodes.
    Configuration(Located<Box<str>>),
}

/// A `NetworkAttachmentDefinition` in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkManifest {
    pub network: Network,
    /// The text of `spec.config`, if present.
    pub config: Option<Located<Box<str>>>,
    /// The value of the annotation `nadmit.io/address-pool`, if present.
    pub address_pool: Option<Located<Box<str>>>,
}

/// An object of another project, from which its operator generates a network. The network's
/// configuration is not known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GeneratedNetworkManifest {
    /// The kind of the object.
    pub kind: &'static str,
    /// The object's namespace; empty for a cluster-scoped object.
    pub namespace: Box<str>,
    pub name: Box<str>,
    /// The network's name.
    pub network: Box<str>,
    /// The namespaces in which the network is created.
    pub namespaces: TargetNamespaces,
    /// The device plugin resource behind the network.
    pub resource_name: Option<Box<str>>,
}

/// The namespaces in which a network is created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TargetNamespaces {
    /// A single namespace.
    Namespace(Box<str>),
    /// The namespaces with matching labels.
    Selected(Selector),
}

/// A `Namespace` in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamespaceManifest {
    pub name: Box<str>,
    /// True if it is being deleted.
    pub terminating: bool,
    /// The value of the label `nadmit.io/mode`, if present.
    pub mode: Option<Located<Box<str>>>,
    /// The value of the label `nadmit.io/attachments`, if present.
    pub attachments: Option<Located<Box<str>>>,
    /// The value of the label `nadmit.io/injection`, if present.
    pub injection: Option<Located<Box<str>>>,
    /// All labels, in their order.
    pub labels: Vec<(Box<str>, Box<str>)>,
}

/// A `Network` of OpenShift's Cluster Network Operator in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorManifest {
    pub entries: Vec<AdditionalNetwork>,
    /// The `rawCNIConfig` of each entry, by the entry's index; `None` without one.
    pub configs: Vec<Option<Located<Box<str>>>>,
}

/// A `NodeSlicePool` of Whereabouts in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlicePoolManifest {
    /// The namespace; `default` if the file names none.
    pub namespace: Box<str>,
    pub name: Box<str>,
}

/// A `ConfigMap` in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigMapManifest {
    /// The namespace; `default` if the file names none.
    pub namespace: Box<str>,
    pub name: Box<str>,
    /// The entries of `data`, in their order.
    pub data: Vec<(Box<str>, Located<Box<str>>)>,
}

/// A `Pod` in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodManifest {
    /// The namespace; `default` if the file names none.
    pub namespace: Box<str>,
    /// The name or the prefix of the generated name.
    pub name: PodName,
    /// The fields that identify the pod besides its name.
    pub identity: PodIdentity,
    /// True if it uses the node's network (`spec.hostNetwork`).
    pub host_network: bool,
    /// True if its phase is Succeeded or Failed.
    pub finished: bool,
    /// True if it is being deleted.
    pub terminating: bool,
    /// The node on which it runs (`spec.nodeName`).
    pub node: Option<Box<str>>,
    /// The annotations, in their order.
    pub annotations: Vec<(Box<str>, Located<Box<str>>)>,
}

/// The fields that identify a pod in a file besides its name, as written by the API server and
/// controllers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PodIdentity {
    /// `metadata.uid`
    pub uid: Option<Box<str>>,
    /// `metadata.generateName`
    pub generate_name: Box<str>,
    /// The controlling owner: API version, kind, name.
    pub controller: Option<[Box<str>; 3]>,
    /// The UID of the migration whose target it is, according to KubeVirt's label.
    pub migration_uid: Option<Box<str>>,
}

/// A workload in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkloadManifest {
    /// The kind: `Deployment`, `CronJob` and so on.
    pub kind: &'static str,
    /// The namespace; `default` if the file names none.
    pub namespace: Box<str>,
    /// The name, or the prefix of the generated name.
    pub name: Box<str>,
    /// The fields that determine the number of pods.
    pub scale: ScaleManifest,
    /// True if the pods use the node's network.
    pub host_network: bool,
    /// The annotations of the template, in their order.
    pub annotations: Vec<(Box<str>, Located<Box<str>>)>,
    /// The annotations of the workload itself that were intended for its pods.
    pub own_annotations: Vec<(Box<str>, Located<Box<str>>)>,
}

/// The fields of a workload that determine the number of pods; `None` for absent ones.
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
    /// The namespace; `default` if the file names none.
    pub namespace: Box<str>,
    /// The name, or the prefix of the generated name.
    pub name: Box<str>,
    /// The Multus networks: the index in the list of networks, and `multus.networkName`.
    pub networks: Vec<(usize, Located<Box<str>>)>,
    /// The annotations of the virtual machine that were intended for its pod.
    pub own_annotations: Vec<(Box<str>, Located<Box<str>>)>,
}

/// The name of a pod in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PodName {
    /// The name.
    Explicit(Box<str>),
    /// The prefix of the name that the API server generates (`metadata.generateName`).
    Generated(Box<str>),
}

impl PodManifest {
    /// Returns the value of an annotation, if the pod has it.
    pub fn annotation(&self, key: &str) -> Option<&Located<Box<str>>> {
        let mut values = self.annotations.iter().filter(|(k, _)| &**k == key);
        values.next().map(|(_, value)| value)
    }

    /// Returns the identity of the pod, with `token` as its holder token.
    pub fn identity_with_token<'p>(&'p self, token: Option<&'p str>) -> RequesterIdentity<'p> {
        let (name, generate_name) = match &self.name {
            PodName::Explicit(name) => (&**name, &*self.identity.generate_name),
            PodName::Generated(prefix) => ("", &**prefix),
        };
        let controller = self.identity.controller.as_ref();
        RequesterIdentity {
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

    /// Returns its holder token.
    pub fn token(&self) -> Option<&str> {
        let token = self.annotation(annotations::HOLDER_TOKEN)?;
        Some(&token.value)
    }
}

/// Reads the manifests in `text`, the content of the file called `name`.
///
/// The name appears in the errors; if it ends in `.json`, the text must be JSON.
pub fn read(text: &str, name: &str) -> ParsedManifests {
    read_kinds(text, name, false)
}

/// Reads the manifests in `text` like [`read`], and also workloads, virtual machines, `ConfigMap`s
/// with schedules, and CNI configurations in JSON outside of Kubernetes objects.
pub fn read_all(text: &str, name: &str) -> ParsedManifests {
    read_kinds(text, name, true)
}

fn read_kinds(text: &str, name: &str, workloads: bool) -> ParsedManifests {
    let mut reader = ManifestReader::new(name, workloads);
    for document in document::read(text, name, Booleans::Yaml11) {
        match document {
            Ok(node) => match configuration::read(&node, text).filter(|_| workloads) {
                Some(found) => reader.push(found, node.location),
                None => reader.object(&node, None),
            },
            Err(error) => reader.syntax_error(error),
        }
    }
    reader.finish()
}
