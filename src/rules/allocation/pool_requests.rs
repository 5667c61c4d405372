//! What a pod's attachments ask of address pools.

use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
    sync::Arc,
};

use crate::{
    allocation::index::{AttachmentRequest, MacRequest},
    network::{
        Network, address,
        cni::{Capability, NetworkConfig},
        ipam::Ipam,
        mac::Mac,
    },
    rules::{Attachment, PodSubject},
};

/// An attachment to a network that a pool serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolRequest {
    /// Its place among [`PodSubject::attachments`].
    pub attachment: usize,
    /// What it asks for.
    pub request: AttachmentRequest,
}

/// What a pool gives to the attachments of a network that names it.
#[derive(Debug, Clone, Copy)]
pub(super) enum PoolProvision<'n> {
    /// Addresses, and a MAC: the network's IPAM is static.
    AddressesAndMac(&'n NetworkConfig),
    /// A MAC: the network has no IPAM.
    MacOnly(&'n NetworkConfig),
}

impl<'n> PoolProvision<'n> {
    /// `None` where no pool is named, or the network cannot take what a pool gives, which is said of the
    /// network.
    pub(super) fn of(network: &'n Network) -> Option<Self> {
        network.address_pool.as_deref()?;
        let config = network.config.loaded()?;
        match config.ipam() {
            Some(Ipam::Static(_)) => Some(Self::AddressesAndMac(config)),
            None => Some(Self::MacOnly(config)),
            Some(_) => None,
        }
    }
}

/// Plugins that take no MAC from a pod in any way.
const WITHOUT_MAC: [&str; 10] = [
    "ipvlan",
    "vlan",
    "host-device",
    "ptp",
    "portmap",
    "bandwidth",
    "firewall",
    "sbr",
    "vrf",
    "route-override",
];

/// The attachments of a pod that pools serve.
pub fn attachment_requests(subject: &PodSubject<'_>) -> Vec<PoolRequest> {
    if subject.host_network {
        return Vec::new();
    }
    let attachments = subject.attachments().enumerate();
    attachments
        .filter_map(|(index, attachment)| {
            Some(PoolRequest {
                attachment: index,
                request: pool_request(attachment)?,
            })
        })
        .collect()
}

/// Whether addresses can be put into a pod's annotations: Multus decodes them, and each attachment of a
/// pool's network has an interface of its own and names nothing but addresses. Otherwise every such
/// attachment that names something is without effect, or one of them is refused
/// (`pool-request-unreadable`).
pub fn can_be_served(subject: &PodSubject<'_>) -> bool {
    let whole = subject
        .requests
        .iter()
        .all(|one| one.annotation.decode_errors.is_empty());
    whole
        && subject.attachments().all(is_decodable)
        && subject.pooled().all(|one| is_recordable(one.attachment))
        && pool_interfaces_are_unique(subject)
}

/// Whether Multus takes the attachment's `ips` and `mac`: one that it does not, and it refuses the whole
/// annotation.
pub(super) fn is_decodable(attachment: Attachment<'_, '_>) -> bool {
    let selection = attachment.selection;
    let mut ips = selection.ips.iter().flat_map(|ips| &ips.value);
    let mac = selection.mac.as_ref();
    ips.all(|ip| address::canonical(&ip.text).is_some()) && mac.is_none_or(|mac| mac.value.is_ok())
}

/// Whether they are addresses that can be recorded, too.
pub(super) fn is_recordable(attachment: Attachment<'_, '_>) -> bool {
    let mac = attachment.selection.mac.as_ref();
    let ethernet = mac.is_none_or(|mac| mac.ok().is_some_and(|mac| mac.ethernet().is_some()));
    is_decodable(attachment) && ethernet
}

/// Whether no other attachment has the interface of one of a pool's network.
fn pool_interfaces_are_unique(subject: &PodSubject<'_>) -> bool {
    let interfaces = interfaces(subject);
    let alone = |name: &str| interfaces.get(name).is_none_or(|count| *count < 2);
    subject
        .pooled()
        .all(|one| alone(&one.attachment.interface()))
}

/// Returns how many attachments are on each interface.
pub(super) fn interfaces(subject: &PodSubject<'_>) -> HashMap<String, usize> {
    let mut interfaces = HashMap::new();
    for attachment in subject.attachments() {
        let name = attachment.interface().into_owned();
        *interfaces.entry(name).or_default() += 1;
    }
    interfaces
}

fn pool_request(attachment: Attachment<'_, '_>) -> Option<AttachmentRequest> {
    let network = attachment.definition()?;
    let pool = network.address_pool.as_deref()?;
    let (needs_ips, config) = match PoolProvision::of(network)? {
        PoolProvision::AddressesAndMac(config) => (true, config),
        PoolProvision::MacOnly(config) => (false, config),
    };
    Some(AttachmentRequest {
        pool: pool.into(),
        network: network.into(),
        interface: Arc::from(&*attachment.interface()),
        needs_ips,
        ips: if needs_ips {
            named_ips(attachment)
        } else {
            Vec::new()
        },
        mac: mac_request(attachment, config),
    })
}

/// Returns the addresses as the plugin canonicalises them, each once: two prefixes make no two addresses.
fn named_ips(attachment: Attachment<'_, '_>) -> Vec<IpAddr> {
    let ips = attachment.selection.ips.iter().flat_map(|ips| &ips.value);
    let ips = ips.filter_map(|ip| Some(address::canonical(&ip.text)?.address));
    let mut seen = HashSet::new();
    ips.filter(|ip| seen.insert(*ip)).collect()
}

/// A MAC that is named reaches plugins without the capability, too (CNI_ARGS). One that is not named is
/// put in only with it.
fn mac_request(attachment: Attachment<'_, '_>, config: &NetworkConfig) -> MacRequest {
    let plugins = &config.plugins;
    let taken = plugins.iter().any(|one| !WITHOUT_MAC.contains(&&*one.kind));
    match named_mac(attachment) {
        Some(mac) if taken => MacRequest::Exact(mac),
        None if config.has(Capability::Mac) => MacRequest::Auto,
        _ => MacRequest::None,
    }
}

fn named_mac(attachment: Attachment<'_, '_>) -> Option<Mac> {
    attachment.selection.mac.as_ref()?.ok()?.ethernet()
}
