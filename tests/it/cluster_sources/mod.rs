//! The catalog of a cluster, against the stand-in for its API server.

mod chaos;
mod faults;
mod follow;
mod live_reads;
mod memory;
mod support;

use libtest_mimic::Trial;

pub(crate) fn trials() -> Vec<Trial> {
    [
        follow::trials(),
        faults::trials(),
        live_reads::trials(),
        chaos::trials(),
        memory::trials(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
