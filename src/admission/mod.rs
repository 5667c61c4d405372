//! One review in, one decision out: pure and synchronous.
//!
//! [`Review::parse`] reads the bytes of an `AdmissionReview`, [`decide`] says what to answer, and
//! [`AdmissionResponse::to_json`] writes the bytes that go back. Whoever calls this brings the catalog and the
//! settings, makes the look-ups that a [`Decision::Confirm`] asks for, and carries out a
//! [`Decision::PendingCommit`]; nothing in here knows of sockets, clocks or clusters.

mod binding;
mod context;
mod decide;
mod json;
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
