//! The decision core of the webhooks: one review in, one decision out. Pure and synchronous.
//!
//! [`Review::parse`] reads an `AdmissionReview` from its bytes, [`decide`] decides about it, and
//! [`AdmissionResponse::to_json`] writes the response. The caller provides the catalog and the
//! policy, makes the live reads that a [`Decision::VerifyLive`] asks for, and commits a
//! [`Decision::Commit`].
//! This module knows nothing of sockets, clocks or clusters.

mod allocate;
mod annotations;
mod binding_target;
mod context;
mod decision;
mod injection_time;
mod late_injection;
mod migration_guard;
mod mutate;
mod object;
mod pod;
mod rejection;
mod response;
mod review;
mod router;
mod status_message;
mod truncated;
mod validate;

pub use self::{
    context::{Freshness, ReviewContext},
    decision::{Decision, PendingCommit},
    late_injection::{LateInjection, inject_late},
    object::{
        RawJson, ReviewAnnotations, ReviewLabels, ReviewMetadata, ReviewObject, ReviewSpec,
        TargetNode,
    },
    response::{AdmissionResponse, Verdict},
    review::{AdmissionRequest, Operation, OwnSpecs, Review, ReviewError, Target},
    router::{Webhook, decide},
    status_message::{MAX_FINDING_BYTES, MAX_LINE_BYTES, one_line, tag},
    truncated::reject_oversized,
};
