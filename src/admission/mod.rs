//! One review in, one decision out: pure and synchronous.
//!
//! [`Review::parse`] reads the bytes of an `AdmissionReview`, [`decide`] says what to answer, and
//! [`Answer::to_json`] writes the bytes that go back. Whoever calls this brings the catalog and the
//! settings, makes the look-ups that a [`Decision::Confirm`] asks for, and carries out a
//! [`Decision::Plan`]; nothing in here knows of sockets, clocks or clusters.

mod allocated;
mod answer;
mod begun;
mod binding;
mod context;
mod decide;
mod inject;
mod json;
mod late;
mod launcher;
mod object;
mod pod;
mod pool;
mod review;
mod unrecorded;
mod workload;

pub use self::{
    answer::{Answer, Verdict},
    begun::refuse_unread,
    binding::is_binding,
    context::{Freshness, ReviewContext},
    decide::{Decision, Plan, Webhook, decide},
    late::{Late, late},
    object::{Annotations, Labels, Metadata, Object, Raw, Spec, Target},
    review::{Operation, OwnSpecs, Request, Review, ReviewError},
};
