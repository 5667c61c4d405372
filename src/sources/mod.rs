//! What feeds the catalog.
//!
//! [`FolderSource`] keeps a catalog of the manifests in a folder and publishes it whole whenever
//! it changes. [`WatchedFile`] is the same idea for a single text, `nadmit.yaml` for one, and
//! [`OptionalFile`] for one that may be missing. All of them poll: inotify does not see how the
//! kubelet swaps the symbolic links of a mounted `ConfigMap`, nor what happens on network file systems.
//!
//! [`Cluster`] is a living cluster, of which the objects are read once. [`ClusterSource`] keeps a
//! catalog of one, by watches.
//!
//! Guarantees of the folder:
//! - Whatever happens in the folder, the server goes on. Of a file with errors the last good state
//!   stays, and so does that of a folder that vanishes; what was deleted goes.
//! - Every error is reported with its place: in the log once, and in [`FolderStatus`] while it
//!   lasts.
//! - After [`FolderSource::refresh`] the catalog is as fresh as the folder was at the call.

mod cluster;
mod error;
mod file;
mod folder;
mod listing;
mod objects;
mod once;
mod optional_file;
mod scan;
mod status;
#[cfg(test)]
mod tests;
mod text;
mod watch;
mod watched_file;

pub use self::{
    cluster::{
        Cluster, ClusterAccess, ClusterConnection, ClusterError, ClusterObject, ClusterQuery,
        ClusterSnapshot, UnreadableList, with_causes,
    },
    error::SourceError,
    folder::{FolderOptions, FolderSource},
    once::{catalog_of, files_in, read_file, read_stream},
    optional_file::OptionalFile,
    status::{FileReport, FolderStatus},
    watch::{ClusterSource, ClusterSourceOptions, ClusterStatus, KindState, KindStatus, Stale},
    watched_file::WatchedFile,
};
