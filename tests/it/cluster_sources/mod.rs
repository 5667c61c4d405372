//! The catalog of a living cluster, against the stand-in for its API server.

mod chaos;
mod confirm;
mod faults;
mod follow;
mod memory;
mod support;

use libtest_mimic::Trial;

pub(crate) fn trials() -> Vec<Trial> {
    [
        follow::trials(),
        faults::trials(),
        confirm::trials(),
        chaos::trials(),
        memory::trials(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
