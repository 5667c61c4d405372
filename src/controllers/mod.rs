//! What keeps ledger, index and world in step, beside the requests.
//!
//! - [`Feed`] keeps the index as the ledger is, [`SliceFeed`] its slices.
//! - [`Housekeeper`] does without a cluster what a reconciler does in one: it adopts what the folder's
//!   pods and networks use, lets reservations take effect, and frees what the folder drops.
//! - [`Steward`] is the reconciler of a cluster. What it needs of the world comes through [`Live`],
//!   [`PodWriter`] and [`Notices`].

mod carry_out;
mod feed;
mod housekeeper;
mod live;
mod metrics;
mod notices;
mod pod_writer;
mod seen;
mod slice_feed;
mod steward;
#[cfg(test)]
mod tests;

pub use self::{
    feed::Feed,
    housekeeper::Housekeeper,
    live::{Live, Look},
    notices::{Gravity, NoNotices, Notices, ObjectRef},
    pod_writer::{Annotate, Annotated, ClusterPods, PodWriter},
    slice_feed::SliceFeed,
    steward::{Intent, Report, Steward, StewardParts},
};
