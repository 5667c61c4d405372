//! The readers of single objects, and what they share with those of pools and workloads.

use nadmit_cni::document::DocumentNode;
use nadmit_cni::{NameError, Network, Serving, annotations, name, operator};

use super::{
    ConfigMapManifest, Located, Manifest, ManifestFault, NamespaceManifest, NetworkManifest,
    OperatorManifest, PodIdentity, PodManifest, PodName, SlicePoolManifest, reader::ManifestReader,
};

/// The namespace of objects that name none, as for kubectl.
const DEFAULT_NAMESPACE: &str = "default";

/// The keys and values of annotations, labels or data.
pub(super) type LocatedEntries = Vec<(Box<str>, Located<Box<str>>)>;

pub(super) fn network(reader: &mut ManifestReader, node: &DocumentNode<'_>) -> Option<Manifest> {
    let metadata = reader.object_in(node, "metadata");
    let name = required_name(reader, node, metadata, name::subdomain);
    let namespace = namespace_of(reader, metadata);
    let annotations = texts(reader, metadata, "metadata.annotations");
    let annotation = |key: &str| {
        let found = annotations.iter().find(|(k, _)| &**k == key);
        found
            .map(|(_, text)| text)
            .filter(|text| !text.value.is_empty())
    };
    let value = |key: &str| annotation(key).map(|text| text.value.clone());
    let config = config(reader, node);
    // The API server drops this field, and kubectl rejects the object.
    if let (None, Some(misplaced)) = (config, node.get("config")) {
        let field = reader.field("config");
        reader.warn(misplaced, ManifestFault::ConfigOutsideSpec { field });
    }
    let network = Network {
        resource_name: value(annotations::RESOURCE_NAME),
        address_pool: value(annotations::ADDRESS_POOL),
        serving: Serving::of(value(annotations::SERVE).as_deref()),
        ..Network::new(&namespace, name?, config.and_then(DocumentNode::string))
    };
    let config = config.and_then(|config| {
        Some(Located {
            value: config.string()?.into(),
            location: config.location,
        })
    });
    Some(Manifest::Network(NetworkManifest {
        network,
        config,
        address_pool: annotation(annotations::ADDRESS_POOL).cloned(),
    }))
}

fn config<'n, 'a>(
    reader: &mut ManifestReader,
    node: &'n DocumentNode<'a>,
) -> Option<&'n DocumentNode<'a>> {
    let config = reader.object_in(node, "spec")?.get("config")?;
    if config.string().is_none() {
        let fault = ManifestFault::ConfigNotString {
            field: reader.field("spec.config"),
            found: config.kind(),
        };
        reader.fault(config, fault);
    }
    Some(config)
}

pub(super) fn namespace(reader: &mut ManifestReader, node: &DocumentNode<'_>) -> Option<Manifest> {
    let metadata = reader.object_in(node, "metadata");
    let name = required_name(reader, node, metadata, name::label);
    let labels = texts(reader, metadata, "metadata.labels");
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

/// Reads an operator's `Network`. Its additional networks are converted to JSON, so that they are
/// read as in a review. Numbers that are not integers become 0, as the catalog does not use them.
pub(super) fn operator(reader: &mut ManifestReader, node: &DocumentNode<'_>) -> Option<Manifest> {
    let metadata = reader.object_in(node, "metadata");
    required_name(reader, node, metadata, name::subdomain)?;
    let spec = reader.object_in(node, "spec");
    let list = spec.and_then(|spec| spec.get("additionalNetworks"));
    if let Some(list) = list.filter(|list| list.elements().is_none()) {
        reader.wrong_type(list, "spec.additionalNetworks", "a list");
    }
    let text = list.map_or_else(String::new, |list| json(list).to_string());
    let elements = list.and_then(DocumentNode::elements).unwrap_or_default();
    let config = |entry: &DocumentNode<'_>| {
        let config = entry.get("rawCNIConfig")?;
        Some(Located {
            value: config.string()?.into(),
            location: config.location,
        })
    };
    Some(Manifest::Operator(OperatorManifest {
        entries: operator::read(&text),
        configs: elements.iter().map(config).collect(),
    }))
}

pub(super) fn slice_pool(reader: &mut ManifestReader, node: &DocumentNode<'_>) -> Option<Manifest> {
    let metadata = reader.object_in(node, "metadata");
    let name = required_name(reader, node, metadata, name::subdomain);
    Some(Manifest::SlicePool(SlicePoolManifest {
        namespace: namespace_of(reader, metadata),
        name: name?.into(),
    }))
}

pub(super) fn config_map(reader: &mut ManifestReader, node: &DocumentNode<'_>) -> Option<Manifest> {
    let metadata = reader.object_in(node, "metadata");
    let name = required_name(reader, node, metadata, name::subdomain);
    Some(Manifest::ConfigMap(ConfigMapManifest {
        namespace: namespace_of(reader, metadata),
        data: texts(reader, Some(node), "data"),
        name: name?.into(),
    }))
}

pub(super) fn json(node: &DocumentNode<'_>) -> serde_json::Value {
    use nadmit_cni::document::NodeValue;
    match &node.value {
        NodeValue::Null => serde_json::Value::Null,
        NodeValue::Boolean(value) => (*value).into(),
        NodeValue::Number(number) => number.unwrap_or_default().into(),
        NodeValue::String(text) => text.as_ref().into(),
        NodeValue::List(elements) => elements.iter().map(json).collect(),
        NodeValue::Object(entries) => {
            let pair = |entry: &nadmit_cni::document::ObjectEntry<'_>| {
                Some((entry.key.string()?.to_owned(), json(&entry.value)))
            };
            entries.iter().filter_map(pair).collect()
        }
    }
}

pub(super) fn pod(reader: &mut ManifestReader, node: &DocumentNode<'_>) -> Option<Manifest> {
    let metadata = reader.object_in(node, "metadata");
    let name = pod_name(reader, node, metadata);
    Some(Manifest::Pod(PodManifest {
        namespace: namespace_of(reader, metadata),
        annotations: texts(reader, metadata, "metadata.annotations"),
        identity: identity(metadata),
        host_network: host_network(reader, node, ""),
        finished: is_finished(phase(node)),
        terminating: metadata.is_some_and(is_terminating),
        node: node_name(node),
        name: name?,
    }))
}

/// Reads the identifying fields of a pod's metadata; fields of another type are ignored.
fn identity(metadata: Option<&DocumentNode<'_>>) -> PodIdentity {
    let text = |node: &DocumentNode<'_>, key| node.get(key)?.string().map(Box::from);
    let owners = metadata.and_then(|m| m.get("ownerReferences")?.elements());
    let mut owners = owners.into_iter().flatten();
    let controls = |owner: &&DocumentNode<'_>| {
        let controller = owner.get("controller");
        controller
            .and_then(DocumentNode::boolean)
            .unwrap_or_default()
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

/// Returns true if the object has a deletion timestamp.
fn is_terminating(metadata: &DocumentNode<'_>) -> bool {
    metadata.get("deletionTimestamp").is_some()
}

/// Returns true if the containers of a pod in this phase have ended for ever.
pub fn is_finished(phase: Option<&str>) -> bool {
    matches!(phase, Some("Succeeded" | "Failed"))
}

/// Returns `spec.nodeName`, if it is a string that is not empty.
fn node_name(node: &DocumentNode<'_>) -> Option<Box<str>> {
    let name = node.get("spec")?.get("nodeName")?.string()?;
    (!name.is_empty()).then(|| name.into())
}

/// Returns `status.phase`; a value of another type is ignored, as it is not written by hand.
fn phase<'n>(node: &'n DocumentNode<'_>) -> Option<&'n str> {
    node.get("status")?.get("phase")?.string()
}

pub(super) fn pod_name(
    reader: &mut ManifestReader,
    node: &DocumentNode<'_>,
    metadata: Option<&DocumentNode<'_>>,
) -> Option<PodName> {
    let prefix = metadata.and_then(|metadata| metadata.get("generateName"));
    if let (Some(metadata), Some(_)) = (metadata, prefix)
        && metadata.get("name").is_none()
    {
        let text = reader.text_in(metadata, "metadata.generateName")?;
        return Some(PodName::Generated(text.into()));
    }
    let name = required_name(reader, node, metadata, name::subdomain)?;
    Some(PodName::Explicit(name.into()))
}

/// Reads `spec.hostNetwork` of a pod, or of the template at this path.
pub(super) fn host_network(
    reader: &mut ManifestReader,
    node: &DocumentNode<'_>,
    path: &str,
) -> bool {
    let spec = reader.object_in(node, &format!("{path}spec"));
    let Some(value) = spec.and_then(|spec| spec.get("hostNetwork")) else {
        return false;
    };
    if value.boolean().is_none() {
        reader.wrong_type(value, &format!("{path}spec.hostNetwork"), "true or false");
    }
    value.boolean().unwrap_or_default()
}

pub(super) fn required_name<'n>(
    reader: &mut ManifestReader,
    node: &DocumentNode<'_>,
    metadata: Option<&'n DocumentNode<'_>>,
    check: fn(&str) -> Result<(), NameError>,
) -> Option<&'n str> {
    const FIELD: &str = "metadata.name";
    let value = metadata.and_then(|metadata| metadata.get("name"));
    let (Some(metadata), Some(_)) = (metadata, value) else {
        let instead = "`name:` under `metadata:`".to_owned();
        reader.missing(metadata.unwrap_or(node), FIELD, instead);
        return None;
    };
    checked_name(reader, metadata, FIELD, check)
}

pub(super) fn namespace_of(
    reader: &mut ManifestReader,
    metadata: Option<&DocumentNode<'_>>,
) -> Box<str> {
    let given = metadata.filter(|m| m.get("namespace").is_some_and(|n| n.string() != Some("")));
    given
        .and_then(|given| checked_name(reader, given, "metadata.namespace", name::label))
        .unwrap_or(DEFAULT_NAMESPACE)
        .into()
}

fn checked_name<'n>(
    reader: &mut ManifestReader,
    metadata: &'n DocumentNode<'_>,
    path: &str,
    check: fn(&str) -> Result<(), NameError>,
) -> Option<&'n str> {
    let text = reader.text_in(metadata, path)?;
    let Err(error) = check(text) else {
        return Some(text);
    };
    let fault = ManifestFault::Name {
        field: reader.field(path),
        text: text.to_owned(),
        error,
    };
    let location = metadata.get(path.trim_start_matches("metadata."));
    reader.fault(location.unwrap_or(metadata), fault);
    None
}

/// Reads annotations, labels or data. A null value is empty, as for the API server.
pub(super) fn texts(
    reader: &mut ManifestReader,
    metadata: Option<&DocumentNode<'_>>,
    path: &str,
) -> LocatedEntries {
    let map = metadata.and_then(|metadata| reader.object_in(metadata, path));
    let mut texts = LocatedEntries::new();
    for entry in map.and_then(DocumentNode::entries).unwrap_or_default() {
        let Some(key) = entry.key.string() else {
            continue;
        };
        match entry.value.string() {
            Some(text) => texts.push((key.into(), located(text, &entry.value))),
            None if entry.value.is_null() => texts.push((key.into(), located("", &entry.value))),
            None => reader.wrong_type(&entry.value, &format!("{path}[{key}]"), "a string"),
        }
    }
    texts
}

fn located(text: &str, node: &DocumentNode<'_>) -> Located<Box<str>> {
    Located {
        value: text.into(),
        location: node.location,
    }
}
