//! The decision core of the webhooks: one review in, one decision out. Pure and synchronous.
//!
//! [`Review::parse`] reads an `AdmissionReview` from its bytes, [`decide`] decides about it, and
//! [`AdmissionResponse::to_json`] writes the response. The caller provides the catalog and the
//! policy, makes the live reads that a [`Decision::VerifyLive`] asks for, and commits a
//! [`Decision::Commit`].
//! This module knows nothing of sockets, clocks or clusters.

mod binding;
mod context;
mod decide;
mod late_injection;
mod migration_guard;
mod mutate;
mod object;
mod pod;
mod pool;
mod response;
mod review;
mod truncated;
mod unrecorded;
mod validate_addresses;
mod workload;

pub use self::{
    binding::is_binding,
    context::{Freshness, ReviewContext},
    decide::{Decision, PendingCommit, Webhook, decide},
    late_injection::{LateInjection, inject_late},
    object::{
        RawJson, ReviewAnnotations, ReviewLabels, ReviewMetadata, ReviewObject, ReviewSpec,
        TargetNode,
    },
    response::{AdmissionResponse, Verdict},
    review::{AdmissionRequest, Operation, OwnSpecs, Review, ReviewError},
    truncated::reject_oversized,
};
