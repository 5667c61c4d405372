//! nadmit: admission control for Kubernetes secondary networks.
//!
//! Pods ask for further interfaces by naming `NetworkAttachmentDefinitions` (NADs) in the
//! annotation `k8s.v1.cni.cncf.io/networks`. nadmit is an HTTPS server that receives
//! `AdmissionReview` requests, checks that annotation against the NADs of the pod's namespace, and
//! refuses what could not work, with words that say what to write instead.
//!
//! The crate is a house of rooms; ARCHITECTURE.md says who may enter which. The way of one pod
//! through them, from bytes to answer, is told in `tests/it/tour.rs`:
//!
//! 1. [`admission`] reads the review and decides; it is pure and synchronous.
//! 2. [`network`] parses the annotation, each value knowing where it stood.
//! 3. [`catalog`] is the read model of the networks; [`sources`] feed it from [`manifests`].
//!    [`allocation`] knows who holds which address; a [`ledger`] records it, [`controllers`] keep the
//!    two and the world in step, and [`api`] defines the kinds by which people say it.
//! 4. [`rules`] say what is wrong, each with a stable code, at a level that [`config`] may change.
//! 5. [`check`] does the same offline, on files.
//! 6. [`server`] is the glue: TLS, limits, health, metrics. [`cli`] starts it. [`pki`] makes and reads
//!    certificates.
//! 7. [`operate`] answers who runs it: what the pools give, who holds what, what may be freed.

pub mod admission;
pub mod allocation;
pub mod api;
pub mod catalog;
pub mod check;
pub mod cli;
pub mod clock;
pub mod config;
pub mod controllers;
pub mod document;
pub mod files;
pub mod inspect;
pub mod install;
pub mod ledger;
pub mod manifests;
pub mod network;
pub mod pki;
pub mod rules;
pub mod server;
pub mod sources;
