//! `POST /mutate`: injects addresses into pods and Bindings.
//!
//! # Expected flow
//! Addresses are injected when a pod is created or when it is bound to a node, as the setting
//! `injection` says. For each attachment to a network with a pool, the index plans an assignment;
//! the records are written, and the response carries a patch: the annotation in the JSON format
//! with `ips` and `mac`, and the original text in an annotation of its own. At binding the Binding
//! is patched; the API server merges its annotations into the pod's.
//!
//! # Guarantees
//! - All attachments of a pod are served, or none.
//! - A repeated request of a pod gets the same addresses, and writes nothing again.
//! - A dry run records nothing, and shows what would be allocated now.
//! - nadmit's own annotations on a new pod stay only if the ledger knows them: copied or forged
//!   ones are removed.

mod binding;
mod pod;
mod pod_update;
mod requester;

pub(crate) use self::{
    binding::decide as binding, pod::decide as pod, pod_update::decide as pod_update,
};
