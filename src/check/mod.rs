//! The offline run: manifests are read and judged as the server would judge them.
//!
//! All that is read is one world: its networks and namespaces are the catalog, and each pod, each
//! workload's template, each virtual machine and each network in it is judged by the server's own
//! rules ([`crate::rules::judge`]). What is found has its place in the file: the very character,
//! inside of the JSON inside of the YAML.
//!
//! 1. [`gather`] reads files, folders and standard input.
//! 2. [`run`] judges them.
//! 3. [`Format`] says it: to people, or to machines.

mod duplicates;
mod error;
mod files;
mod format;
mod github;
mod human;
mod json;
mod judge;
mod place;
mod pools;
mod rehearsal;
mod remark;
mod sarif;

pub use self::{
    error::CheckError,
    files::{File, gather},
    format::Format,
    judge::{Options, run},
    remark::{DUPLICATE_OBJECT, INVALID_MANIFEST, Outcome, Remark},
};
