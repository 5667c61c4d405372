//! The sources of the catalog: folders of manifests and clusters.
//!
//! [`FolderSource`] maintains a catalog of the manifests in a folder and publishes a new one
//! whenever it changes. [`WatchedFile`] does the same for a single file such as `nadmit.yaml`, and
//! [`OptionalFile`] for one that may be missing. All of them poll: inotify detects neither how the
//! kubelet swaps the symbolic links of a mounted `ConfigMap`, nor changes on network file systems.
//!
//! [`Cluster`] reads the objects of a cluster once. [`ClusterSource`] maintains a catalog of one by
//! watches. kube's `watcher` and `reflector` do not replace it: live reads and watch events are merged by
//! revision, and their `Event::InitDone` lacks the revision of the list.
//!
//! Guarantees of the folder:
//! - No change in the folder stops the server. A file with errors keeps its last good state, and so
//!   does the content of a folder that vanishes; deleted files are removed.
//! - Every error is reported with its position: once in the log, and in [`FolderStatus`] as long as
//!   it persists.
//! - After [`FolderSource::refresh`] the catalog is at least as fresh as the folder was at the
//!   call.

mod cluster;
mod error;
mod file;
mod file_text;
mod folder;
mod generated;
mod listing;
mod live_catalog;
mod load_once;
mod objects;
mod optional_file;
mod scan;
mod status;
#[cfg(test)]
mod tests;
mod watch;
mod watched_file;

pub use self::{
    cluster::{
        Cluster, ClusterAccess, ClusterConnection, ClusterError, ClusterObject, ClusterQuery,
        ClusterSnapshot, UnreadableList, WhereaboutsKinds, with_causes,
    },
    error::SourceError,
    folder::{FolderOptions, FolderSource},
    live_catalog::{ClusterLiveCatalog, FolderLiveCatalog},
    load_once::{catalog_of, files_in, read_file, read_stream},
    optional_file::OptionalFile,
    status::{FileReport, FolderStatus},
    watch::{
        ClusterSource, ClusterSourceOptions, ClusterStatus, KindState, KindStatus, Stale,
        UnreadableRecord, put_records, watched_custom_kinds,
    },
    watched_file::WatchedFile,
};
