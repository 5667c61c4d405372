//! The input of the rules on networks: one configuration, parsed once, and the other networks.

use std::sync::{Arc, OnceLock};

use nadmit_allocation::Pool;
use nadmit_catalog::Catalog;
use nadmit_cni::{
    IpRange, Network, Serving, Span,
    assignable::{self, AssignableRange},
    cni::{NetworkConfig, Plugin},
    json::{JsonMember, JsonNode, find},
};

use super::{finding::FieldRef, policy::Policy};

/// The maximum number of a network's assignable ranges that are compared with those of other networks.
const MAX_ASSIGNABLE_RANGES: usize = 4096;
/// The maximum number of comparisons that one rule makes for one network.
pub(super) const MAX_COMPARISONS: usize = 200_000;

/// A network as written, with its parsed configuration. All rules share this parse.
#[derive(Debug)]
pub struct NetworkSubject<'a> {
    raw: RawNetwork<'a>,
    /// The settings of nadmit.
    pub policy: &'a Policy,
    /// The known networks; this one may be among them, as it was before an update.
    pub catalog: &'a Catalog,
    document: Option<(JsonNode<'a>, Vec<JsonMember<'a>>)>,
    plugins: Vec<PluginObject<'a>>,
    /// Parsed on first use, because few rules need it. `None` inside if the configuration is invalid.
    parsed: OnceLock<Option<NetworkConfig>>,
    derived_pool: OnceLock<Option<Arc<Pool>>>,
}

/// The fields of a network as written, from a NAD or an additional network of OpenShift's operator.
#[derive(Debug, Clone, Copy, Default)]
pub struct RawNetwork<'a> {
    /// The network's namespace.
    pub namespace: &'a str,
    /// The network's name.
    pub name: &'a str,
    /// The object and field that hold the configuration.
    pub origin: ConfigOrigin<'a>,
    /// `spec.config`, or its equivalent in another object, if it is a string.
    pub config: Option<&'a str>,
    /// `spec.config` as JSON, if it is present but not a string.
    pub non_string_config: Option<&'a str>,
    /// The device plugin resource of the network (`k8s.v1.cni.cncf.io/resourceName`).
    pub resource_name: Option<&'a str>,
    /// The address pool that the network names (`nadmit.io/address-pool`).
    pub address_pool: Option<&'a str>,
    /// The annotation `nadmit.io/serve`.
    pub serving: Serving,
    /// For an additional network of OpenShift's operator: all networks of its list.
    pub siblings: Option<&'a Catalog>,
}

/// The object and field that hold a network's configuration.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ConfigOrigin<'a> {
    /// `spec.config` of a `NetworkAttachmentDefinition`.
    #[default]
    Config,
    /// The text in this field of another object.
    Text(&'a str),
    /// Rendered by the operator from the object in this field.
    Rendered(&'a str),
}

/// The JSON object of one plugin in a configuration.
#[derive(Debug, Clone)]
pub struct PluginObject<'a> {
    /// The path in the configuration: empty for a single configuration, `.plugins[0]` in a list.
    pub path: String,
    /// The members of the object.
    pub members: Vec<JsonMember<'a>>,
    /// The whole object.
    pub node: JsonNode<'a>,
    /// The member `type`; empty if it is missing.
    pub kind: String,
    /// The `ipam` object and its members, if there is one.
    pub ipam: Option<(JsonNode<'a>, Vec<JsonMember<'a>>)>,
}

impl<'a> std::ops::Deref for NetworkSubject<'a> {
    type Target = RawNetwork<'a>;

    fn deref(&self) -> &Self::Target {
        &self.raw
    }
}

impl<'a> NetworkSubject<'a> {
    /// Parses the configuration of a network.
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
            derived_pool: OnceLock::new(),
        }
    }

    /// Returns the configuration as a JSON object, if it is one.
    pub fn document(&self) -> Option<(JsonNode<'a>, &[JsonMember<'a>])> {
        let (node, members) = self.document.as_ref()?;
        Some((*node, members))
    }

    /// Returns the configuration as Multus and libcni load it, if it is valid.
    pub fn parsed(&self) -> Option<&NetworkConfig> {
        let parse = || NetworkConfig::parse(self.config.filter(|text| !text.is_empty())?).ok();
        self.parsed.get_or_init(parse).as_ref()
    }

    /// Returns the network as the catalog would have it, without the results of other objects.
    pub(crate) fn network(&self) -> Network {
        Network {
            resource_name: self.resource_name.map(Into::into),
            address_pool: self.address_pool.map(Into::into),
            serving: self.serving,
            ..Network::new(self.namespace, self.name, self.config)
        }
    }

    /// Returns the pool that the configuration defines by itself, if the settings allow it.
    pub(crate) fn derived_pool(&self) -> Option<&Arc<Pool>> {
        let derive = || {
            // Without the settings the configuration is not parsed once more.
            let derives = self.catalog.derives_pools();
            derives.then(|| self.catalog.derived_pool_of(&self.network()))?
        };
        let found = self.derived_pool.get_or_init(|| derive().map(Arc::new));
        found.as_ref()
    }

    /// Returns the ranges and addresses that the configuration assigns, up to `MAX_ASSIGNABLE_RANGES`,
    /// which bounds the cost of a review.
    pub fn assignable_ranges(
        &self,
        config: &NetworkConfig,
    ) -> impl Iterator<Item = AssignableRange> {
        assignable::assignable_ranges(config)
            .into_iter()
            .take(MAX_ASSIGNABLE_RANGES)
    }

    /// Returns the ranges of other networks that overlap `range`.
    pub(crate) fn other_networks_assigning(
        &self,
        range: IpRange,
    ) -> impl Iterator<Item = (&'a Arc<Network>, &'a AssignableRange)> {
        let own = (self.namespace, self.name);
        let siblings = self.siblings;
        let known = self.catalog.networks_assigning(range);
        // The known versions of siblings are about to change, so those of the list are used instead.
        let known = known.filter(move |(network, _)| {
            siblings.is_none_or(|s| s.network(&network.namespace, &network.name).is_none())
        });
        let listed = siblings
            .into_iter()
            .flat_map(move |s| s.networks_assigning(range));
        known
            .chain(listed)
            .filter(move |(network, _)| (&*network.namespace, &*network.name) != own)
    }

    /// Returns true unless the plugin of this network and that of `other` are known to be on different
    /// links.
    pub(crate) fn same_link(&self, [own, theirs]: [&Plugin; 2], other: &Network) -> bool {
        own.link == theirs.link && self.resource_name == other.resource_name.as_deref()
    }

    /// Returns the plugins' objects in order. If both `type` and `plugins` are present, `type` wins.
    pub fn plugins(&self) -> &[PluginObject<'a>] {
        &self.plugins
    }

    /// Returns a reference to the whole configuration.
    pub(crate) fn config_ref(&self) -> FieldRef<'a> {
        FieldRef {
            field: self.origin.field("spec.config").to_owned(),
            source: None,
        }
    }

    /// Returns a reference to a field of the configuration, with its path from the configuration's object
    /// (such as `.ipam.range`) and its span in the text.
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

/// Returns the path in `simpleMacvlanConfig` of the field that the operator renders to `path`.
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

    /// Returns the `ipam` object and its members, if there is one.
    pub fn ipam(&self) -> Option<(JsonNode<'a>, &[JsonMember<'a>])> {
        let (node, members) = self.ipam.as_ref()?;
        Some((*node, members))
    }
}

fn kind(members: &[JsonMember<'_>]) -> String {
    let found = find(members, "type").and_then(|m| m.value.string());
    found.unwrap_or_default().into_owned()
}
