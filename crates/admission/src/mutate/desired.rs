//! A pod's annotations after injection.

use nadmit_allocation::index::{Assignment, AttachmentRequest, MacRequest};
use nadmit_catalog::Pod;
use nadmit_cni::{AddressRequest, annotations, selection::Addition};
use nadmit_rules::{Attachment, PodSubject, allocation::PoolRequest};

/// A pod's annotations from before injection, as they were written.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct OriginalAnnotations<'a> {
    pub(crate) networks: Option<&'a str>,
    pub(crate) default_network: Option<&'a str>,
}

/// Returns the pod's annotations from before injection, if it was injected.
pub(crate) fn original_annotations(pod: &Pod) -> OriginalAnnotations<'_> {
    OriginalAnnotations {
        networks: pod.requested.networks.as_deref(),
        default_network: pod.requested.default_network.as_deref(),
    }
}

/// The desired annotation values. `None` removes a nadmit annotation and leaves a Multus annotation
/// unchanged.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct DesiredAnnotations {
    pub(crate) networks: Option<String>,
    pub(crate) default_network: Option<String>,
    pub(crate) requested_networks: Option<String>,
    pub(crate) requested_default_network: Option<String>,
    pub(crate) token: Option<String>,
}

impl DesiredAnnotations {
    /// Returns the annotations of a pod whose attachments get these assignments. `original` are its
    /// annotations from before injection, if it was injected.
    pub(crate) fn new(
        subject: &PodSubject<'_>,
        original: OriginalAnnotations<'_>,
        attachments: &[PoolRequest],
        assignments: &[Assignment],
    ) -> Self {
        let mut desired = Self::default();
        let mut first = 0;
        for request in &subject.requests {
            let count = request.annotation.selections.len();
            let additions: Vec<Addition> = request
                .attachments()
                .enumerate()
                .map(|(index, attachment)| {
                    let is_for_attachment = |one: &PoolRequest| one.attachment == first + index;
                    let position = attachments.iter().position(is_for_attachment);
                    let pair = position.and_then(|at| attachments.get(at).zip(assignments.get(at)));
                    pair.map_or(Addition::default(), |(one, assignment)| {
                        addition(attachment, &one.request, assignment)
                    })
                })
                .collect();
            first += count;
            let injected = additions.iter().any(|a| *a != Addition::default());
            let text = injected.then(|| request.annotation.with_additions(&additions));
            let (now, requested, before) = match request.origin.key {
                annotations::DEFAULT_NETWORK => (
                    &mut desired.default_network,
                    &mut desired.requested_default_network,
                    original.default_network,
                ),
                _ => (
                    &mut desired.networks,
                    &mut desired.requested_networks,
                    original.networks,
                ),
            };
            // On a repeated call, the original text is the one that the first call stored.
            let original = before.map(str::to_owned);
            *requested = original.or_else(|| injected.then(|| request.annotation.text.to_owned()));
            *now = text;
        }
        desired
    }
}

/// Returns the changes of a selection; empty if it contains the assignment already.
fn addition(
    attachment: Attachment<'_, '_>,
    requested: &AttachmentRequest,
    assignment: &Assignment,
) -> Addition {
    let named = attachment.selection.ips.iter().flat_map(|ips| &ips.value);
    // Addresses keep the user's notation; a missing or different prefix becomes the range's. IPv4
    // addresses in IPv6 notation are rewritten.
    let all = named.clone().count();
    let named: Vec<(&str, AddressRequest)> = named
        .filter_map(|ip| Some((&*ip.text, *ip.ok()?)))
        .collect();
    let text = |(ip, prefix): &(std::net::IpAddr, u8)| {
        let written = named.iter().find(|(_, request)| request.address == *ip);
        match written {
            Some((text, request)) if request.prefix == Some(*prefix) => (*text).to_owned(),
            Some((text, _)) => {
                let address = text.split('/').next().unwrap_or(text);
                format!("{address}/{prefix}")
            }
            None => format!("{ip}/{prefix}"),
        }
    };
    let ips: Vec<String> = assignment.ips.iter().map(text).collect();
    let same = ips.len() == all && ips.iter().zip(&named).all(|(ip, (text, _))| ip == text);
    let mac = assignment.mac.filter(|_| requested.mac == MacRequest::Auto);
    Addition {
        // A network without IPAM gets no addresses, and those written there stay.
        ips: (requested.needs_ips && !same).then_some(ips),
        mac: mac.map(|mac| mac.to_string()),
    }
}
