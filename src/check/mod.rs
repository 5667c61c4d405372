//! The offline run: manifests are read and judged as the server would judge them.
//!
//! All that is read is one world: its networks and namespaces are the catalog, and each pod, each
//! workload's template, each virtual machine and each network in it is judged by the server's own
//! rules ([`crate::rules::judge`]). What is found has its place in the file: the very character,
//! inside of the JSON inside of the YAML.
//!
//! 1. [`gather`] reads files, folders and standard input; a cluster's objects are files, too, of one
//!    object each ([`File::of_cluster`]).
//! 2. [`run()`] judges files alone, [`run_in_cluster`] files in a cluster, [`check_cluster`] a cluster.
//!    [`Adoption`] says what a cluster's pools would take over.
//! 3. [`OutputFormat`] says it: to people, or to machines.

mod adoption;
mod allocation_dry_run;
mod cluster_report;
mod diagnostic;
mod duplicates;
mod error;
mod files;
mod format;
mod github;
mod human;
mod identity;
mod json;
mod judge;
mod pools;
mod run;
mod sarif;
mod shared_addresses;
mod spans;
mod terminal;

pub use self::{
    adoption::{Adoption, AdoptionState, DuplicateAddress, PoolAddress, PoolAdoption},
    diagnostic::{CheckOutcome, ClusterScope, DUPLICATE_OBJECT, Diagnostic, INVALID_MANIFEST},
    error::CheckError,
    files::{File, gather},
    format::OutputFormat,
    run::{CheckOptions, catalog_in, check_cluster, run, run_in_cluster},
    terminal::sanitize,
};
