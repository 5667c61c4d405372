//! The reconciler of a cluster, tested against the stand-in for the API server, in paused time.

mod adoption;
mod fixture;
mod late;
mod machines;
mod release;
mod scale;
mod surplus;
mod warnings;

use libtest_mimic::Trial;

pub(crate) fn trials() -> Vec<Trial> {
    [
        adoption::trials(),
        late::trials(),
        machines::trials(),
        warnings::trials(),
        release::trials(),
        scale::trials(),
        surplus::trials(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
