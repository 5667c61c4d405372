//! The rules that nadmit checks. Each rule has one code and one small file.
//!
//! - [`registry`] lists the rules; [`Rule`] describes one.
//! - [`level`], [`policy`] and [`rule_levels`] determine a rule's level from the profile, the configuration
//!   and the namespace.
//! - [`Finding`] is one problem that a rule reports; [`Report`] collects all findings of a run.
//! - [`judge`] runs the registry on a subject; [`new_findings`] drops the findings that an update did not
//!   introduce.
//! - [`subject`] is the input of the rules on pods: annotations, parsed and resolved.
//! - [`network_subject`] is the input of the rules on a network's configuration, [`network_use`] that of the
//!   rules on networks in use.
//! - [`allocation`] holds the rules on what address pools assign and reject.
//! - [`workload`] holds the rules on workloads and their pod templates.
//! - [`pod`], [`update`], [`network`], [`pool`], [`reservation`] and [`operator`] hold the other rules.

pub mod allocation;
pub mod binding;
pub mod config;
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
mod pod_rules;
pub mod policy;
pub mod pool;
mod precedence;
pub mod registry;
mod request_faults;
pub mod reservation;
pub mod rule;
pub mod rule_levels;
pub mod schedule;
pub mod subject;
pub mod update;
pub mod workload;

pub use nadmit_catalog::Mode;

pub use self::{
    binding::{BindingAnnotation, BindingSubject},
    finding::{FieldRef, Finding, MAX_FINDINGS, Report, TextPosition},
    level::{Level, Levels, Profile},
    network_subject::NetworkSubject,
    network_use::NetworkUseSubject,
    policy::{Injection, NamespaceIsolation, Policy},
    pool::{HeldAddress, PoolChangeSubject, PoolHoldings, PoolSubject},
    precedence::Precedence,
    registry::{RULE_GROUPS, RULES, RuleGroup},
    reservation::ReservationSubject,
    rule::{Check, Example, Rule, RuleDocs},
    subject::{Attachment, PodSubject, UpdateSubject},
};
