//! The offline check: judges manifests as the server would.
//!
//! All input is judged together: its networks and namespaces are the catalog, and each pod,
//! workload template, virtual machine and network is judged by the server's own rules
//! ([`crate::rules::judge`]). Each finding has its exact position in the file, even inside JSON
//! inside YAML.
//!
//! 1. [`gather`] reads files, folders and standard input; a cluster's objects are files of one
//!    object each ([`File::of_cluster`]).
//! 2. [`run()`] judges files alone, [`run_in_cluster`] files together with a cluster's objects,
//!    [`check_cluster`] a cluster. [`Adoption`] shows what a cluster's pools would take over.
//! 3. [`OutputFormat`] renders the outcome, for people or for machines.

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
mod locations;
mod pools;
mod run;
mod sarif;
mod shared_addresses;
mod spans;
mod terminal;
pub(crate) mod text;

pub(crate) use self::format::yaml_of_json;
pub(crate) use self::terminal::{escape_json, sanitize_line};
pub use self::{
    adoption::{Adoption, AdoptionState, DuplicateAddress, PoolAddress, PoolAdoption},
    diagnostic::{
        CheckOutcome, ClusterScope, DUPLICATE_OBJECT, Diagnostic, INVALID_MANIFEST, summary,
    },
    error::CheckError,
    files::{File, gather},
    format::OutputFormat,
    run::{CheckOptions, catalog_in, check_cluster, run, run_in_cluster},
    terminal::sanitize,
};
