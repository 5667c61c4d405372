//! A pod's addresses from three sources: its annotations, the records of nadmit and Whereabouts, and its
//! network-status.

use serde::{Deserialize, Serialize};

use super::{
    allocations::pod_of,
    ip_pools::{PoolNames, networks_of},
};
use nadmit_allocation::{Address, Allocation, Index};
use nadmit_catalog::{Catalog, ObservedEntry, Pod};
use nadmit_cni::{Annotation, annotations, interface, mac::HardwareAddress, status};
use nadmit_whereabouts::{PodName, WhereaboutsNetwork};

/// The attachments of a pod.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PodView {
    /// Namespace of the pod.
    pub namespace: String,
    /// Name of the pod.
    pub name: String,
    /// True if the pod is in the catalog; `None` without a catalog.
    pub present: Option<bool>,
    /// Holder that the pod's addresses belong to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holder: Option<String>,
    /// Attachments of the pod.
    pub attachments: Vec<AttachmentView>,
    /// Additional remarks.
    pub remarks: Vec<String>,
}

/// An attachment of a pod.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AttachmentView {
    /// Network: `namespace/name`.
    pub network: String,
    /// Interface name inside the pod.
    pub interface: String,
    /// Pool that serves the network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<String>,
    /// Addresses and MACs.
    pub addresses: Vec<AddressLine>,
}

/// An address or MAC with its three sources.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AddressLine {
    /// The address; invalid text is shown as written.
    pub address: String,
    /// Text of the annotation that requests it.
    pub requested: Option<String>,
    /// True if it is recorded for the pod.
    pub allocated: bool,
    /// `IPPool` with Whereabouts's entry of the address for the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip_pool: Option<String>,
    /// True if Whereabouts assigns the address on the network, but no `IPPool` has it for the pod.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unrecorded: bool,
    /// True if network-status reports it; `None` if nothing is reported yet.
    pub reported: Option<bool>,
}

impl AddressLine {
    /// Returns the mismatch between the sources, if there is one. `served` means that a pool
    /// serves the network, `annotation_known` that the annotation is known.
    pub fn mismatch(&self, served: bool, annotation_known: bool) -> Option<&'static str> {
        let requested = self.requested.is_some();
        match (requested, self.allocated, self.reported) {
            (true, false, _) if served => Some("nothing records it for this pod"),
            (false, true, _) if annotation_known => Some("recorded, but not in the annotation"),
            (false, false, Some(true)) if served => {
                Some("in use, but neither asked for nor recorded")
            }
            (_, true, Some(false)) | (true, _, Some(false)) => Some("not on the interface"),
            _ if self.ip_pool.is_some() && self.reported == Some(false) => {
                Some("recorded by Whereabouts, but not on the interface")
            }
            _ if self.unrecorded => Some("in use, but Whereabouts has no record of it"),
            _ => None,
        }
    }
}

/// Describes a pod from all three sources. `default_namespace` is the namespace of pods' default
/// networks.
pub fn describe_pod(
    (namespace, name): (&str, &str),
    index: &Index,
    catalog: Option<&Catalog>,
    default_namespace: &str,
) -> PodView {
    let pod = catalog.and_then(|catalog| catalog.pod(namespace, name));
    let mut view = PodView {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        present: catalog.map(|_| pod.is_some()),
        holder: pod.map(|pod| pod.holder.to_string()),
        ..PodView::default()
    };
    if let Some(pod) = pod {
        view.add_requested(pod, default_namespace);
    }
    view.add_recorded(pod.map(|pod| &**pod), index);
    let named = PodName {
        namespace: namespace.into(),
        name: name.into(),
    };
    if let Some(catalog) = catalog {
        view.add_entries(&named, catalog);
    }
    if let Some(text) = pod.and_then(|pod| pod.network_status.as_deref()) {
        view.add_reported(text);
    }
    view.name_pools(catalog);
    if let Some(catalog) = catalog {
        view.mark_unrecorded(catalog);
    }
    view
}

impl PodView {
    /// Adds what the annotations request.
    fn add_requested(&mut self, pod: &Pod, default_namespace: &str) {
        if pod.host_network {
            let remark = "it is on the node's network: its annotations mean nothing";
            self.remarks.push(remark.to_owned());
        }
        let written = [
            (
                annotations::DEFAULT_NETWORK,
                &pod.default_network,
                default_namespace,
            ),
            (annotations::NETWORKS, &pod.networks, &*pod.namespace),
        ];
        for (key, text, home) in written {
            let Some(text) = text else { continue };
            let annotation = Annotation::parse(text);
            if !annotation.decode_errors.is_empty() {
                let remark = format!("{key} has mistakes: nadmit check says which");
                self.remarks.push(remark);
            }
            for selection in &annotation.selections {
                let name = selection.network_name().unwrap_or("?");
                let network = format!("{}/{name}", selection.namespace_or(home));
                let inside = match (key, &selection.interface) {
                    (annotations::DEFAULT_NETWORK, None) => interface::CLUSTER.into(),
                    _ => selection.interface_name(),
                };
                let attachment = self.attachment(&network, &inside);
                for ip in selection.ips.iter().flat_map(|ips| &ips.value) {
                    let address = ip.ok().map(|ip| Address::Ip(ip.address));
                    attachment.line(address, &ip.text).requested = Some(ip.text.to_string());
                }
                if let Some(mac) = &selection.mac {
                    let address = mac
                        .ok()
                        .and_then(HardwareAddress::ethernet)
                        .map(Address::Mac);
                    attachment.line(address, &mac.text).requested = Some(mac.text.to_string());
                }
            }
        }
    }

    /// Adds what the index records.
    fn add_recorded(&mut self, pod: Option<&Pod>, index: &Index) {
        let mut records: Vec<&Allocation> = index
            .allocations()
            .map(|(one, _)| one)
            .filter(|one| self.is_of(one, pod))
            .collect();
        records.sort_by_key(|one| (one.address.family(), one.address));
        for one in records {
            self.holder.get_or_insert_with(|| one.holder.to_string());
            let network = format!("{}/{}", one.network.namespace, one.network.name);
            let attachment = self.attachment(&network, &one.interface);
            attachment.pool = Some(one.pool.to_string());
            let both = [Some(one.address), one.mac.map(Address::Mac)];
            for address in both.into_iter().flatten() {
                attachment.line(Some(address), "").allocated = true;
            }
        }
    }

    fn is_of(&self, one: &Allocation, pod: Option<&Pod>) -> bool {
        let named =
            **one.holder.namespace() == *self.namespace && pod_of(one) == Some(self.name.as_str());
        named || pod.is_some_and(|pod| pod.holder == one.holder)
    }

    /// Adds the entries of Whereabouts.
    fn add_entries(&mut self, pod: &PodName, catalog: &Catalog) {
        let records = catalog.whereabouts();
        let names = PoolNames::of(records);
        let mut entries: Vec<ObservedEntry<'_>> = records.entries_of(pod).collect();
        entries.sort_by_key(|found| found.entry.address);
        for found in entries {
            let networks = networks_of(found.pool);
            let interface = &*found.entry.interface;
            let fits = |one: &&AttachmentView| {
                let of_network = networks.is_empty() || networks.contains(&one.network);
                of_network && (interface.is_empty() || one.interface == interface)
            };
            let known = self.attachments.iter().find(fits);
            let known = known.map(|one| (one.network.clone(), one.interface.clone()));
            let (network, interface) = known.unwrap_or_else(|| {
                let network = networks.into_iter().next();
                let network = network.unwrap_or_else(|| "?".to_owned());
                (network, interface.to_owned())
            });
            let attachment = self.attachment(&network, &interface);
            let line = attachment.line(Some(found.entry.address.into()), "");
            line.ip_pool = Some(names.name(found.pool));
        }
    }

    /// Marks the addresses that Whereabouts assigns, but has no entry of (whereabouts#712).
    fn mark_unrecorded(&mut self, catalog: &Catalog) {
        if !catalog.whereabouts().knows_pools() {
            return;
        }
        for attachment in &mut self.attachments {
            let network = attachment.network.split_once('/');
            let network = network.and_then(|(home, name)| catalog.network(home, name));
            let Some(network) = network.and_then(|one| WhereaboutsNetwork::of(one)) else {
                continue;
            };
            for line in &mut attachment.addresses {
                let address = line.address.parse();
                line.unrecorded = line.reported == Some(true)
                    && line.ip_pool.is_none()
                    && !line.allocated
                    && address.is_ok_and(|address| network.assigns(address));
            }
        }
    }

    /// Adds what network-status reports.
    fn add_reported(&mut self, text: &str) {
        let reported = match status::parse(text) {
            Ok(reported) => reported,
            Err(error) => return self.remarks.push(error.to_string()),
        };
        for one in reported {
            let inside = one.interface.as_deref().unwrap_or_default();
            let network = match one.name.contains('/') || one.default {
                true => one.name.clone(),
                false => format!("{}/{}", self.namespace, one.name),
            };
            let attachment = self.attachment(&network, inside);
            for line in &mut attachment.addresses {
                line.reported = Some(false);
            }
            for ip in &one.ips {
                attachment.line(Some(Address::Ip(*ip)), "").reported = Some(true);
            }
            if let Some(text) = &one.mac {
                let mac = HardwareAddress::parse(text).ok();
                attachment
                    .line(
                        mac.as_ref()
                            .and_then(HardwareAddress::ethernet)
                            .map(Address::Mac),
                        text,
                    )
                    .reported = Some(true);
            }
        }
    }

    fn name_pools(&mut self, catalog: Option<&Catalog>) {
        for attachment in &mut self.attachments {
            let network = attachment.network.split_once('/');
            let network = network.and_then(|(home, name)| catalog?.network(home, name));
            let pool = network.and_then(|network| network.pool());
            if let Some(pool) = pool {
                attachment.pool = Some(pool.to_owned());
            }
        }
    }

    fn attachment(&mut self, network: &str, interface: &str) -> &mut AttachmentView {
        let same = |one: &AttachmentView| one.network == network && one.interface == interface;
        let at = self.attachments.iter().position(same).unwrap_or_else(|| {
            self.attachments.push(AttachmentView {
                network: network.to_owned(),
                interface: interface.to_owned(),
                ..AttachmentView::default()
            });
            self.attachments.len() - 1
        });
        &mut self.attachments[at]
    }
}

impl AttachmentView {
    fn line(&mut self, address: Option<Address>, text: &str) -> &mut AddressLine {
        let address = address.map_or_else(|| text.to_owned(), |address| address.to_string());
        let known = self
            .addresses
            .iter()
            .position(|line| line.address == address);
        let at = known.unwrap_or_else(|| {
            self.addresses.push(AddressLine {
                address,
                ..AddressLine::default()
            });
            self.addresses.len() - 1
        });
        &mut self.addresses[at]
    }
}
