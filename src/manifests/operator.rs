//! Networks that are no NetworkAttachmentDefinitions yet: those that OpenShift's operator makes, and
//! configurations as files on nodes have them.

use crate::{
    document::Node,
    network::{ConfigState, Network},
};

use super::{Located, Manifest, NetworkManifest, reading::Reading};

/// Where the operator makes a network that names no namespace.
const DEFAULT_NAMESPACE: &str = "default";

/// Reads `Network` of `operator.openshift.io`: its additional networks of type Raw.
pub(super) fn network(reading: &mut Reading, node: &Node<'_>) -> Option<Manifest> {
    let spec = reading.object_in(node, "spec");
    let listed = spec.and_then(|spec| spec.get("additionalNetworks")?.elements());
    let mut networks = Vec::new();
    for (index, element) in listed.unwrap_or_default().iter().enumerate() {
        let path = |name: &str| format!("spec.additionalNetworks[{index}].{name}");
        let text = reading.text_in(element, &path("rawCNIConfig"));
        let (Some(text), Some(node)) = (text, element.get("rawCNIConfig")) else {
            continue;
        };
        let name = reading.text_in(element, &path("name")).unwrap_or_default();
        let namespace = reading.text_in(element, &path("namespace"));
        let network = Network {
            namespace: namespace.unwrap_or(DEFAULT_NAMESPACE).into(),
            name: name.into(),
            config: ConfigState::read(Some(text)),
            resource_name: None,
            address_pool: None,
        };
        let config = Some(Located {
            value: text.into(),
            place: node.place,
        });
        networks.push((index, NetworkManifest { network, config }));
    }
    Some(Manifest::Operator(networks))
}

/// A document that is no object of Kubernetes, but a CNI configuration in JSON.
pub(super) fn configuration(node: &Node<'_>, text: &str) -> Option<Manifest> {
    let has = |name| node.get(name).is_some();
    let is_one = has("cniVersion") && (has("type") || has("plugins")) && !has("kind");
    let (start, end) = (node.place.span.start as usize, node.place.span.end as usize);
    let json = text.get(start..end).filter(|json| json.starts_with('{'));
    json.filter(|_| is_one).map(|json| {
        Manifest::Configuration(Located {
            value: json.into(),
            place: node.place,
        })
    })
}
