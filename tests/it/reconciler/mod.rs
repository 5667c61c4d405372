//! The reconciler of a cluster, tested against the fake API server, in paused time.

mod adoption;
mod fixture;
mod late;
mod machines;
mod release;
mod scale;
mod surplus;
mod warnings;

use libtest_mimic::Trial;

pub(crate) fn tests() -> Vec<Trial> {
    [
        adoption::tests(),
        late::tests(),
        machines::tests(),
        warnings::tests(),
        release::tests(),
        scale::tests(),
        surplus::tests(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
