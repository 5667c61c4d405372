//! The durable store of allocations.
//!
//! # Expected flow
//! 1. Open a ledger, with [`EmbeddedLedger::open`] or [`ClusterLedger::new`], and wrap it in [`Ledger`].
//! 2. [`Store::list`] the records and a [`Cursor`]; [`Store::follow`] from that cursor keeps an index up to
//!    date. After [`FollowError::Expired`], list again.
//! 3. The allocator plans; [`Store::write`] makes the plan durable before the response may leave.
//!    - `Ok`: the batch is durable. The next update or delete must name the returned versions.
//!    - [`WriteError::Exists`]: another writer was faster. The error has its record; compare the
//!      `networkName`, too. If the caller's own holder has it, that is success; otherwise take the next
//!      address. In a cluster, a record that already exists with exactly the content to write is `Ok`.
//!    - [`WriteError::Changed`]: the record has another version; decide again by its current content.
//!    - [`WriteError::Uncertain`]: repeat the same write under the same names. If it then finds the
//!      caller's own record, that is success.
//! 4. [`Store::get`] verifies a record before a denial or a release; it never reads from a cache.
//!
//! # Guarantees
//! - **A name is a lock.** Of all creates of one [record name], at most one succeeds until that record is
//!   deleted. So no address has two holders, however many writers compete.
//! - **All or none.** A batch is written completely or not at all. In a file this holds across crashes, the
//!   writes of a batch take effect in their order, and a refused batch changes nothing and affects no other
//!   batch. In a cluster, where each record is an object of its own:
//!   - Creates go first, concurrently. When a write is refused permanently, the objects that the batch has
//!     created are deleted, by their versions, before the refusal is returned; other clients may see them
//!     in between. If such a delete fails and may be retried, the outcome is `Uncertain`. If it is
//!     forbidden (403), the object stays, an error is logged, the refusal is returned, and the reconciler
//!     releases the object.
//!   - Updates and deletes follow when every create has succeeded. Successful ones are not reverted. They
//!     affect only the caller's own holder, or a reservation, which the reconciler restores.
//!   - After `Uncertain`, a part may have been written. Repeating the batch completes it or deletes the
//!     part.
//!   - If the process ends in the middle, the reconciler releases what was written.
//!   - A batch may name each record only once.
//! - **Acknowledged is durable.** After `Ok` the batch survives a crash of process and machine. A file that
//!   lost acknowledged writes nevertheless (it was restored from a copy, or its newest commit cannot be
//!   read) is detected when it is opened, by the version file next to it.
//! - **Versions grow** with every write, across all records and restarts. In a cluster they are
//!   `resourceVersion`s, with gaps. A delete's version is greater than any version of the record and no
//!   greater than the revision of the deletion event. No-op updates keep the current version.
//! - **Cancel-safe.** Dropping a [`Store::write`] future does not revert anything: the batch is still
//!   written completely or not at all, and [`Store::follow`] reports it if it was. Dropping the future of a
//!   read changes nothing.
//! - **A follower misses nothing.** It sees each write once, in the order of commits, or an error. In a
//!   cluster it survives watches that break, and waits for an API server that is unavailable.
//!
//! # Errors
//! Every error says what happened, where, and what to do. No file content causes a panic.
//!
//! [record name]: nadmit_allocation::Allocation::record_name

mod actor;
mod cluster;
mod commit;
mod commit_loop;
mod dispatch;
mod embedded;
mod error;
mod follow;
mod outcome;
mod slices;
mod store;
mod whereabouts;

pub use self::{
    actor::Actor,
    cluster::{ClusterLedger, ClusterLedgerOptions, LedgerRequestCounts, WRITTEN_BY},
    commit::{CommitError, CommitOutcome, claim, commit},
    commit_loop::{
        CommitLimits, CommitLoopError, CommitPlanner, CommitStep, PlannedWrites, commit_loop,
    },
    dispatch::Ledger,
    embedded::{EmbeddedLedger, LedgerOrigin, OlderLedger},
    error::{ExportError, FollowError, ImportError, NotWritable, OpenError, ReadError, WriteError},
    outcome::apply_outcome,
    slices::{SliceEvent, SliceEvents, SliceLedger},
    store::{Cursor, LedgerEvent, LedgerEvents, Store},
    whereabouts::{
        Pacing, RecordGuard, WhereaboutsError, WhereaboutsLedger, WhereaboutsWrite, commit_served,
    },
};
