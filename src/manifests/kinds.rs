//! The kinds that are read, and how.

use crate::{
    document::Node,
    network::{
        ConfigState, NameError, Network, annotations, ipam::SLICE_CONTROLLER, name, operator,
    },
};

use super::{
    ConfigMapManifest, Located, Manifest, ManifestFault, NamespaceManifest, NetworkManifest,
    OperatorManifest, PodIdentity, PodManifest, PodName, SlicePoolManifest, pools,
    reading::Reading, workloads,
};

/// The namespace of what names none, as for kubectl.
const DEFAULT_NAMESPACE: &str = "default";
/// The version of nadmit's own kinds.
const OWN_VERSION: &str = "nadmit.io/v1alpha1";

/// A kind that is read.
pub(super) struct KnownKind {
    /// `kind`
    pub name: &'static str,
    /// `apiVersion`
    pub api_version: &'static str,
    /// Other versions that say the same.
    pub also: &'static [&'static str],
    /// By whom it is read.
    pub wanted: Wanted,
    /// Reads an object of this kind; reports what is wrong.
    pub read: fn(&mut Reading, &Node<'_>) -> Option<Manifest>,
}

impl KnownKind {
    /// Whether no other group has a kind of this name.
    pub(super) fn is_ours_alone(&self) -> bool {
        self.name == "NetworkAttachmentDefinition"
    }
}

/// By whom an object of a kind is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// By everybody: the catalog has a use for it.
    Always,
    /// By who checks everything.
    Checked,
    /// By who checks everything, and by everybody if it has this name.
    CheckedOrCalled(&'static str),
    /// By who checks everything, if it has one of these names.
    CheckedIfCalled(&'static [&'static str]),
}

impl Wanted {
    /// Whether an object of this name is read by who checks everything, or by others.
    pub(super) fn is_read(self, checks: bool, name: Option<&str>) -> bool {
        match self {
            Self::Always => true,
            Self::Checked => checks,
            Self::CheckedOrCalled(wanted) => checks || name == Some(wanted),
            Self::CheckedIfCalled(wanted) => {
                checks && name.is_some_and(|name| wanted.contains(&name))
            }
        }
    }
}

/// The `ConfigMap`s that carry schedules: Whereabouts's and nadmit's.
const RECONCILER_SETTINGS: &[&str] = &["whereabouts-config", "nadmit-config"];

/// All of them.
pub(super) static KINDS: &[KnownKind] = &[
    KnownKind {
        name: "NetworkAttachmentDefinition",
        api_version: "k8s.cni.cncf.io/v1",
        also: &[],
        wanted: Wanted::Always,
        read: network,
    },
    KnownKind {
        name: "Namespace",
        api_version: "v1",
        also: &[],
        wanted: Wanted::Always,
        read: namespace,
    },
    KnownKind {
        name: "Network",
        api_version: "operator.openshift.io/v1",
        also: &[],
        wanted: Wanted::Always,
        read: operator,
    },
    KnownKind {
        name: "NodeSlicePool",
        api_version: "whereabouts.cni.cncf.io/v1alpha1",
        also: &[],
        wanted: Wanted::Always,
        read: slice_pool,
    },
    KnownKind {
        name: "ConfigMap",
        api_version: "v1",
        also: &[],
        wanted: Wanted::CheckedIfCalled(RECONCILER_SETTINGS),
        read: config_map,
    },
    KnownKind {
        name: "Pod",
        api_version: "v1",
        also: &[],
        wanted: Wanted::Always,
        read: pod,
    },
    KnownKind {
        name: "AddressPool",
        api_version: OWN_VERSION,
        also: &[],
        wanted: Wanted::Always,
        read: pools::pool,
    },
    KnownKind {
        name: "AddressReservation",
        api_version: OWN_VERSION,
        also: &[],
        wanted: Wanted::Always,
        read: pools::reservation,
    },
    KnownKind {
        name: "Deployment",
        api_version: "apps/v1",
        also: &[],
        wanted: Wanted::CheckedOrCalled(SLICE_CONTROLLER),
        read: workloads::deployment,
    },
    KnownKind {
        name: "ReplicaSet",
        api_version: "apps/v1",
        also: &[],
        wanted: Wanted::Checked,
        read: workloads::replica_set,
    },
    KnownKind {
        name: "StatefulSet",
        api_version: "apps/v1",
        also: &[],
        wanted: Wanted::Checked,
        read: workloads::stateful_set,
    },
    KnownKind {
        name: "DaemonSet",
        api_version: "apps/v1",
        also: &[],
        wanted: Wanted::Checked,
        read: workloads::daemon_set,
    },
    KnownKind {
        name: "Job",
        api_version: "batch/v1",
        also: &[],
        wanted: Wanted::Checked,
        read: workloads::job,
    },
    KnownKind {
        name: "CronJob",
        api_version: "batch/v1",
        also: &[],
        wanted: Wanted::Checked,
        read: workloads::cron_job,
    },
    KnownKind {
        name: "ReplicationController",
        api_version: "v1",
        also: &[],
        wanted: Wanted::Checked,
        read: workloads::replication_controller,
    },
    KnownKind {
        name: "VirtualMachine",
        api_version: "kubevirt.io/v1",
        also: &["kubevirt.io/v1alpha3"],
        wanted: Wanted::Checked,
        read: workloads::virtual_machine,
    },
];

/// Kinds of nadmit's group and of that of networks, which are theirs though not all are read here.
const OF_GROUPS: &[(&str, &[&str])] = &[
    (
        NETWORK_GROUP,
        &[
            "NetworkAttachmentDefinition",
            "MultiNetworkPolicy",
            "IPAMClaim",
        ],
    ),
    (
        "nadmit.io",
        &[
            "AddressPool",
            "AddressReservation",
            "AddressAllocation",
            "AddressSlice",
        ],
    ),
];

/// The group of networks.
const NETWORK_GROUP: &str = "k8s.cni.cncf.io";

/// The kind that was meant by one that its group does not have, if one is like it.
pub(super) fn meant(group: &str, kind: &str) -> Option<&'static str> {
    /// No kind that is meant is longer than this.
    const LONGEST: usize = 60;
    let (_, kinds) = OF_GROUPS.iter().find(|(known, _)| *known == group)?;
    let base = kind.strip_suffix("List").unwrap_or(kind);
    if kind.len() > LONGEST || kinds.contains(&base) {
        return None;
    }
    let lower = kind.to_ascii_lowercase();
    let alike = |known: &&&str| strsim::jaro_winkler(&known.to_ascii_lowercase(), &lower);
    let best = kinds.iter().max_by(|a, b| alike(a).total_cmp(&alike(b)))?;
    (alike(&best) >= ALIKE).then_some(*best)
}

/// How alike a misspelt kind is to the one that was meant (Jaro-Winkler, 0 to 1).
const ALIKE: f64 = 0.85;

/// Keys and values of annotations or labels.
pub(super) type Texts = Vec<(Box<str>, Located<Box<str>>)>;

fn network(reading: &mut Reading, node: &Node<'_>) -> Option<Manifest> {
    let metadata = reading.object_in(node, "metadata");
    let name = required_name(reading, node, metadata, name::subdomain);
    let namespace = namespace_of(reading, metadata);
    let annotations = texts(reading, metadata, "metadata.annotations");
    let annotation = |key: &str| {
        let found = annotations.iter().find(|(k, _)| &**k == key);
        found
            .map(|(_, text)| text)
            .filter(|text| !text.value.is_empty())
    };
    let value = |key: &str| annotation(key).map(|text| text.value.clone());
    let config = config(reading, node);
    // The API server drops it, and kubectl refuses the object.
    if let (None, Some(misplaced)) = (config, node.get("config")) {
        let field = reading.field("config");
        reading.warn(misplaced, ManifestFault::ConfigBesideSpec { field });
    }
    let network = Network {
        namespace,
        name: name?.into(),
        config: ConfigState::read(config.and_then(Node::string)),
        resource_name: value(annotations::RESOURCE_NAME),
        address_pool: value(annotations::ADDRESS_POOL),
    };
    let config = config.and_then(|config| {
        Some(Located {
            value: config.string()?.into(),
            place: config.place,
        })
    });
    Some(Manifest::Network(NetworkManifest {
        network,
        config,
        address_pool: annotation(annotations::ADDRESS_POOL).cloned(),
    }))
}

fn config<'n, 'a>(reading: &mut Reading, node: &'n Node<'a>) -> Option<&'n Node<'a>> {
    let config = reading.object_in(node, "spec")?.get("config")?;
    if config.string().is_none() {
        let fault = ManifestFault::ConfigNotText {
            field: reading.field("spec.config"),
            found: config.kind(),
        };
        reading.fault(config, fault);
    }
    Some(config)
}

fn namespace(reading: &mut Reading, node: &Node<'_>) -> Option<Manifest> {
    let metadata = reading.object_in(node, "metadata");
    let name = required_name(reading, node, metadata, name::label);
    let labels = texts(reading, metadata, "metadata.labels");
    let label = |key: &str| {
        let mut found = labels.iter().filter(|(k, _)| &**k == key);
        found.next().map(|(_, text)| text.clone())
    };
    Some(Manifest::Namespace(NamespaceManifest {
        terminating: phase(node) == Some("Terminating")
            || metadata
                .and_then(|metadata| metadata.get("deletionTimestamp"))
                .is_some_and(|time| !time.is_null()),
        name: name?.into(),
        mode: label(annotations::MODE_LABEL),
        attachments: label(annotations::ATTACHMENTS_LABEL),
        injection: label(annotations::INJECTION_LABEL),
        labels: labels
            .iter()
            .map(|(key, text)| (key.clone(), text.value.clone()))
            .collect(),
    }))
}

/// The additional networks are read from JSON, as in a review. Numbers are of no account in a
/// catalog, and read as 0.
fn operator(reading: &mut Reading, node: &Node<'_>) -> Option<Manifest> {
    let metadata = reading.object_in(node, "metadata");
    required_name(reading, node, metadata, name::subdomain)?;
    let spec = reading.object_in(node, "spec");
    let list = spec.and_then(|spec| spec.get("additionalNetworks"));
    if let Some(list) = list.filter(|list| list.elements().is_none()) {
        reading.wrong_kind(list, "spec.additionalNetworks", "a list");
    }
    let text = list.map_or_else(String::new, |list| json(list).to_string());
    let elements = list.and_then(Node::elements).unwrap_or_default();
    let config = |entry: &Node<'_>| {
        let config = entry.get("rawCNIConfig")?;
        Some(Located {
            value: config.string()?.into(),
            place: config.place,
        })
    };
    Some(Manifest::Operator(OperatorManifest {
        entries: operator::read(&text),
        configs: elements.iter().map(config).collect(),
    }))
}

fn slice_pool(reading: &mut Reading, node: &Node<'_>) -> Option<Manifest> {
    let metadata = reading.object_in(node, "metadata");
    let name = required_name(reading, node, metadata, name::subdomain);
    Some(Manifest::SlicePool(SlicePoolManifest {
        namespace: namespace_of(reading, metadata),
        name: name?.into(),
    }))
}

fn config_map(reading: &mut Reading, node: &Node<'_>) -> Option<Manifest> {
    let metadata = reading.object_in(node, "metadata");
    let name = required_name(reading, node, metadata, name::subdomain);
    Some(Manifest::ConfigMap(ConfigMapManifest {
        namespace: namespace_of(reading, metadata),
        data: texts(reading, Some(node), "data"),
        name: name?.into(),
    }))
}

pub(super) fn json(node: &Node<'_>) -> serde_json::Value {
    use crate::document::Value;
    match &node.value {
        Value::Null => serde_json::Value::Null,
        Value::Boolean(value) => (*value).into(),
        Value::Number(number) => number.unwrap_or_default().into(),
        Value::String(text) => text.as_ref().into(),
        Value::List(elements) => elements.iter().map(json).collect(),
        Value::Object(entries) => {
            let pair = |entry: &crate::document::Entry<'_>| {
                Some((entry.key.string()?.to_owned(), json(&entry.value)))
            };
            entries.iter().filter_map(pair).collect()
        }
    }
}

fn pod(reading: &mut Reading, node: &Node<'_>) -> Option<Manifest> {
    let metadata = reading.object_in(node, "metadata");
    let name = pod_name(reading, node, metadata);
    Some(Manifest::Pod(PodManifest {
        namespace: namespace_of(reading, metadata),
        annotations: texts(reading, metadata, "metadata.annotations"),
        identity: identity(metadata),
        host_network: host_network(reading, node, ""),
        finished: matches!(phase(node), Some("Succeeded" | "Failed")),
        terminating: metadata.is_some_and(is_terminating),
        node: node_name(node),
        name: name?,
    }))
}

/// What the cluster wrote into a pod's metadata; what is of another shape is not there.
fn identity(metadata: Option<&Node<'_>>) -> PodIdentity {
    let text = |node: &Node<'_>, key| node.get(key)?.string().map(Box::from);
    let owners = metadata.and_then(|m| m.get("ownerReferences")?.elements());
    let mut owners = owners.into_iter().flatten();
    let controls = |owner: &&Node<'_>| {
        let controller = owner.get("controller");
        controller.and_then(Node::boolean).unwrap_or_default()
    };
    let controller = owners.find(controls).and_then(|owner| {
        let parts = ["apiVersion", "kind", "name"].map(|key| text(owner, key));
        let [Some(api_version), Some(kind), Some(name)] = parts else {
            return None;
        };
        Some([api_version, kind, name])
    });
    PodIdentity {
        uid: metadata.and_then(|m| text(m, "uid")),
        migration_uid: metadata
            .and_then(|m| m.get("labels"))
            .and_then(|labels| text(labels, annotations::MIGRATION_UID_LABEL)),
        generate_name: metadata
            .and_then(|m| text(m, "generateName"))
            .unwrap_or_default(),
        controller,
    }
}

/// Whether the cluster has noted when the object is to be gone.
fn is_terminating(metadata: &Node<'_>) -> bool {
    metadata.get("deletionTimestamp").is_some()
}

/// `spec.nodeName`, if it is a text that says something.
fn node_name(node: &Node<'_>) -> Option<Box<str>> {
    let name = node.get("spec")?.get("nodeName")?.string()?;
    (!name.is_empty()).then(|| name.into())
}

/// `status.phase`, which nobody writes by hand: another shape is none.
fn phase<'n>(node: &'n Node<'_>) -> Option<&'n str> {
    node.get("status")?.get("phase")?.string()
}

pub(super) fn pod_name(
    reading: &mut Reading,
    node: &Node<'_>,
    metadata: Option<&Node<'_>>,
) -> Option<PodName> {
    let prefix = metadata.and_then(|metadata| metadata.get("generateName"));
    if let (Some(metadata), Some(_)) = (metadata, prefix)
        && metadata.get("name").is_none()
    {
        let text = reading.text_in(metadata, "metadata.generateName")?;
        return Some(PodName::Generated(text.into()));
    }
    let name = required_name(reading, node, metadata, name::subdomain)?;
    Some(PodName::Given(name.into()))
}

/// `spec.hostNetwork` of a pod, or of the template at this path.
pub(super) fn host_network(reading: &mut Reading, node: &Node<'_>, path: &str) -> bool {
    let spec = reading.object_in(node, &format!("{path}spec"));
    let Some(value) = spec.and_then(|spec| spec.get("hostNetwork")) else {
        return false;
    };
    if value.boolean().is_none() {
        reading.wrong_kind(value, &format!("{path}spec.hostNetwork"), "true or false");
    }
    value.boolean().unwrap_or_default()
}

pub(super) fn required_name<'n>(
    reading: &mut Reading,
    node: &Node<'_>,
    metadata: Option<&'n Node<'_>>,
    check: fn(&str) -> Result<(), NameError>,
) -> Option<&'n str> {
    const FIELD: &str = "metadata.name";
    let value = metadata.and_then(|metadata| metadata.get("name"));
    let (Some(metadata), Some(_)) = (metadata, value) else {
        let instead = "`name:` under `metadata:`".to_owned();
        reading.missing(metadata.unwrap_or(node), FIELD, instead);
        return None;
    };
    checked_name(reading, metadata, FIELD, check)
}

pub(super) fn namespace_of(reading: &mut Reading, metadata: Option<&Node<'_>>) -> Box<str> {
    let given = metadata.filter(|m| m.get("namespace").is_some_and(|n| n.string() != Some("")));
    given
        .and_then(|given| checked_name(reading, given, "metadata.namespace", name::label))
        .unwrap_or(DEFAULT_NAMESPACE)
        .into()
}

fn checked_name<'n>(
    reading: &mut Reading,
    metadata: &'n Node<'_>,
    path: &str,
    check: fn(&str) -> Result<(), NameError>,
) -> Option<&'n str> {
    let text = reading.text_in(metadata, path)?;
    let Err(error) = check(text) else {
        return Some(text);
    };
    let fault = ManifestFault::Name {
        field: reading.field(path),
        text: text.to_owned(),
        error,
    };
    let place = metadata.get(path.trim_start_matches("metadata."));
    reading.fault(place.unwrap_or(metadata), fault);
    None
}

/// Annotations, labels or data. A value that is null is empty, as for the API server.
pub(super) fn texts(reading: &mut Reading, metadata: Option<&Node<'_>>, path: &str) -> Texts {
    let map = metadata.and_then(|metadata| reading.object_in(metadata, path));
    let mut texts = Texts::new();
    for entry in map.and_then(Node::entries).unwrap_or_default() {
        let Some(key) = entry.key.string() else {
            continue;
        };
        match entry.value.string() {
            Some(text) => texts.push((key.into(), located(text, &entry.value))),
            None if entry.value.is_null() => texts.push((key.into(), located("", &entry.value))),
            None => reading.wrong_kind(&entry.value, &format!("{path}[{key}]"), "a string"),
        }
    }
    texts
}

fn located(text: &str, node: &Node<'_>) -> Located<Box<str>> {
    Located {
        value: text.into(),
        place: node.place,
    }
}
