//! Certificates in a Secret: their maintenance by replicas with an API server, with each other, and
//! under faults; and the binary, serving through a CA rotation.

mod binary;
mod clock_skew;
mod crashes;
mod fixture;
mod real;
mod scenarios;
mod serving;
mod storm;

use libtest_mimic::Trial;

pub(crate) fn tests() -> Vec<Trial> {
    [
        scenarios::tests(),
        clock_skew::tests(),
        crashes::tests(),
        storm::tests(),
        binary::tests(),
        real::tests(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
