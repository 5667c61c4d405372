//! The offline run: manifests are read and judged as the server would judge them.
//!
//! All that is read is one world: its networks and namespaces are the catalog, and each pod, each
//! workload's template, each virtual machine and each network in it is judged by the server's own
//! rules ([`crate::rules::judge`]). What is found has its place in the file: the very character,
//! inside of the JSON inside of the YAML.
//!
//! 1. [`gather`] reads files, folders and standard input; a cluster's objects are files, too, of one
//!    object each ([`File::of_cluster`]).
//! 2. [`run()`] judges files alone, [`run_in`] files in a cluster, [`examine`] a cluster.
//!    [`Adoption`] says what a cluster's pools would take over.
//! 3. [`Format`] says it: to people, or to machines.

mod adoption;
mod duplicates;
mod error;
mod files;
mod format;
mod github;
mod human;
mod identity;
mod json;
mod judge;
mod living;
mod place;
mod pools;
mod rehearsal;
mod remark;
mod run;
mod sarif;
mod shared;
mod steering;

pub use self::{
    adoption::{Adoption, Duplicate, Held, PoolAdoption, State},
    error::CheckError,
    files::{File, gather},
    format::Format,
    remark::{DUPLICATE_OBJECT, Examined, INVALID_MANIFEST, Outcome, Remark},
    run::{Options, catalog_in, examine, run, run_in},
    steering::harmless,
};
