//! nadmit: admission control and address management for Kubernetes secondary networks.
//!
//! Pods request additional interfaces by naming `NetworkAttachmentDefinitions` (NADs) in the
//! annotation `k8s.v1.cni.cncf.io/networks`. nadmit is an HTTPS server that receives
//! `AdmissionReview` requests, checks that annotation against the NADs of the cluster, and denies
//! what could not work, with messages that say what to write instead. It also allocates addresses
//! for those interfaces from pools.
//!
//! The crate is a layered tree of modules; ARCHITECTURE.md lists which module may import which.
//! `tests/it/tour.rs` follows one pod through them, from request bytes to response:
//!
//! 1. [`admission`] parses the review and decides; it is pure and synchronous.
//! 2. [`network`] parses the annotation and keeps the position of every value; [`document`] reads
//!    YAML and JSON with positions.
//! 3. [`catalog`] is the read model of networks, namespaces, pods and pools. [`sources`] feed it
//!    from the cluster or from [`manifests`].
//! 4. [`allocation`] keeps the index of allocated addresses and plans new allocations; a [`ledger`]
//!    stores them. [`controllers`] reconcile ledger and cluster, and [`api`] defines the custom
//!    resources.
//! 5. [`rules`] report findings, each with a stable code and a level that [`config`] may change.
//! 6. [`server`] serves HTTPS with limits, health and metrics: it connects decision, commit and
//!    response. [`pki`] issues and verifies its certificates, and [`clock`] provides time and
//!    randomness.
//! 7. [`check`] applies the same rules offline to files. [`inspect`] answers operators' questions
//!    about pools and holders. [`install`] installs nadmit into a cluster and removes it. [`cli`]
//!    is the command line, and [`files`] reads local files with bounds.

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
