//! Where allocations are recorded.
//!
//! # Expected flow
//! 1. Open a ledger: [`EmbeddedLedger::open`] or [`ClusterLedger::new`], wrapped in [`Ledger`].
//! 2. [`Store::list`] what is there, with a [`Cursor`]; [`Store::follow`] from that cursor keeps an
//!    index true. [`FollowError::Expired`] says: list anew.
//! 3. The allocator plans; [`Store::write`] records the plan before its answer may leave.
//!    - `Ok`: recorded for good; the versions are what the next update or delete must name.
//!    - [`WriteError::Exists`]: another was faster. Its record is there to see, compare the
//!      `networkName`, too: if it is one's own holder, that is success; else take the next address. In
//!      a cluster, what is there already exactly as it was to be written is `Ok`.
//!    - [`WriteError::Changed`]: judge the record as it is now, and decide again.
//!    - [`WriteError::Uncertain`]: repeat the same write under the same name; a record of one's own
//!      found there then is success.
//! 4. [`Store::get`] is for confirming before a denial or a release: it never answers from a cache.
//!
//! # Guarantees
//! - **A name is a lock.** Of all creates of one [record name], at most one succeeds until that
//!   record is deleted. So no address has two holders, however many write at once.
//! - **All or none.** A batch is written whole or not at all. In a file: whatever ends the process
//!   meanwhile, its writes in their order; a refused batch changes nothing, nor its neighbours. In a
//!   cluster, where each record is an object of its own:
//!   - Creates go first, side by side. When a write is refused for good, what the batch has created is
//!     deleted again under its version before the refusal is answered; so others may see it for a
//!     moment. What cannot be deleted at this time is answered as `Uncertain`; what may not be deleted
//!     at all (403) stays, is told in the log, and is the reconciler's: the answer is the refusal.
//!   - Updates and deletes follow when every create has succeeded. One that succeeded is not taken
//!     back: it is of a record whose holder the caller speaks for, or of a reservation's, which the
//!     reconciler gives back.
//!   - After `Uncertain` a part may be there. Repeating the batch completes it, or takes it back.
//!   - If the process ends in the middle, what is there is the reconciler's.
//!   - A batch names each record once.
//! - **Answered is durable.** After `Ok` the batch survives a crash of process and machine. What a file
//!   has lost nevertheless (it was restored from a copy, or its newest commit cannot be read) is noticed
//!   when it is opened, by the version file beside it.
//! - **Versions grow** with every write, over all records, over restarts, too. In a cluster they are
//!   the `resourceVersion`s, with gaps; that of a delete is at most that of the deletion, and above
//!   every version that the record had. An update that changes nothing is none, and keeps its version.
//! - **Cancel-safe.** A dropped [`Store::write`] future takes nothing back: the batch is still
//!   written whole or not at all, and [`Store::follow`] tells if it was. Those of the readers
//!   change nothing.
//! - **A follower misses nothing.** It sees each write once, in the order of commits, or an error. In
//!   a cluster it outlives watches that break, and waits for an API server that is away.
//!
//! # Errors
//! Every error says what happened, where, and what to do. None of them is a panic, whatever the
//! file holds.
//!
//! [record name]: crate::allocation::Allocation::record_name

mod actor;
mod cluster;
mod commit;
mod dispatch;
mod embedded;
mod error;
mod outcome;
mod slices;
mod store;

pub use self::{
    actor::Actor,
    cluster::{ClusterLedger, ClusterLedgerOptions, RequestCounts, WRITTEN_BY},
    commit::{CommitOutcome, claim, commit},
    dispatch::Ledger,
    embedded::{EmbeddedLedger, LedgerOrigin, OlderLedger},
    error::{ExportError, FollowError, ImportError, NotWritable, OpenError, ReadError, WriteError},
    outcome::apply_outcome,
    slices::{SliceEvent, SliceEvents, SliceLedger},
    store::{Cursor, LedgerEvent, LedgerEvents, Store},
};
