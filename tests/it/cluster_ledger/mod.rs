//! The ledger in a cluster, against the fake API server, mostly in paused time.
//!
//! `contract` and `model` also run on the embedded ledger, because both ledgers share a contract.

mod batches;
mod contract;
mod following;
mod model;
mod reading;
mod responses;
mod sockets;
mod support;

use libtest_mimic::Trial;

pub(crate) fn tests() -> Vec<Trial> {
    [
        responses::tests(),
        batches::tests(),
        contract::tests(),
        following::tests(),
        model::tests(),
        reading::tests(),
        sockets::tests(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
