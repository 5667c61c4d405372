//! What a rule on networks looks at: one configuration, parsed once, and the other networks.

use std::sync::{Arc, OnceLock};

use crate::{
    catalog::Catalog,
    network::{
        Network, Span,
        assignable::{self, AddressInterval, AssignableRange},
        cni::{NetworkConfig, Plugin},
        json::{JsonMember, JsonNode, find},
    },
};

use super::{finding::FieldRef, policy::Policy};

/// The most parts of ranges and addresses of one network that are compared with other networks'.
const MAX_ASSIGNABLE_RANGES: usize = 4096;
/// The most comparisons of one rule on one network.
pub(super) const MAX_COMPARISONS: usize = 200_000;

/// A network as it was written, its configuration parsed. All rules read this one parse.
#[derive(Debug)]
pub struct NetworkSubject<'a> {
    raw: RawNetwork<'a>,
    /// The settings.
    pub policy: &'a Policy,
    /// The networks there are; this one may be among them, as it was.
    pub catalog: &'a Catalog,
    document: Option<(JsonNode<'a>, Vec<JsonMember<'a>>)>,
    plugins: Vec<PluginObject<'a>>,
    /// Few rules ask for it, and of a configuration with a fault there is none.
    parsed: OnceLock<Option<NetworkConfig>>,
}

/// A network's own words.
#[derive(Debug, Clone, Copy, Default)]
pub struct RawNetwork<'a> {
    /// Its namespace.
    pub namespace: &'a str,
    /// Its name.
    pub name: &'a str,
    /// Where its configuration stands.
    pub origin: ConfigOrigin<'a>,
    /// `spec.config`, or what stands for it, if it is a text.
    pub config: Option<&'a str>,
    /// `spec.config` as JSON, if it is there and no text.
    pub non_string_config: Option<&'a str>,
    /// The device plugin resource behind it.
    pub resource_name: Option<&'a str>,
    /// The address pool that is to serve it.
    pub address_pool: Option<&'a str>,
    /// Of an additional network of OpenShift's operator: all of the same list.
    pub siblings: Option<&'a Catalog>,
}

/// Where a network's configuration comes from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ConfigOrigin<'a> {
    /// `spec.config` of a `NetworkAttachmentDefinition`.
    #[default]
    Config,
    /// The text in this field of another object.
    Text(&'a str),
    /// It is rendered from the object in this field.
    Rendered(&'a str),
}

/// One plugin's object in a configuration.
#[derive(Debug, Clone)]
pub struct PluginObject<'a> {
    /// Its path from the configuration: empty for a single configuration, `.plugins[0]` in a list.
    pub path: String,
    /// Its members.
    pub members: Vec<JsonMember<'a>>,
    /// The whole object.
    pub node: JsonNode<'a>,
    /// Its `type`; empty if there is none.
    pub kind: String,
    /// Its `ipam` object and its members, if there is one.
    pub ipam: Option<(JsonNode<'a>, Vec<JsonMember<'a>>)>,
}

impl<'a> std::ops::Deref for NetworkSubject<'a> {
    type Target = RawNetwork<'a>;

    fn deref(&self) -> &Self::Target {
        &self.raw
    }
}

impl<'a> NetworkSubject<'a> {
    /// Parses the configuration of what is written.
    pub fn new(raw: RawNetwork<'a>, policy: &'a Policy, catalog: &'a Catalog) -> Self {
        let text = raw.config.filter(|text| !text.is_empty());
        let node = text.and_then(|text| JsonNode::document(text).ok());
        let document = node.and_then(|node| Some((node, node.members()?)));
        Self {
            raw,
            policy,
            catalog,
            plugins: document.as_ref().map(plugins).unwrap_or_default(),
            document,
            parsed: OnceLock::new(),
        }
    }

    /// The configuration as one JSON object, if it is one.
    pub fn document(&self) -> Option<(JsonNode<'a>, &[JsonMember<'a>])> {
        let (node, members) = self.document.as_ref()?;
        Some((*node, members))
    }

    /// The configuration as Multus and libcni load it, if they do.
    pub fn parsed(&self) -> Option<&NetworkConfig> {
        let parse = || NetworkConfig::parse(self.config.filter(|text| !text.is_empty())?).ok();
        self.parsed.get_or_init(parse).as_ref()
    }

    /// What the configuration gives out; of very much only the first, so that no text makes a review
    /// dear.
    pub fn assignable_ranges(&self, config: &NetworkConfig) -> impl Iterator<Item = AssignableRange> {
        assignable::assignable_ranges(config)
            .into_iter()
            .take(MAX_ASSIGNABLE_RANGES)
    }

    /// What other networks give out of `interval`.
    pub fn other_networks_assigning(
        &self,
        interval: AddressInterval,
    ) -> impl Iterator<Item = (&'a Arc<Network>, &'a AssignableRange)> {
        let own = (self.namespace, self.name);
        let siblings = self.siblings;
        let known = self.catalog.networks_assigning(interval);
        // As they were, for they are about to change.
        let known = known.filter(move |(network, _)| {
            siblings.is_none_or(|s| s.network(&network.namespace, &network.name).is_none())
        });
        let listed = siblings
            .into_iter()
            .flat_map(move |s| s.networks_assigning(interval));
        known
            .chain(listed)
            .filter(move |(network, _)| (&*network.namespace, &*network.name) != own)
    }

    /// The other networks: those of the same list as they will be, all others as they are.
    pub fn other_networks(&self) -> impl Iterator<Item = &'a Arc<Network>> {
        let own = (self.namespace, self.name);
        let siblings = self.siblings;
        let known = self.catalog.networks();
        let known = known.filter(move |network| {
            siblings.is_none_or(|s| s.network(&network.namespace, &network.name).is_none())
        });
        let listed = siblings.into_iter().flat_map(Catalog::networks);
        known
            .chain(listed)
            .filter(move |network| (&*network.namespace, &*network.name) != own)
    }

    /// Whether nothing shows that this network's plugin and the `other` network's are on different
    /// wires.
    pub fn same_link(&self, [own, theirs]: [&Plugin; 2], other: &Network) -> bool {
        own.link == theirs.link && self.resource_name == other.resource_name.as_deref()
    }

    /// The plugins' objects, in their order: with `type` and `plugins`, `type` wins.
    pub fn plugins(&self) -> &[PluginObject<'a>] {
        &self.plugins
    }

    /// The place of the configuration as a whole.
    pub fn config_ref(&self) -> FieldRef<'a> {
        FieldRef {
            field: self.origin.field("spec.config").to_owned(),
            source: None,
        }
    }

    /// A place in the configuration: the path from its object (`.ipam.range`), and the part of the
    /// text.
    pub fn field_ref(&self, path: &str, span: Span) -> FieldRef<'a> {
        let field = self.origin.field("spec.config");
        if let ConfigOrigin::Rendered(_) = self.origin {
            return FieldRef {
                field: format!("{field}{}", source_path(path)),
                source: None,
            };
        }
        FieldRef {
            field: format!("{field}{path}"),
            source: self.config.map(|text| (span, text)),
        }
    }
}

impl<'a> ConfigOrigin<'a> {
    fn field(self, config: &'a str) -> &'a str {
        match self {
            Self::Config => config,
            Self::Text(field) | Self::Rendered(field) => field,
        }
    }
}

/// The path in `simpleMacvlanConfig` of what is rendered to `path`.
fn source_path(path: &str) -> String {
    let Some(rest) = path.strip_prefix(".ipam") else {
        return path.to_owned();
    };
    let rest = rest
        .replace("].dst", "].destination")
        .replace("].gw", "].gateway");
    match &*rest {
        "" | ".type" => format!(".ipamConfig{rest}"),
        _ => format!(".ipamConfig.staticIPAMConfig{rest}"),
    }
}

fn plugins<'a>((node, members): &(JsonNode<'a>, Vec<JsonMember<'a>>)) -> Vec<PluginObject<'a>> {
    let single = kind(members);
    if !single.is_empty() {
        return vec![PluginObject::new(String::new(), *node, members.clone())];
    }
    let list = find(members, "plugins").and_then(|m| m.value.elements());
    let list = list.unwrap_or_default().into_iter().enumerate();
    list.filter_map(|(index, node)| {
        Some(PluginObject::new(
            format!(".plugins[{index}]"),
            node,
            node.members()?,
        ))
    })
    .collect()
}

impl<'a> PluginObject<'a> {
    fn new(path: String, node: JsonNode<'a>, members: Vec<JsonMember<'a>>) -> Self {
        let ipam = find(&members, "ipam").map(|member| member.value);
        Self {
            path,
            kind: kind(&members),
            ipam: ipam.and_then(|node| Some((node, node.members()?))),
            members,
            node,
        }
    }

    /// The `ipam` object's members and its node, if there is one.
    pub fn ipam(&self) -> Option<(JsonNode<'a>, &[JsonMember<'a>])> {
        let (node, members) = self.ipam.as_ref()?;
        Some((*node, members))
    }
}

fn kind(members: &[JsonMember<'_>]) -> String {
    let found = find(members, "type").and_then(|m| m.value.string());
    found.unwrap_or_default().into_owned()
}
