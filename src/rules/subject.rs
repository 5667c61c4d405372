//! What a rule looks at.

use std::{borrow::Cow, sync::Arc};

use crate::{
    catalog::Catalog,
    network::{
        Annotation, AnnotationFormat, Network, Selection, Span, annotations, cni::Capability,
        interface, selection::DecodeError,
    },
};

use super::{finding::FieldRef, level::Levels, policy::Policy};

/// A pod's annotations, parsed, each selection resolved against the catalog.
#[derive(Debug)]
pub struct PodSubject<'a> {
    /// The pod's namespace.
    pub namespace: &'a str,
    /// Whether it uses the node's own network.
    pub host_network: bool,
    /// Its name, if it is created now; that of a template's pods is not known.
    pub name: Option<&'a str>,
    /// Whether it is in front of a virtual machine.
    pub is_launcher: bool,
    /// Whether it was made for a certain node, past the scheduler, or runs on one already.
    pub has_node: bool,
    /// Whether KubeVirt's own accounts wrote the annotations, of a launcher pod.
    pub by_kubevirt: bool,
    /// The settings.
    pub policy: &'a Policy,
    /// The networks there are.
    pub catalog: &'a Catalog,
    /// The keys of annotations that nobody reads, much like those that ask for networks.
    pub unread: Vec<&'a str>,
    /// The annotations that ask for networks, those that the pod has.
    pub requests: Vec<NetworkRequest<'a>>,
}

/// One of the annotations by which a pod asks for networks.
#[derive(Debug)]
pub struct NetworkRequest<'a> {
    /// Which annotation it is.
    pub origin: AnnotationOrigin<'a>,
    /// Its value, parsed.
    pub annotation: Annotation<'a>,
    /// Its selections, resolved, in their order.
    pub networks: Vec<Resolution<'a>>,
}

/// One of the two annotations, as it reads in one pod.
#[derive(Debug, Clone, Copy)]
pub struct AnnotationOrigin<'a> {
    /// The annotation's key.
    pub key: &'static str,
    /// The namespace in which names without one are looked up.
    pub default_namespace: &'a str,
}

/// What a selection's name leads to.
#[derive(Debug, Clone)]
pub enum Resolution<'a> {
    /// A network.
    Found(&'a Arc<Network>),
    /// No network of that name in that namespace.
    Missing,
    /// A network in a namespace that the pod may not use, if it exists.
    Forbidden(Option<&'a Arc<Network>>),
    /// The name is none, so there is nothing to look up.
    InvalidName,
}

/// A selection resolved: what was asked, and the network it leads to.
#[derive(Debug, Clone, Copy)]
pub struct Attachment<'s, 'a> {
    /// The annotation it stands in.
    pub request: &'s NetworkRequest<'a>,
    /// What was asked.
    pub selection: &'s Selection<'a>,
    /// What its name leads to.
    pub resolution: &'s Resolution<'a>,
}

/// A selection whose network an address pool serves.
#[derive(Debug, Clone, Copy)]
pub struct PooledAttachment<'s, 'a> {
    /// The selection.
    pub attachment: Attachment<'s, 'a>,
    /// The network.
    pub network: &'a Network,
    /// The pool's name.
    pub pool: &'a str,
}

/// A pod before and after an update.
#[derive(Debug)]
pub struct UpdateSubject<'a> {
    /// The pod's namespace.
    pub namespace: &'a str,
    /// The settings.
    pub policy: &'a Policy,
    /// Whether who asks may change attachments: nadmit itself, KubeVirt hot-plugging an interface, or
    /// anybody in a namespace that is opted out.
    pub may_change: bool,
    /// The annotation by each key: before, after.
    pub changes: Vec<AnnotationChange<'a>>,
}

/// One annotation before and after an update.
#[derive(Debug)]
pub struct AnnotationChange<'a> {
    /// Which annotation it is.
    pub origin: AnnotationOrigin<'a>,
    /// Its value before; `None` if there was none.
    pub before: Option<&'a str>,
    /// Its value after; `None` if there is none.
    pub after: Option<&'a str>,
}

impl<'a> PodSubject<'a> {
    /// Resolves a pod's annotations.
    pub fn new(
        namespace: &'a str,
        host_network: bool,
        networks: Option<&'a str>,
        default_network: Option<&'a str>,
        policy: &'a Policy,
        catalog: &'a Catalog,
    ) -> Self {
        let default_network = default_network.map(|text| (AnnotationOrigin::default_network(policy), text));
        // Multus ignores the empty text here, and fails on it in the default network's annotation.
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

    /// Every selection of every annotation, resolved.
    pub fn attachments(&self) -> impl Iterator<Item = Attachment<'_, 'a>> {
        self.requests.iter().flat_map(NetworkRequest::attachments)
    }

    /// The first selections, for rules whose look at one is dear: more than any pod has.
    pub fn first_attachments(&self) -> impl Iterator<Item = Attachment<'_, 'a>> {
        const MAX: usize = 100;
        self.attachments().take(MAX)
    }

    /// The selections whose networks an address pool serves. Those of namespaces that the pod may
    /// not use are among them: whether that is denied is a matter of levels, and pools are not.
    pub fn pooled(&self) -> impl Iterator<Item = PooledAttachment<'_, 'a>> {
        self.attachments().filter_map(|attachment| {
            let network = attachment.definition()?;
            let pool = network.address_pool.as_deref()?;
            Some(PooledAttachment {
                attachment,
                network,
                pool,
            })
        })
    }
}

impl<'a> PooledAttachment<'_, 'a> {
    /// Where the network is named.
    pub fn field_ref(&self) -> FieldRef<'a> {
        let selection = self.attachment.selection;
        let span = selection
            .name
            .as_ref()
            .map_or(selection.span, |name| name.span);
        self.attachment.field_ref(self.attachment.member("name"), span)
    }
}

impl<'a> AnnotationOrigin<'a> {
    /// The additional networks of a pod in `namespace`.
    pub fn networks(namespace: &'a str) -> Self {
        Self {
            key: annotations::NETWORKS,
            default_namespace: namespace,
        }
    }

    /// The network of a pod's `eth0`.
    pub fn default_network(policy: &'a Policy) -> Self {
        Self {
            key: annotations::DEFAULT_NETWORK,
            default_namespace: &policy.multus_namespace,
        }
    }

    /// The name of the interface behind a selection, requested or automatic.
    pub fn interface<'s>(&self, selection: &'s Selection<'_>) -> Cow<'s, str> {
        match (self.key, &selection.interface) {
            (annotations::DEFAULT_NETWORK, None) => Cow::Borrowed(interface::CLUSTER),
            _ => selection.interface_name(),
        }
    }
}

impl<'a> NetworkRequest<'a> {
    /// The selections, resolved.
    pub fn attachments(&self) -> impl Iterator<Item = Attachment<'_, 'a>> {
        let pairs = self.annotation.selections.iter().zip(&self.networks);
        pairs.map(|(selection, resolution)| Attachment {
            request: self,
            selection,
            resolution,
        })
    }

    /// Whether the decoder refuses the member at this path: then its absence says nothing more.
    pub fn has_fault_at(&self, path: &str) -> bool {
        self.annotation
            .decode_errors
            .iter()
            .any(|fault| fault.path == path)
    }

    /// The place of the whole annotation.
    pub fn field_ref(&self) -> FieldRef<'a> {
        FieldRef {
            field: annotation_path(self.origin.key, ""),
            source: None,
        }
    }

    /// A place in the annotation: the path from the list (`[0].ips`), and the part of the text.
    pub fn field_ref_at(&self, path: &str, span: Span) -> FieldRef<'a> {
        FieldRef {
            field: annotation_path(self.origin.key, path),
            source: Some((span, self.annotation.text)),
        }
    }
}

impl<'s, 'a> Attachment<'s, 'a> {
    /// The network, if it was found.
    pub fn network(&self) -> Option<&'a Network> {
        match self.resolution {
            Resolution::Found(network) => Some(network),
            _ => None,
        }
    }

    /// The network, also in a namespace that the pod may not use: whether that is denied is a matter of
    /// levels, and of Multus's settings, and who may have an address is not.
    pub fn definition(&self) -> Option<&'a Network> {
        match self.resolution {
            Resolution::Found(network) => Some(network),
            Resolution::Forbidden(network) => network.map(|network| &**network),
            Resolution::Missing | Resolution::InvalidName => None,
        }
    }

    /// The namespace in which the network is looked up.
    pub fn namespace(&self) -> &'s str {
        self.selection.namespace_or(self.request.origin.default_namespace)
    }

    /// The interface inside the pod.
    pub fn interface(&self) -> Cow<'s, str> {
        self.request.origin.interface(self.selection)
    }

    /// How grave a request is that the plugin behind `capability` would refuse: without the
    /// capability it never gets there, and is lost instead.
    pub fn rejection_class(&self, capability: Capability) -> Levels {
        match self.network().and_then(|network| network.config.loaded()) {
            Some(config) if !config.has(capability) => Levels::MISLEADS,
            _ => Levels::FAILS,
        }
    }

    /// The member's name in a path: the short format has none, there the whole element is meant.
    pub fn member(&self, name: &'static str) -> &'static str {
        match self.request.annotation.format {
            AnnotationFormat::Short => "",
            AnnotationFormat::Json => name,
        }
    }

    /// The path of a member from the annotation's list.
    pub fn path(&self, member: &str) -> String {
        format!("[{}].{member}", self.selection.index)
    }

    /// The place of a member (`ips[1]`; empty for the whole selection).
    pub fn field_ref(&self, member: &str, span: Span) -> FieldRef<'a> {
        let dot = if member.is_empty() { "" } else { "." };
        self.request
            .field_ref_at(&format!("[{}]{dot}{member}", self.selection.index), span)
    }
}

/// Whether a fault is that `cni-args` itself is no object, of which a rule of its own speaks.
pub fn is_cni_args_fault(fault: &DecodeError) -> bool {
    fault.path.ends_with(".cni-args")
}

/// The path of an annotation's field.
pub fn annotation_path(key: &str, path: &str) -> String {
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
