//! Objects of other projects from which their operators generate a `NetworkAttachmentDefinition`
//! with a known name and an unknown configuration.
//!
//! Mistakes in them are not reported, and all of their versions are read.

use nadmit_allocation::{selector::Selector, spec::SelectorSpec};
use nadmit_cni::document::DocumentNode;

use super::{GeneratedNetworkManifest, TargetNamespaces, objects::json};

/// The namespace of objects that name none, as for kubectl.
const DEFAULT_NAMESPACE: &str = "default";
/// The annotation with the name of a `SpiderMultusConfig`'s network, if it differs from its own.
const SPIDER_NAME: &str = "multus.spidernet.io/cr-name";

/// A kind from which networks are generated.
struct GeneratorKind {
    kind: &'static str,
    group: &'static str,
    namespace_source: NamespaceSource,
    /// The prefix of the resource name in `spec.resourceName`.
    resource_prefix: Option<&'static str>,
}

/// The source of the network's namespace.
#[derive(Clone, Copy, PartialEq, Eq)]
enum NamespaceSource {
    /// The object's own namespace.
    Own,
    /// `spec.networkNamespace`, or the object's own.
    NamedOrOwn,
    /// `spec.networkNamespace`, or `default`.
    NamedOrDefault,
    /// The namespaces that match `spec.namespaceSelector`.
    Selected,
}

const SRIOV: &str = "sriovnetwork.openshift.io";
const OVN: &str = "k8s.ovn.org";
const NVIDIA: &str = "mellanox.com";

const GENERATORS: &[GeneratorKind] = &[
    generator(
        "SriovNetwork",
        SRIOV,
        NamespaceSource::NamedOrOwn,
        Some("openshift.io"),
    ),
    generator(
        "SriovIBNetwork",
        SRIOV,
        NamespaceSource::NamedOrOwn,
        Some("openshift.io"),
    ),
    generator(
        "OVSNetwork",
        SRIOV,
        NamespaceSource::NamedOrOwn,
        Some("openshift.io"),
    ),
    generator("UserDefinedNetwork", OVN, NamespaceSource::Own, None),
    generator(
        "ClusterUserDefinedNetwork",
        OVN,
        NamespaceSource::Selected,
        None,
    ),
    generator(
        "MacvlanNetwork",
        NVIDIA,
        NamespaceSource::NamedOrDefault,
        None,
    ),
    generator(
        "IPoIBNetwork",
        NVIDIA,
        NamespaceSource::NamedOrDefault,
        None,
    ),
    generator(
        "HostDeviceNetwork",
        NVIDIA,
        NamespaceSource::NamedOrDefault,
        Some("nvidia.com"),
    ),
    generator(
        "SpiderMultusConfig",
        "spiderpool.spidernet.io",
        NamespaceSource::Own,
        None,
    ),
];

const fn generator(
    kind: &'static str,
    group: &'static str,
    namespace_source: NamespaceSource,
    resource_prefix: Option<&'static str>,
) -> GeneratorKind {
    GeneratorKind {
        kind,
        group,
        namespace_source,
        resource_prefix,
    }
}

/// Reads an object from which a network is generated; `None` for other objects and those without a
/// name.
pub(super) fn read(kind: &str, node: &DocumentNode<'_>) -> Option<GeneratedNetworkManifest> {
    let generator = GENERATORS.iter().find(|generator| generator.kind == kind)?;
    let version = node.get("apiVersion")?.string()?;
    let (group, _) = version.split_once('/')?;
    if group != generator.group {
        return None;
    }
    let metadata = node.get("metadata")?;
    let spec = node.get("spec");
    let text = |node: Option<&DocumentNode<'_>>, key: &str| {
        let text = node?.get(key)?.string()?;
        (!text.is_empty()).then(|| text.to_owned())
    };
    let own = text(Some(metadata), "namespace");
    let name = text(Some(metadata), "name")?;
    let network = match kind {
        "SpiderMultusConfig" => text(metadata.get("annotations"), SPIDER_NAME),
        _ => None,
    };
    let named = text(spec, "networkNamespace");
    let own_or_default = own.clone().unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned());
    let namespaces = match generator.namespace_source {
        NamespaceSource::Own => TargetNamespaces::Namespace(own_or_default.as_str().into()),
        NamespaceSource::NamedOrOwn => {
            TargetNamespaces::Namespace(named.unwrap_or(own_or_default.clone()).into())
        }
        NamespaceSource::NamedOrDefault => {
            TargetNamespaces::Namespace(named.as_deref().unwrap_or(DEFAULT_NAMESPACE).into())
        }
        NamespaceSource::Selected => TargetNamespaces::Selected(selector(spec)?),
    };
    let resource = generator.resource_prefix.and_then(|prefix| {
        let name = text(spec, "resourceName")?;
        Some(format!("{prefix}/{name}").into())
    });
    Some(GeneratedNetworkManifest {
        kind: generator.kind,
        namespace: match generator.namespace_source {
            NamespaceSource::Selected => "".into(),
            _ => own_or_default.into(),
        },
        network: network.as_deref().unwrap_or(&name).into(),
        name: name.into(),
        namespaces,
        resource_name: resource,
    })
}

fn selector(spec: Option<&DocumentNode<'_>>) -> Option<Selector> {
    let written = json(spec?.get("namespaceSelector")?);
    let spec: SelectorSpec = serde_json::from_value(written).ok()?;
    Selector::new(&spec).ok()
}

#[cfg(test)]
mod tests {
    use super::super::{Manifest, TargetNamespaces, read};

    #[test]
    fn each_kind_has_its_network_where_its_operator_creates_it() {
        let generated = |text: &str| {
            let read = read(text, "a.yaml");
            assert_eq!(read.errors, [], "{text}");
            let object = read.objects.first().map(|object| &object.value);
            match object {
                Some(Manifest::GeneratedNetwork(generated)) => match &generated.namespaces {
                    TargetNamespaces::Namespace(namespace) => {
                        format!("{namespace}/{}", generated.network)
                    }
                    TargetNamespaces::Selected(selector) => {
                        format!("{selector}: {}", generated.network)
                    }
                },
                _ => String::new(),
            }
        };
        for (version, kind, rest, expected) in [
            (
                "sriovnetwork.openshift.io/v1",
                "SriovNetwork",
                "spec: {networkNamespace: demo}",
                "demo/net",
            ),
            (
                "sriovnetwork.openshift.io/v2",
                "SriovIBNetwork",
                "spec: {}",
                "own/net",
            ),
            (
                "sriovnetwork.openshift.io/v1",
                "OVSNetwork",
                "spec: {networkNamespace: db}",
                "db/net",
            ),
            (
                "k8s.ovn.org/v1",
                "UserDefinedNetwork",
                "spec: {topology: Layer2}",
                "own/net",
            ),
            (
                "k8s.ovn.org/v1",
                "ClusterUserDefinedNetwork",
                "spec: {namespaceSelector: {matchLabels: {a: b}}}",
                "a=b: net",
            ),
            (
                "mellanox.com/v1alpha1",
                "MacvlanNetwork",
                "spec: {}",
                "default/net",
            ),
            (
                "mellanox.com/v1alpha1",
                "HostDeviceNetwork",
                "spec: {networkNamespace: db}",
                "db/net",
            ),
            (
                "spiderpool.spidernet.io/v2beta1",
                "SpiderMultusConfig",
                "spec: {}",
                "own/net",
            ),
            (
                "example.com/v1",
                "SriovNetwork",
                "spec: {networkNamespace: demo}",
                "",
            ),
        ] {
            let text = format!(
                "apiVersion: {version}\nkind: {kind}\nmetadata: {{name: net, namespace: own}}\n{rest}\n"
            );
            assert_eq!(generated(&text), expected, "{text}");
        }
    }
}
