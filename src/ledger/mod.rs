//! Where allocations are recorded.
//!
//! # Expected flow
//! 1. Open a ledger: [`EmbeddedLedger::open`], wrapped in [`Ledger`].
//! 2. [`Store::list`] what is there, with a [`Cursor`]; [`Store::follow`] from that cursor keeps an
//!    index true. [`FollowError::Behind`] says: list anew.
//! 3. The allocator plans; [`Store::write`] records the plan before its answer may leave.
//!    - `Ok`: recorded for good; the versions are what the next update or delete must name.
//!    - [`WriteError::Exists`]: another was faster. Its record is there to see, compare the
//!      `networkName`, too: if it is one's own holder, that is success; else take the next address.
//!    - [`WriteError::Changed`]: judge the record as it is now, and decide again.
//!    - [`WriteError::Uncertain`]: repeat the same write under the same name; a record of one's own
//!      found there then is success.
//! 4. [`Store::get`] is for confirming before a denial or a release: it never answers from a cache.
//!
//! # Guarantees
//! - **A name is a lock.** Of all creates of one [record name], at most one succeeds until that
//!   record is deleted. So no address has two holders, however many write at once.
//! - **All or none.** A batch is written whole or not at all, whatever ends the process meanwhile.
//!   Its writes take effect in their order; a refused batch changes nothing, nor its neighbours.
//! - **Answered is durable.** After `Ok` the batch survives a crash of process and machine.
//! - **Versions grow** with every write, over all records, over restarts, too.
//! - **Cancel-safe.** A dropped [`Store::write`] future takes nothing back: the batch is still
//!   written whole or not at all, and [`Store::follow`] tells if it was. Those of the readers
//!   change nothing.
//! - **A follower misses nothing.** It sees each write once, in the order of commits, or an error.
//!
//! # Errors
//! Every error says what happened, where, and what to do. None of them is a panic, whatever the
//! file holds.
//!
//! [record name]: crate::allocation::Allocation::record_name

mod dispatch;
mod embedded;
mod error;
mod store;
mod tell;

pub use self::{
    dispatch::Ledger,
    embedded::EmbeddedLedger,
    error::{ExportError, FollowError, ImportError, OpenError, ReadError, WriteError},
    store::{Cursor, Event, Events, Store},
    tell::tell,
};
