//! The annotations that injection writes: one table of keys, the desired values, and the changes from
//! the current to the desired values.

use json_patch::{AddOperation, Patch, PatchOperation, RemoveOperation, jsonptr::PointerBuf};
use serde_json::{Map, Value};

use crate::object::ReviewAnnotations;
use nadmit_allocation::index::{Assignment, AttachmentRequest, MacRequest};
use nadmit_catalog::Pod;
use nadmit_cni::{AddressRequest, annotations, selection::Addition};
use nadmit_rules::{
    Attachment, PodSubject,
    allocation::{Delivery, PoolRequest},
};

/// The program that an annotation is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reader {
    /// Multus: without a desired value the annotation stays as it is.
    Multus,
    /// nadmit: without a desired value the annotation is removed.
    Nadmit,
}

/// The annotations that injection writes, in the order of a patch.
const KEYS: [(&str, Reader); 5] = [
    (annotations::NETWORKS, Reader::Multus),
    (annotations::DEFAULT_NETWORK, Reader::Multus),
    (annotations::REQUESTED_NETWORKS, Reader::Nadmit),
    (annotations::REQUESTED_DEFAULT_NETWORK, Reader::Nadmit),
    (annotations::HOLDER_TOKEN, Reader::Nadmit),
];

/// The current values of the annotations that injection writes, in the order of [`KEYS`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct CurrentAnnotations<'a>([Option<&'a str>; 5]);

/// A pod's annotations from before injection, as they were written.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct OriginalAnnotations<'a> {
    pub(crate) networks: Option<&'a str>,
    pub(crate) default_network: Option<&'a str>,
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

/// One annotation: its key and reader, the current and the desired value.
struct AnnotationRow<'s> {
    key: &'static str,
    reader: Reader,
    current: Option<&'s str>,
    desired: Option<&'s str>,
}

impl<'a> CurrentAnnotations<'a> {
    /// Returns the values of an object under review.
    pub(crate) fn of_object(annotations: &'a ReviewAnnotations<'_>) -> Self {
        Self([
            annotations.networks.as_deref(),
            annotations.default_network.as_deref(),
            annotations.requested_networks.as_deref(),
            annotations.requested_default_network.as_deref(),
            annotations.holder_token.as_deref(),
        ])
    }

    /// Returns the values of a pod in the catalog.
    pub(crate) fn of_pod(pod: &'a Pod) -> Self {
        Self([
            pod.networks.as_deref(),
            pod.default_network.as_deref(),
            pod.requested.networks.as_deref(),
            pod.requested.default_network.as_deref(),
            // Once a pod is bound, it holds by its name.
            None,
        ])
    }

    /// Returns the annotations that are set: key, value, and the value in `desired`.
    pub(crate) fn compare(
        self,
        desired: &'a DesiredAnnotations,
    ) -> impl Iterator<Item = (&'static str, &'a str, Option<&'a str>)> {
        let rows = desired.rows(self);
        rows.filter_map(|row| Some((row.key, row.current?, row.desired)))
    }

    /// Returns true if any of the annotations is set.
    pub(crate) fn any(self) -> bool {
        self.0.iter().any(Option::is_some)
    }
}

impl<'a> OriginalAnnotations<'a> {
    /// Returns the annotations of a pod in the catalog from before its injection, if it was injected.
    pub(crate) fn of_pod(pod: &'a Pod) -> Self {
        Self {
            networks: pod.requested.networks.as_deref(),
            default_network: pod.requested.default_network.as_deref(),
        }
    }

    /// Returns the annotations of an object under review from before its injection.
    pub(crate) fn of_object(annotations: &'a ReviewAnnotations<'_>) -> Self {
        Self {
            networks: annotations.requested_networks.as_deref(),
            default_network: annotations.requested_default_network.as_deref(),
        }
    }
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
                        match one.delivery {
                            Delivery::Annotation => addition(attachment, &one.request, assignment),
                            Delivery::Whereabouts => without_ips(attachment),
                        }
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

    /// Returns each annotation with its current and desired value.
    fn rows<'s>(
        &'s self,
        current: CurrentAnnotations<'s>,
    ) -> impl Iterator<Item = AnnotationRow<'s>> {
        let desired = [
            &self.networks,
            &self.default_network,
            &self.requested_networks,
            &self.requested_default_network,
            &self.token,
        ];
        let values = current.0.into_iter().zip(desired);
        let rows = KEYS.into_iter().zip(values);
        rows.map(|((key, reader), (current, desired))| AnnotationRow {
            key,
            reader,
            current,
            desired: desired.as_deref(),
        })
    }

    /// Returns the annotations to set, by key; none is removed.
    pub(crate) fn changes(&self, current: CurrentAnnotations<'_>) -> Vec<(&'static str, String)> {
        let rows = self.rows(current).filter(|row| row.current != row.desired);
        rows.filter_map(|row| Some((row.key, row.desired?.to_owned())))
            .collect()
    }

    /// Returns the total size of an object's annotations after the patch, in bytes.
    pub(crate) fn bytes_after(&self, annotations: &ReviewAnnotations<'_>) -> usize {
        let mut size = annotations.size.0;
        for row in self.rows(CurrentAnnotations::of_object(annotations)) {
            let Some(desired) = row.desired else { continue };
            let before = row.current.map(|current| row.key.len() + current.len());
            size = (size + row.key.len() + desired.len()).saturating_sub(before.unwrap_or(0));
        }
        size
    }

    /// Returns the patch that turns an object's annotations into the desired ones; empty if they are
    /// equal.
    pub(crate) fn to_json_patch(&self, annotations: &ReviewAnnotations<'_>) -> Patch {
        let rows = self.rows(CurrentAnnotations::of_object(annotations));
        let operations: Vec<PatchOperation> = rows.filter_map(|row| row.operation()).collect();
        if annotations.present {
            return Patch(operations);
        }
        // There is no parent to add to: it is added with all its members.
        let all: Map<String, Value> = operations
            .into_iter()
            .filter_map(|operation| match operation {
                PatchOperation::Add(add) => {
                    Some((add.path.last()?.decoded().into_owned(), add.value))
                }
                _ => None,
            })
            .collect();
        if all.is_empty() {
            return Patch::default();
        }
        Patch(vec![PatchOperation::Add(AddOperation {
            path: PointerBuf::from_tokens(["metadata", "annotations"]),
            value: Value::Object(all),
        })])
    }
}

impl AnnotationRow<'_> {
    /// Returns the operation that sets or removes the annotation.
    fn operation(&self) -> Option<PatchOperation> {
        match (self.reader, self.current, self.desired) {
            (Reader::Nadmit, Some(current), Some(desired)) if current == desired => None,
            (_, _, Some(desired)) => Some(add(self.key, desired)),
            (Reader::Nadmit, Some(_), None) => Some(PatchOperation::Remove(RemoveOperation {
                path: pointer(self.key),
            })),
            (_, _, None) => None,
        }
    }
}

/// Returns an `add` operation, which replaces an existing value.
fn add(key: &str, text: &str) -> PatchOperation {
    PatchOperation::Add(AddOperation {
        path: pointer(key),
        value: Value::from(text),
    })
}

fn pointer(key: &str) -> PointerBuf {
    PointerBuf::from_tokens(["metadata", "annotations", key])
}

/// Returns the removal of a selection's addresses: Whereabouts would take them as further ones, which it
/// does not track.
fn without_ips(attachment: Attachment<'_, '_>) -> Addition {
    let named = attachment.selection.ips.is_some();
    Addition {
        ips: named.then(Vec::new),
        mac: None,
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The operations for current and desired values of one annotation for Multus and one of nadmit.
    #[test]
    fn only_own_annotations_are_removed_or_kept() {
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let cases = [
            ("", "", ""),
            ("a", "", "remove requested-networks"),
            ("", "a", "add networks, add requested-networks"),
            ("a", "b", "add networks, add requested-networks"),
            // A Multus annotation is written again.
            ("a", "a", "add networks"),
        ];
        for (current, desired, expected) in cases {
            let current = ReviewAnnotations {
                networks: text(current).map(Into::into),
                requested_networks: text(current).map(Into::into),
                present: true,
                ..ReviewAnnotations::default()
            };
            let wanted = DesiredAnnotations {
                networks: text(desired),
                requested_networks: text(desired),
                ..DesiredAnnotations::default()
            };
            let patch = wanted.to_json_patch(&current);
            let operations = patch.iter().map(|operation| {
                let (word, path) = match operation {
                    PatchOperation::Add(add) => ("add", &add.path),
                    PatchOperation::Remove(remove) => ("remove", &remove.path),
                    other => panic!("{other:?}"),
                };
                let key = path.last().map(|token| token.decoded().into_owned());
                let key = key.unwrap_or_default();
                format!("{word} {}", key.rsplit('/').next().unwrap_or_default())
            });
            let operations: Vec<String> = operations.collect();
            assert_eq!(operations.join(", "), expected, "{current:?} {desired}");
        }
    }

    #[test]
    fn annotations_are_added_with_their_parent() {
        let desired = DesiredAnnotations {
            token: Some("t".to_owned()),
            ..DesiredAnnotations::default()
        };
        let patch = desired.to_json_patch(&ReviewAnnotations::default());
        assert_eq!(
            serde_json::to_value(patch).unwrap_or_default(),
            serde_json::json!([{"op": "add", "path": "/metadata/annotations",
                "value": {"nadmit.io/holder-token": "t"}}])
        );
        let nothing = DesiredAnnotations::default();
        assert!(
            nothing
                .to_json_patch(&ReviewAnnotations::default())
                .is_empty()
        );
    }
}
