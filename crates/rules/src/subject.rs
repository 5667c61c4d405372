//! The input of the rules on pods.

use std::{
    borrow::Cow,
    collections::HashSet,
    sync::{Arc, OnceLock},
};

use nadmit_catalog::Catalog;
use nadmit_cni::{
    Annotation, AnnotationFormat, Network, Selection, Span, annotations, cni::Capability,
    interface, selection::DecodeError,
};

use super::{finding::FieldRef, level::Levels, policy::Policy};

/// A pod's annotations, parsed, each selection resolved against the catalog.
#[derive(Debug)]
pub struct PodSubject<'a> {
    /// The pod's namespace.
    pub namespace: &'a str,
    /// Set if the pod has `hostNetwork: true`.
    pub host_network: bool,
    /// The pod's name, if it is being created. The names of a template's pods are not known.
    pub name: Option<&'a str>,
    /// Set for a launcher pod of a KubeVirt virtual machine.
    pub is_launcher: bool,
    /// Set if the pod was created for a node, bypassing the scheduler, or is already bound to one.
    pub has_node: bool,
    /// Set for a launcher pod whose annotations were written by KubeVirt's own accounts.
    pub by_kubevirt: bool,
    /// The settings of nadmit.
    pub policy: &'a Policy,
    /// The known networks, pools and namespaces.
    pub catalog: &'a Catalog,
    /// Annotation keys that no component reads and that resemble those of network requests.
    pub unread: Vec<&'a str>,
    /// The pod's annotations that request networks.
    pub requests: Vec<NetworkRequest<'a>>,
}

/// An annotation of a pod that requests networks.
#[derive(Debug)]
pub struct NetworkRequest<'a> {
    /// The key of the annotation and its default namespace.
    pub origin: AnnotationOrigin<'a>,
    /// The parsed value.
    pub annotation: Annotation<'a>,
    /// The networks of the selections, in order.
    pub networks: Vec<Resolution<'a>>,
    /// The paths of the decoder's errors; built on first use.
    pub(super) fault_paths: OnceLock<HashSet<Box<str>>>,
}

/// An annotation key with the namespace that applies to its unqualified names.
#[derive(Debug, Clone, Copy)]
pub struct AnnotationOrigin<'a> {
    /// The key of the annotation.
    pub key: &'static str,
    /// The namespace in which names without a namespace are looked up.
    pub default_namespace: &'a str,
}

/// The result of looking up the network of a selection.
#[derive(Debug, Clone)]
pub enum Resolution<'a> {
    /// The network exists, and the pod may use it.
    Found(&'a Arc<Network>),
    /// No network has that name in that namespace.
    Missing,
    /// The pod may not use networks of that namespace. Holds the network, if it exists.
    Forbidden(Option<&'a Arc<Network>>),
    /// The selection has no valid name or namespace, so nothing was looked up.
    InvalidName,
}

/// A selection with its annotation and the network that it resolves to.
#[derive(Debug, Clone, Copy)]
pub struct Attachment<'s, 'a> {
    /// The annotation that contains the selection.
    pub request: &'s NetworkRequest<'a>,
    /// The selection as written.
    pub selection: &'s Selection<'a>,
    /// The result of looking up its network.
    pub resolution: &'s Resolution<'a>,
}

/// An attachment to a network that an address pool serves.
#[derive(Debug, Clone, Copy)]
pub struct PooledAttachment<'s, 'a> {
    pub attachment: Attachment<'s, 'a>,
    /// The network of the attachment.
    pub network: &'a Network,
    /// The name of the pool.
    pub pool: &'a str,
}

/// A pod before and after an update.
#[derive(Debug)]
pub struct UpdateSubject<'a> {
    /// The pod's namespace.
    pub namespace: &'a str,
    /// The settings of nadmit.
    pub policy: &'a Policy,
    /// Set if the caller may change attachments: nadmit itself, KubeVirt hot-plugging an interface, or
    /// any user in a namespace that is opted out.
    pub may_change: bool,
    /// The annotations before and after, by key.
    pub changes: Vec<AnnotationChange<'a>>,
}

/// One annotation before and after an update.
#[derive(Debug)]
pub struct AnnotationChange<'a> {
    /// The key of the annotation and its default namespace.
    pub origin: AnnotationOrigin<'a>,
    /// The value before; `None` if the annotation was absent.
    pub before: Option<&'a str>,
    /// The value after; `None` if the annotation is absent.
    pub after: Option<&'a str>,
}

impl<'a> PodSubject<'a> {
    /// Parses a pod's annotations and resolves their selections.
    pub fn new(
        namespace: &'a str,
        host_network: bool,
        networks: Option<&'a str>,
        default_network: Option<&'a str>,
        policy: &'a Policy,
        catalog: &'a Catalog,
    ) -> Self {
        let default_network =
            default_network.map(|text| (AnnotationOrigin::default_network(policy), text));
        // Multus ignores the empty string here, and fails on it in the default network's annotation.
        let networks = networks
            .filter(|text| !text.is_empty())
            .map(|text| (AnnotationOrigin::networks(namespace), text));
        let requests = default_network
            .into_iter()
            .chain(networks)
            .map(|(origin, text)| {
                let annotation = Annotation::parse(text);
                let resolve = |selection| resolve(selection, &origin, namespace, policy, catalog);
                let networks = annotation.selections.iter().map(resolve).collect();
                NetworkRequest {
                    origin,
                    annotation,
                    networks,
                    fault_paths: OnceLock::new(),
                }
            });
        Self {
            namespace,
            host_network,
            name: None,
            is_launcher: false,
            has_node: false,
            by_kubevirt: false,
            policy,
            catalog,
            unread: Vec::new(),
            requests: requests.collect(),
        }
    }

    /// Returns true if the pod's namespace has the label for injection: only there nadmit serves networks
    /// of Whereabouts.
    pub fn has_injection_label(&self) -> bool {
        self.catalog.has_injection_label(self.namespace)
    }

    /// Returns every selection of every annotation, resolved.
    pub fn attachments(&self) -> impl Iterator<Item = Attachment<'_, 'a>> {
        self.requests.iter().flat_map(NetworkRequest::attachments)
    }

    /// Returns the selections whose interfaces may have one name. Automatic names differ from each other:
    /// they count only if a selection names its interface alike.
    pub(crate) fn with_comparable_interfaces(&self) -> impl Iterator<Item = Attachment<'_, 'a>> {
        let likeness = |attachment: Attachment<'_, 'a>| {
            let written = attachment.selection.interface.as_ref();
            written.is_some_and(|name| name.text.starts_with(interface::AUTOMATIC_PREFIX))
        };
        let all = self.attachments().any(likeness);
        self.attachments()
            .filter(move |attachment| all || !attachment.has_automatic_interface())
    }

    /// Returns the first selections, for rules with an expensive check. The limit is above what any pod
    /// has.
    pub(crate) fn first_attachments(&self) -> impl Iterator<Item = Attachment<'_, 'a>> {
        const MAX: usize = 100;
        self.attachments().take(MAX)
    }

    /// Returns the selections whose networks an address pool serves, including those of namespaces that
    /// the pod may not use: the level of that rule is configurable, while access to pools is not.
    pub fn pooled(&self) -> impl Iterator<Item = PooledAttachment<'_, 'a>> {
        self.attachments().filter_map(|attachment| {
            let network = attachment.definition()?;
            let pool = network.pool()?;
            Some(PooledAttachment {
                attachment,
                network,
                pool,
            })
        })
    }
}

impl<'a> PooledAttachment<'_, 'a> {
    /// Returns a reference to the name of the network in the selection.
    pub fn field_ref(&self) -> FieldRef<'a> {
        let selection = self.attachment.selection;
        let span = selection
            .name
            .as_ref()
            .map_or(selection.span, |name| name.span);
        self.attachment
            .field_ref(self.attachment.member("name"), span)
    }
}

impl<'a> AnnotationOrigin<'a> {
    /// Returns the annotation of additional networks, for a pod in `namespace`.
    pub fn networks(namespace: &'a str) -> Self {
        Self {
            key: annotations::NETWORKS,
            default_namespace: namespace,
        }
    }

    /// Returns the annotation of the network of `eth0`.
    pub fn default_network(policy: &'a Policy) -> Self {
        Self {
            key: annotations::DEFAULT_NETWORK,
            default_namespace: &policy.multus_namespace,
        }
    }

    /// Returns the interface name of a selection, requested or automatic.
    pub fn interface<'s>(&self, selection: &'s Selection<'_>) -> Cow<'s, str> {
        match (self.key, &selection.interface) {
            (annotations::DEFAULT_NETWORK, None) => Cow::Borrowed(interface::CLUSTER),
            _ => selection.interface_name(),
        }
    }
}

impl<'a> NetworkRequest<'a> {
    /// Returns the selections of this annotation, resolved.
    pub fn attachments(&self) -> impl Iterator<Item = Attachment<'_, 'a>> {
        let pairs = self.annotation.selections.iter().zip(&self.networks);
        pairs.map(|(selection, resolution)| Attachment {
            request: self,
            selection,
            resolution,
        })
    }

    /// Returns a reference to the whole annotation.
    pub fn field_ref(&self) -> FieldRef<'a> {
        FieldRef {
            field: annotation_path(self.origin.key, ""),
            source: None,
        }
    }

    /// Returns a reference to a part of the annotation, with its path from the list (such as `[0].ips`)
    /// and its span in the text.
    pub(crate) fn field_ref_at(&self, path: &str, span: Span) -> FieldRef<'a> {
        FieldRef {
            field: annotation_path(self.origin.key, path),
            source: Some((span, self.annotation.text)),
        }
    }
}

impl<'s, 'a> Attachment<'s, 'a> {
    /// Returns the network, if it exists and the pod may use it.
    pub fn network(&self) -> Option<&'a Network> {
        match self.resolution {
            Resolution::Found(network) => Some(network),
            _ => None,
        }
    }

    /// Returns the network, also if the pod may not use its namespace: that rule depends on levels and on
    /// Multus's settings, while the right to an address does not.
    pub fn definition(&self) -> Option<&'a Network> {
        match self.resolution {
            Resolution::Found(network) => Some(network),
            Resolution::Forbidden(network) => network.map(|network| &**network),
            Resolution::Missing | Resolution::InvalidName => None,
        }
    }

    /// Returns the namespace in which the network is looked up.
    pub fn namespace(&self) -> &'s str {
        self.selection
            .namespace_or(self.request.origin.default_namespace)
    }

    /// Returns the name of the interface in the pod.
    pub fn interface(&self) -> Cow<'s, str> {
        self.request.origin.interface(self.selection)
    }

    /// Returns true if Multus names the interface by the selection's index.
    fn has_automatic_interface(&self) -> bool {
        self.selection.interface.is_none() && self.request.origin.key == annotations::NETWORKS
    }

    /// Returns the class of a request that the plugin behind `capability` would reject: it fails, or, if
    /// no plugin has the capability, is silently lost.
    pub(crate) fn rejection_class(&self, capability: Capability) -> Levels {
        match self.network().and_then(|network| network.config.loaded()) {
            Some(config) if !config.has(capability) => Levels::MISLEADS,
            _ => Levels::FAILS,
        }
    }

    /// Returns the name of a member for a path. It is empty in the short format, where only whole
    /// elements have paths.
    pub fn member(&self, name: &'static str) -> &'static str {
        match self.request.annotation.format {
            AnnotationFormat::Short => "",
            AnnotationFormat::Json => name,
        }
    }

    /// Returns the path of a member from the annotation's list.
    pub fn path(&self, member: &str) -> String {
        format!("[{}].{member}", self.selection.index)
    }

    /// Returns a reference to a member (such as `ips[1]`; empty for the whole selection).
    pub fn field_ref(&self, member: &str, span: Span) -> FieldRef<'a> {
        let dot = if member.is_empty() { "" } else { "." };
        self.request
            .field_ref_at(&format!("[{}]{dot}{member}", self.selection.index), span)
    }
}

/// Returns true if the fault is about `cni-args` itself, which a separate rule reports.
pub(crate) fn is_cni_args_fault(fault: &DecodeError) -> bool {
    fault.path.ends_with(".cni-args")
}

/// Returns the field path of an annotation, or of a part of it.
pub(crate) fn annotation_path(key: &str, path: &str) -> String {
    format!("metadata.annotations[{key}]{path}")
}

fn resolve<'a>(
    selection: &Selection<'_>,
    request: &AnnotationOrigin<'_>,
    own: &str,
    policy: &Policy,
    catalog: &'a Catalog,
) -> Resolution<'a> {
    let fits = selection
        .namespace
        .as_ref()
        .is_none_or(|name| name.value.is_ok());
    let Some(name) = selection
        .name
        .as_ref()
        .filter(|name| name.value.is_ok() && fits)
    else {
        return Resolution::InvalidName;
    };
    let namespace = selection.namespace_or(request.default_namespace);
    // Multus does not isolate namespaces for the default network.
    let isolated = request.key == annotations::NETWORKS;
    let network = catalog.network(namespace, &name.text);
    if isolated && !policy.may_use(own, namespace) {
        return Resolution::Forbidden(network);
    }
    match network {
        Some(network) => Resolution::Found(network),
        None => Resolution::Missing,
    }
}
