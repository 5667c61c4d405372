//! The kinds that the fake API server serves, and their traits.

use std::sync::{Arc, OnceLock};

use serde_json::Value;

use super::schema::Schema;

/// One resource in one version.
#[derive(Clone, Debug)]
pub struct ResourceKind {
    /// The API group, empty for the core group.
    pub group: String,
    /// The API version, without the group.
    pub version: String,
    /// The kind in CamelCase.
    pub kind: String,
    /// The resource in URLs.
    pub plural: String,
    /// True if objects belong to a namespace.
    pub namespaced: bool,
    /// Set if the kind has a `/status` subresource.
    pub status: bool,
    /// Set if the kind comes from a CustomResourceDefinition, for which the API server words some
    /// responses differently.
    pub custom: bool,
    /// Set if objects carry `metadata.generation`.
    pub generation: bool,
    /// Selectable fields besides `metadata.name` and `metadata.namespace`.
    pub selectable: Vec<String>,
    /// The schema of a custom resource; a kind without one accepts any object.
    pub schema: Option<Arc<Schema>>,
}

impl ResourceKind {
    /// Returns a custom kind without status, schema or selectable fields.
    pub fn custom(api_version: &str, kind: &str, plural: &str, namespaced: bool) -> Self {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        Self {
            group: group.to_owned(),
            version: version.to_owned(),
            kind: kind.to_owned(),
            plural: plural.to_owned(),
            namespaced,
            status: false,
            custom: true,
            generation: true,
            selectable: Vec::new(),
            schema: None,
        }
    }

    /// Returns the kind of the first version of a CustomResourceDefinition.
    pub fn of_definition(definition: &Value) -> Option<Self> {
        let spec = &definition["spec"];
        let version = &spec["versions"][0];
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let paths = version["selectableFields"].as_array().into_iter().flatten();
        Some(Self {
            group: text(&spec["group"])?,
            version: text(&version["name"])?,
            kind: text(&spec["names"]["kind"])?,
            plural: text(&spec["names"]["plural"])?,
            namespaced: spec["scope"] == "Namespaced",
            status: version["subresources"]["status"].is_object(),
            custom: true,
            generation: true,
            selectable: paths
                .filter_map(|path| text(&path["jsonPath"]))
                .map(|path| path.trim_start_matches('.').to_owned())
                .collect(),
            schema: Some(Arc::new(Schema::new(
                version["schema"]["openAPIV3Schema"].clone(),
            ))),
        })
    }

    fn of_row(&(api_version, kind, plural, traits): &KindRow) -> Self {
        let has = |letter: char| traits.contains(letter);
        let mut selectable = Vec::new();
        if plural == "pods" {
            let paths = ["spec.nodeName", "status.phase", "spec.schedulerName"];
            selectable.extend(paths.map(str::to_owned));
        }
        Self {
            status: has('s'),
            custom: has('c'),
            generation: has('g') || has('c'),
            selectable,
            ..Self::custom(api_version, kind, plural, has('n'))
        }
    }

    /// Returns `v1` or `apps/v1`.
    pub fn api_version(&self) -> String {
        group_version(&self.group, &self.version)
    }

    /// Returns `pods` or `deployments.apps`, as in the store and in messages.
    pub fn qualified(&self) -> String {
        qualified(&self.plural, &self.group)
    }

    /// Returns `Pod` or `Deployment.apps`.
    pub fn qualified_kind(&self) -> String {
        qualified(&self.kind, &self.group)
    }

    /// Returns the key of an object in etcd.
    pub fn registry_key(&self, namespace: &str, name: &str) -> String {
        let group = if self.custom { &self.group } else { "" };
        let parts = ["/registry", group, &self.plural, namespace, name];
        let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        parts.join("/")
    }
}

/// Returns `v1` or `apps/v1`.
pub(super) fn group_version(group: &str, version: &str) -> String {
    if group.is_empty() {
        return version.to_owned();
    }
    format!("{group}/{version}")
}

/// Returns `pods` or `deployments.apps`.
pub(super) fn qualified(name: &str, group: &str) -> String {
    if group.is_empty() {
        return name.to_owned();
    }
    format!("{name}.{group}")
}

/// Group and version, kind, plural, and traits: namespaced, status, generation, custom.
type KindRow = (&'static str, &'static str, &'static str, &'static str);

/// Traits of the custom kinds that nadmit watches and that have no row.
const WATCHED_TRAITS: &str = "nsc";

const ROWS: &[KindRow] = &[
    ("v1", "Namespace", "namespaces", "s"),
    ("v1", "Node", "nodes", "s"),
    ("v1", "Pod", "pods", "nsg"),
    ("v1", "Event", "events", "n"),
    ("v1", "ConfigMap", "configmaps", "n"),
    ("v1", "Secret", "secrets", "n"),
    ("v1", "ServiceAccount", "serviceaccounts", "n"),
    ("v1", "Binding", "bindings", "n"),
    (
        "v1",
        "ReplicationController",
        "replicationcontrollers",
        "nsg",
    ),
    ("apps/v1", "Deployment", "deployments", "nsg"),
    ("apps/v1", "ReplicaSet", "replicasets", "nsg"),
    ("apps/v1", "StatefulSet", "statefulsets", "nsg"),
    ("apps/v1", "DaemonSet", "daemonsets", "nsg"),
    ("batch/v1", "Job", "jobs", "nsg"),
    ("batch/v1", "CronJob", "cronjobs", "nsg"),
    ("coordination.k8s.io/v1", "Lease", "leases", "n"),
    ("events.k8s.io/v1", "Event", "events", "n"),
    (
        "admissionregistration.k8s.io/v1",
        "MutatingWebhookConfiguration",
        "mutatingwebhookconfigurations",
        "g",
    ),
    (
        "admissionregistration.k8s.io/v1",
        "ValidatingWebhookConfiguration",
        "validatingwebhookconfigurations",
        "g",
    ),
    (
        "apiextensions.k8s.io/v1",
        "CustomResourceDefinition",
        "customresourcedefinitions",
        "sg",
    ),
    (
        "k8s.cni.cncf.io/v1",
        "NetworkAttachmentDefinition",
        "network-attachment-definitions",
        "nc",
    ),
    ("operator.openshift.io/v1", "Network", "networks", "c"),
    (
        "whereabouts.cni.cncf.io/v1alpha1",
        "IPPool",
        "ippools",
        "nc",
    ),
    (
        "whereabouts.cni.cncf.io/v1alpha1",
        "OverlappingRangeIPReservation",
        "overlappingrangeipreservations",
        "nc",
    ),
];

/// nadmit's own kinds, as they are installed.
const DEFINITIONS: &[&str] = &[
    include_str!("../../../deploy/crds/addressallocations.nadmit.io.yaml"),
    include_str!("../../../deploy/crds/addresspools.nadmit.io.yaml"),
    include_str!("../../../deploy/crds/addressreservations.nadmit.io.yaml"),
    include_str!("../../../deploy/crds/addressslices.nadmit.io.yaml"),
];

/// Returns the kinds of a cluster with nadmit and every kind that nadmit can read.
pub fn installed() -> Vec<ResourceKind> {
    // A simulation starts many servers, so the schemas are parsed only once.
    static KINDS: OnceLock<Vec<ResourceKind>> = OnceLock::new();
    let read = || {
        let rows = ROWS.iter().map(ResourceKind::of_row);
        let definitions = DEFINITIONS.iter().filter_map(|text| {
            let definition: Value = serde_saphyr::from_str(text).ok()?;
            ResourceKind::of_definition(&definition)
        });
        let mut kinds: Vec<ResourceKind> = rows.chain(definitions).collect();
        for [api_version, kind, plural] in nadmit_sources::watched_custom_kinds() {
            let watched = ResourceKind::of_row(&(api_version, kind, plural, WATCHED_TRAITS));
            if kinds
                .iter()
                .all(|kind| kind.qualified() != watched.qualified())
            {
                kinds.push(watched);
            }
        }
        kinds
    };
    KINDS.get_or_init(read).clone()
}
