//! Objects of other projects that make networks: a `NetworkAttachmentDefinition` of a known name, whose
//! configuration is written somewhere else.
//!
//! They are other people's: what is wrong with them is not said, and any version of theirs is read.

use crate::{
    allocation::{selector::Selector, spec::SelectorSpec},
    document::Node,
};

use super::{MadeNetworkManifest, NetworkHome, kinds::json};

/// The namespace of what names none, as for kubectl.
const DEFAULT_NAMESPACE: &str = "default";
/// The annotation by which a `SpiderMultusConfig` names its network otherwise than itself.
const SPIDER_NAME: &str = "multus.spidernet.io/cr-name";

/// A kind that makes networks.
struct Maker {
    kind: &'static str,
    group: &'static str,
    home: Home,
    /// The prefix of the resource that `spec.resourceName` names.
    resources: Option<&'static str>,
}

/// The namespace of the network.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Home {
    /// The object's own.
    Own,
    /// `spec.networkNamespace`, or the object's own.
    NamedOrOwn,
    /// `spec.networkNamespace`, or `default`.
    NamedOrDefault,
    /// Those that `spec.namespaceSelector` selects.
    Selected,
}

const SRIOV: &str = "sriovnetwork.openshift.io";
const OVN: &str = "k8s.ovn.org";
const NVIDIA: &str = "mellanox.com";

const MAKERS: &[Maker] = &[
    maker(
        "SriovNetwork",
        SRIOV,
        Home::NamedOrOwn,
        Some("openshift.io"),
    ),
    maker(
        "SriovIBNetwork",
        SRIOV,
        Home::NamedOrOwn,
        Some("openshift.io"),
    ),
    maker("OVSNetwork", SRIOV, Home::NamedOrOwn, Some("openshift.io")),
    maker("UserDefinedNetwork", OVN, Home::Own, None),
    maker("ClusterUserDefinedNetwork", OVN, Home::Selected, None),
    maker("MacvlanNetwork", NVIDIA, Home::NamedOrDefault, None),
    maker("IPoIBNetwork", NVIDIA, Home::NamedOrDefault, None),
    maker(
        "HostDeviceNetwork",
        NVIDIA,
        Home::NamedOrDefault,
        Some("nvidia.com"),
    ),
    maker(
        "SpiderMultusConfig",
        "spiderpool.spidernet.io",
        Home::Own,
        None,
    ),
];

const fn maker(
    kind: &'static str,
    group: &'static str,
    home: Home,
    resources: Option<&'static str>,
) -> Maker {
    Maker {
        kind,
        group,
        home,
        resources,
    }
}

/// Reads an object that makes a network; `None` of every other, and of one without a name.
pub(super) fn read(kind: &str, node: &Node<'_>) -> Option<MadeNetworkManifest> {
    let maker = MAKERS.iter().find(|maker| maker.kind == kind)?;
    let version = node.get("apiVersion")?.string()?;
    let (group, _) = version.split_once('/')?;
    if group != maker.group {
        return None;
    }
    let metadata = node.get("metadata")?;
    let spec = node.get("spec");
    let word = |node: Option<&Node<'_>>, key: &str| {
        let text = node?.get(key)?.string()?;
        (!text.is_empty()).then(|| text.to_owned())
    };
    let own = word(Some(metadata), "namespace");
    let name = word(Some(metadata), "name")?;
    let network = match kind {
        "SpiderMultusConfig" => word(metadata.get("annotations"), SPIDER_NAME),
        _ => None,
    };
    let named = word(spec, "networkNamespace");
    let own_or_default = own.clone().unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned());
    let home = match maker.home {
        Home::Own => NetworkHome::Namespace(own_or_default.as_str().into()),
        Home::NamedOrOwn => NetworkHome::Namespace(named.unwrap_or(own_or_default.clone()).into()),
        Home::NamedOrDefault => {
            NetworkHome::Namespace(named.as_deref().unwrap_or(DEFAULT_NAMESPACE).into())
        }
        Home::Selected => NetworkHome::Selected(selector(spec)?),
    };
    let resource = maker.resources.and_then(|prefix| {
        let name = word(spec, "resourceName")?;
        Some(format!("{prefix}/{name}").into())
    });
    Some(MadeNetworkManifest {
        kind: maker.kind,
        namespace: match maker.home {
            Home::Selected => "".into(),
            _ => own_or_default.into(),
        },
        network: network.as_deref().unwrap_or(&name).into(),
        name: name.into(),
        home,
        resource_name: resource,
    })
}

fn selector(spec: Option<&Node<'_>>) -> Option<Selector> {
    let written = json(spec?.get("namespaceSelector")?);
    let spec: SelectorSpec = serde_json::from_value(written).ok()?;
    Selector::new(&spec).ok()
}

#[cfg(test)]
mod tests {
    use super::super::{Manifest, NetworkHome, read};

    #[test]
    fn each_kind_makes_its_network_where_its_operator_does() {
        let made = |text: &str| {
            let read = read(text, "a.yaml");
            assert_eq!(read.errors, [], "{text}");
            let object = read.objects.first().map(|object| &object.value);
            match object {
                Some(Manifest::Made(made)) => match &made.home {
                    NetworkHome::Namespace(home) => format!("{home}/{}", made.network),
                    NetworkHome::Selected(selector) => format!("{selector}: {}", made.network),
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
            assert_eq!(made(&text), expected, "{text}");
        }
    }
}
