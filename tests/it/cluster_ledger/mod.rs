//! The ledger in a cluster, against the stand-in for the API server, mostly in paused time.
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

pub(crate) fn trials() -> Vec<Trial> {
    [
        responses::trials(),
        batches::trials(),
        contract::trials(),
        following::trials(),
        model::trials(),
        reading::trials(),
        sockets::trials(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
