//! What a pod's attachments ask of address pools.

use std::{collections::HashSet, net::IpAddr, sync::Arc};

use crate::{
    allocation::index::{Ask, MacWish},
    network::{
        cni::{Capability, NetworkConfig},
        ipam::Ipam,
        mac::Mac,
    },
    rules::{Attachment, PodSubject},
};

/// An attachment to a network that a pool serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolAttachment {
    /// Its place among [`PodSubject::attachments`].
    pub attachment: usize,
    /// What it asks for.
    pub ask: Ask,
}

/// The attachments of a pod that pools serve. A network with IPAM `static` takes addresses; one
/// without IPAM takes a MAC alone; with any other the pool cannot serve it, which is said of the
/// network.
pub fn asks(subject: &PodSubject<'_>) -> Vec<PoolAttachment> {
    if subject.host_network {
        return Vec::new();
    }
    let attachments = subject.attachments().enumerate();
    attachments
        .filter_map(|(index, attachment)| {
            Some(PoolAttachment {
                attachment: index,
                ask: ask(attachment)?,
            })
        })
        .collect()
}

/// Whether the annotations can be read as a whole, and each attachment of a pool has an interface of
/// its own: only then is anything put in. What is wrong with the others, rules say.
pub fn can_be_served(subject: &PodSubject<'_>, asks: &[PoolAttachment]) -> bool {
    let whole = subject.requests.iter().all(|request| {
        let annotation = &request.annotation;
        annotation.faults.is_empty()
            && annotation.selections.iter().all(|selection| {
                let ips = selection.ips.iter().flat_map(|ips| &ips.value);
                let mut ips = ips.map(|ip| ip.value.is_ok());
                ips.all(|ok| ok) && selection.mac.as_ref().is_none_or(|mac| mac.value.is_ok())
            })
    });
    let mut interfaces = HashSet::new();
    let apart = subject
        .attachments()
        .all(|a| interfaces.insert(a.interface().into_owned()));
    let once = asks.iter().all(|one| {
        let mut ips = HashSet::new();
        one.ask.ips.iter().all(|ip| ips.insert(*ip))
    });
    whole && apart && once
}

fn ask(attachment: Attachment<'_, '_>) -> Option<Ask> {
    let network = attachment.network()?;
    let pool = network.address_pool.as_deref()?;
    let config = network.config.loaded()?;
    let takes_ips = match config.ipam() {
        Some(Ipam::Static(_)) => true,
        None => false,
        Some(_) => return None,
    };
    Some(Ask {
        pool: pool.into(),
        network: network.into(),
        interface: Arc::from(&*attachment.interface()),
        takes_ips,
        ips: if takes_ips {
            named_ips(attachment)
        } else {
            Vec::new()
        },
        mac: mac_wish(attachment, config),
    })
}

fn named_ips(attachment: Attachment<'_, '_>) -> Vec<IpAddr> {
    let ips = attachment.selection.ips.iter().flat_map(|ips| &ips.value);
    ips.filter_map(|ip| Some(ip.value.as_ref().ok()?.address))
        .collect()
}

/// Without the capability a MAC would be lost on the way to the plugin.
fn mac_wish(attachment: Attachment<'_, '_>, config: &NetworkConfig) -> MacWish {
    if !config.has(Capability::Mac) {
        return MacWish::None;
    }
    match named_mac(attachment) {
        Some(mac) => MacWish::This(mac),
        None => MacWish::Any,
    }
}

fn named_mac(attachment: Attachment<'_, '_>) -> Option<Mac> {
    attachment.selection.mac.as_ref()?.ok()?.ethernet()
}
