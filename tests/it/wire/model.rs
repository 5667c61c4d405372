//! What Multus and the plugins make of a pod's annotations.

use super::{
    go::Failure,
    multus::{self, Annotated, Attachment, Nad},
    plugins::{OnWire, attach},
};

/// One attachment that was begun.
#[derive(Debug, Clone)]
pub(super) struct Begun {
    pub(super) attachment: Attachment,
    pub(super) on_wire: OnWire,
}

/// What comes of a pod.
#[derive(Debug, Clone, Default)]
pub(super) struct Outcome {
    /// The attachments in the order in which they were made. Those before one that fails are taken
    /// back, and made anew with each try.
    pub(super) begun: Vec<Begun>,
    /// Why the pod does not start.
    pub(super) failure: Option<Failure>,
}

/// Attaches a pod's networks, one after the other. That one node's host-local gives an address once, and
/// one master a MAC, is left out: it stops pods that this lets pass.
pub(super) fn outcome(pod: Annotated<'_>, nads: &[Nad]) -> Outcome {
    let attachments = match multus::attachments(pod, nads) {
        Ok(attachments) => attachments,
        Err(failure) => {
            return Outcome {
                failure: Some(failure),
                ..Outcome::default()
            };
        }
    };
    let mut outcome = Outcome::default();
    let mut interfaces = multus::interfaces_before(pod);
    for attachment in attachments {
        if !interfaces.insert(attachment.interface.clone()) {
            outcome.failure = Some(Failure::Multus("the interface is there"));
            break;
        }
        let on_wire = attach(&attachment);
        let failure = on_wire.failure.clone();
        outcome.begun.push(Begun {
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

/// What a network's own configuration puts on the wire, when nothing is asked for.
pub(super) fn given(nad: &Nad, is_default: bool) -> OnWire {
    let bare = format!("{}/{}", nad.namespace, nad.name);
    let (networks, default_network) = match is_default {
        true => (None, Some(&*bare)),
        false => (Some(&*bare), None),
    };
    let pod = Annotated {
        namespace: nad.namespace,
        networks,
        default_network,
    };
    let outcome = outcome(pod, std::slice::from_ref(nad));
    outcome
        .begun
        .into_iter()
        .next()
        .map(|begun| begun.on_wire)
        .unwrap_or_default()
}
