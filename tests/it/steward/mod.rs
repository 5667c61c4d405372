//! The reconciler of a cluster, against the stand-in for the API server, in paused time.

mod adoption;
mod late;
mod machines;
mod notes;
mod release;
mod scale;
mod surplus;
mod world;

use libtest_mimic::Trial;

pub(crate) fn trials() -> Vec<Trial> {
    [
        adoption::trials(),
        late::trials(),
        machines::trials(),
        notes::trials(),
        release::trials(),
        scale::trials(),
        surplus::trials(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
