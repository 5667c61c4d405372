//! nadmit: admission control and address management for Kubernetes secondary networks.
//!
//! Pods request additional interfaces by naming `NetworkAttachmentDefinitions` (NADs) in the
//! annotation `k8s.v1.cni.cncf.io/networks`. nadmit is an HTTPS server that receives
//! `AdmissionReview` requests, checks that annotation against the NADs of the cluster, and denies
//! what could not work, with messages that say what to write instead. It also allocates addresses
//! for those interfaces from pools.
//!
//! The layers are crates of one workspace, re-exported here as modules; ARCHITECTURE.md has the table
//! of who depends on whom. `tests/it/tour.rs` follows one pod through them, from request bytes to
//! response:
//!
//! 1. [`admission`] parses the review and decides; it is pure and synchronous.
//! 2. [`network`] parses the annotation and keeps the position of every value; [`document`] reads
//!    YAML and JSON with positions.
//! 3. [`catalog`] is the read model of networks, namespaces, pods and pools. [`sources`] feed it
//!    from the cluster or from [`manifests`].
//! 4. [`allocation`] keeps the index of allocated addresses and plans new allocations; a [`ledger`]
//!    stores them. [`controllers`] reconcile ledger and cluster as [`reconcile`] judges, and [`api`]
//!    defines the custom resources.
//! 5. [`rules`] report findings, each with a stable code and a level that [`config`] may change.
//! 6. [`server`] serves HTTPS with limits, health and metrics: it connects decision, commit and
//!    response. [`pki`] issues and verifies its certificates, and [`clock`] provides time and
//!    randomness.
//! 7. [`check`] applies the same rules offline to files. [`audit`] compares the records of addresses with
//!    the interfaces of pods. [`inspect`] answers operators' questions
//!    about pools and holders. [`install`] installs nadmit into a cluster and removes it. [`cli`]
//!    is the command line, and [`files`] reads local files with bounds.

pub mod audit;
pub mod check;
pub mod cli;
pub mod install;

pub use nadmit_admission as admission;
pub use nadmit_allocation as allocation;
pub use nadmit_api as api;
pub use nadmit_catalog as catalog;
pub use nadmit_cni as network;
pub use nadmit_cni::document;
pub use nadmit_controllers as controllers;
pub use nadmit_host::{clock, files};
pub use nadmit_inspect as inspect;
pub use nadmit_ledger as ledger;
pub use nadmit_manifests as manifests;
pub use nadmit_pki as pki;
pub use nadmit_reconcile as reconcile;
pub use nadmit_rules as rules;
pub use nadmit_rules::config;
pub use nadmit_server as server;
pub use nadmit_sources as sources;
pub use nadmit_whereabouts as whereabouts;
