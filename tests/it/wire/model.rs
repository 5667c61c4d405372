//! The outcome of a pod's annotations in Multus and the plugins.

use super::{
    go_json::AttachFailure,
    multus::{self, MultusAttachment, Nad, PodAnnotations},
    plugins::{OnWire, attach},
};

/// An attachment that Multus started.
#[derive(Debug, Clone)]
pub(super) struct StartedAttachment {
    pub(super) attachment: MultusAttachment,
    pub(super) on_wire: OnWire,
}

/// The outcome of a pod.
#[derive(Debug, Clone, Default)]
pub(super) struct PodOutcome {
    /// The attachments in order. Those before one that fails are deleted, and made again with each
    /// retry.
    pub(super) started: Vec<StartedAttachment>,
    /// The reason why the pod does not start.
    pub(super) failure: Option<AttachFailure>,
}

/// Attaches a pod's networks one after another. Not modelled: host-local gives an address only once
/// on a node, and a master takes a MAC only once; both stop pods that the model lets start.
pub(super) fn outcome(pod: PodAnnotations<'_>, nads: &[Nad]) -> PodOutcome {
    let attachments = match multus::attachments(pod, nads) {
        Ok(attachments) => attachments,
        Err(failure) => {
            return PodOutcome {
                failure: Some(failure),
                ..PodOutcome::default()
            };
        }
    };
    let mut outcome = PodOutcome::default();
    let mut interfaces = multus::interfaces_before(pod);
    for attachment in attachments {
        if !interfaces.insert(attachment.interface.clone()) {
            outcome.failure = Some(AttachFailure::Multus("the interface is there"));
            break;
        }
        let on_wire = attach(&attachment);
        let failure = on_wire.failure.clone();
        outcome.started.push(StartedAttachment {
            attachment,
            on_wire,
        });
        if failure.is_some() {
            outcome.failure = failure;
            break;
        }
    }
    outcome
}

/// Returns what a network's own configuration puts on the wire if the pod requests nothing.
pub(super) fn given(nad: &Nad, is_default: bool) -> OnWire {
    let bare = format!("{}/{}", nad.namespace, nad.name);
    let (networks, default_network) = match is_default {
        true => (None, Some(&*bare)),
        false => (Some(&*bare), None),
    };
    let pod = PodAnnotations {
        namespace: nad.namespace,
        networks,
        default_network,
    };
    let outcome = outcome(pod, std::slice::from_ref(nad));
    outcome
        .started
        .into_iter()
        .next()
        .map(|started| started.on_wire)
        .unwrap_or_default()
}
