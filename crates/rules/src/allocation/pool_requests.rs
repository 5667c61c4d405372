//! The requests of a pod's attachments to address pools.

use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
    sync::Arc,
};

use crate::{Attachment, PodSubject};
use nadmit_allocation::index::{AttachmentRequest, MacRequest};
use nadmit_cni::{
    Network, address,
    cni::{Capability, NetworkConfig},
    ipam::Ipam,
    mac::Mac,
};

/// The request of one attachment to the pool that serves its network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolRequest {
    /// The index of the attachment in [`PodSubject::attachments`].
    pub attachment: usize,
    pub request: AttachmentRequest,
    pub delivery: Delivery,
}

/// The way in which assigned addresses reach the plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// By the pod's annotation.
    Annotation,
    /// By Whereabouts's records.
    Whereabouts,
}

/// The kinds of address that a pool provides on a network that names it.
#[derive(Debug, Clone, Copy)]
pub(super) enum PoolProvision<'n> {
    /// Addresses and a MAC: the network's IPAM is static.
    AddressesAndMac(&'n NetworkConfig),
    /// Only a MAC: the network has no IPAM.
    MacOnly(&'n NetworkConfig),
    /// Addresses by Whereabouts's records: nadmit serves the network.
    Served,
}

impl<'n> PoolProvision<'n> {
    /// Returns `None` if the network names no pool or cannot take a pool's addresses, which a rule on
    /// networks reports.
    pub(super) fn of(network: &'n Network) -> Option<Self> {
        network.pool()?;
        let config = network.config.loaded()?;
        match config.ipam() {
            Some(Ipam::Static(_)) => Some(Self::AddressesAndMac(config)),
            None => Some(Self::MacOnly(config)),
            Some(Ipam::Whereabouts(_)) if network.address_pool.is_none() => Some(Self::Served),
            Some(_) => None,
        }
    }
}

/// Plugins that ignore the MAC that a pod requests.
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

/// Returns the requests of a pod's attachments to pools.
pub fn attachment_requests(subject: &PodSubject<'_>) -> Vec<PoolRequest> {
    if subject.host_network {
        return Vec::new();
    }
    let attachments = subject.attachments().enumerate();
    attachments
        .filter_map(|(index, attachment)| {
            let (request, delivery) = pool_request(attachment)?;
            let is_labelled = subject.has_injection_label();
            (delivery == Delivery::Annotation || is_labelled).then_some(())?;
            Some(PoolRequest {
                attachment: index,
                request,
                delivery,
            })
        })
        .collect()
}

/// Returns true if addresses can be injected into the pod's annotations: Multus can decode the
/// annotations, and each attachment to a pool's network has its own interface and names only valid
/// addresses. Otherwise the attachments that name addresses have no effect, or `pool-request-unreadable`
/// denies the pod.
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

/// Returns true if Multus accepts the attachment's `ips` and `mac`. It rejects the whole annotation for one
/// invalid value.
pub(super) fn is_decodable(attachment: Attachment<'_, '_>) -> bool {
    let selection = attachment.selection;
    let mut ips = selection.ips.iter().flat_map(|ips| &ips.value);
    let mac = selection.mac.as_ref();
    ips.all(|ip| address::canonical(&ip.text).is_some()) && mac.is_none_or(|mac| mac.value.is_ok())
}

/// Returns true if the attachment's `ips` and `mac` are decodable and can be recorded: MACs must have six
/// bytes.
pub(super) fn is_recordable(attachment: Attachment<'_, '_>) -> bool {
    let mac = attachment.selection.mac.as_ref();
    let ethernet = mac.is_none_or(|mac| mac.ok().is_some_and(|mac| mac.ethernet().is_some()));
    is_decodable(attachment) && ethernet
}

/// Returns true if no attachment to a pool's network shares its interface with another attachment.
fn pool_interfaces_are_unique(subject: &PodSubject<'_>) -> bool {
    let interfaces = interfaces(subject);
    let alone = |name: &str| interfaces.get(name).is_none_or(|count| *count < 2);
    subject
        .pooled()
        .all(|one| alone(&one.attachment.interface()))
}

/// Returns the number of attachments of each interface; those that cannot have equal names are left out.
pub(super) fn interfaces(subject: &PodSubject<'_>) -> HashMap<String, usize> {
    let mut interfaces = HashMap::new();
    for attachment in subject.with_comparable_interfaces() {
        let name = attachment.interface().into_owned();
        *interfaces.entry(name).or_default() += 1;
    }
    interfaces
}

fn pool_request(attachment: Attachment<'_, '_>) -> Option<(AttachmentRequest, Delivery)> {
    let network = attachment.definition()?;
    let pool = network.pool()?;
    let (needs_ips, mac, delivery) = match PoolProvision::of(network)? {
        PoolProvision::AddressesAndMac(config) => {
            (true, mac_request(attachment, config), Delivery::Annotation)
        }
        PoolProvision::MacOnly(config) => {
            (false, mac_request(attachment, config), Delivery::Annotation)
        }
        PoolProvision::Served => (true, MacRequest::None, Delivery::Whereabouts),
    };
    let request = AttachmentRequest {
        pool: pool.into(),
        network: network.into(),
        interface: Arc::from(&*attachment.interface()),
        needs_ips,
        ips: if needs_ips {
            named_ips(attachment)
        } else {
            Vec::new()
        },
        mac,
    };
    Some((request, delivery))
}

/// Returns the addresses as the plugin canonicalizes them, without duplicates: addresses that differ only
/// in their prefix are the same.
fn named_ips(attachment: Attachment<'_, '_>) -> Vec<IpAddr> {
    let ips = attachment.selection.ips.iter().flat_map(|ips| &ips.value);
    let ips = ips.filter_map(|ip| Some(address::canonical(&ip.text)?.address));
    let mut seen = HashSet::new();
    ips.filter(|ip| seen.insert(*ip)).collect()
}

/// Returns the requested MAC. A MAC in the selection reaches plugins without the capability, too (by
/// CNI_ARGS); one is injected only for plugins with the capability.
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
