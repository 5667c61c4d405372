//! The catalog of a cluster, against the fake API server.

mod chaos;
mod faults;
mod follow;
mod live_reads;
mod memory;
mod support;
mod whereabouts;

use libtest_mimic::Trial;

pub(crate) fn tests() -> Vec<Trial> {
    [
        follow::tests(),
        faults::tests(),
        live_reads::tests(),
        chaos::tests(),
        memory::tests(),
        whereabouts::tests(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
