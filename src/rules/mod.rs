//! What nadmit checks: one rule, one code, one small file.
//!
//! - [`registry`] lists the rules; [`Rule`] says what a rule is.
//! - [`level`] and [`policy`] say how loudly each speaks: by profile, configuration and namespace.
//! - [`Finding`] is what a rule says; [`Report`] collects findings, all of them at once.
//! - [`judge`] runs the registry on a subject; of an update [`news`] is what counts.
//! - [`subject`] is what a rule looks at: the pod's annotations, parsed and resolved.
//! - [`allocation`] is about what address pools give, and what they refuse.
//! - [`network_subject`] is the same for a network's own configuration, [`network_use`] for who uses
//!   it.
//! - [`workload`] is about what makes pods: their templates.
//! - [`pod`], [`update`], [`network`], [`pool`], [`reservation`] and [`operator`] hold the rules
//!   themselves.

pub mod allocation;
pub mod binding;
mod examples;
pub mod finding;
pub mod judge;
pub mod level;
pub mod network;
pub mod network_subject;
pub mod network_use;
pub mod new_findings;
pub mod operator;
pub mod pod;
pub mod policy;
pub mod pool;
pub mod registry;
pub mod reservation;
pub mod schedule;
pub mod subject;
pub mod update;
pub mod workload;

pub use crate::catalog::Mode;

pub use self::{
    binding::{BindingSubject, BindingAnnotation},
    finding::{Finding, LiveRead, FieldRef, Report, TextPosition},
    level::{Level, Levels, Profile},
    network_subject::NetworkSubject,
    network_use::NetworkUseSubject,
    policy::{Injection, NamespaceIsolation, Policy},
    pool::{PoolHoldings, HeldAddress, PoolChangeSubject, PoolSubject},
    registry::{Check, Example, RULES, Rule},
    reservation::ReservationSubject,
    subject::{Attachment, PodSubject, UpdateSubject},
};
