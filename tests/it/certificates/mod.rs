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

pub(crate) fn trials() -> Vec<Trial> {
    [
        scenarios::trials(),
        clock_skew::trials(),
        crashes::trials(),
        storm::trials(),
        binary::trials(),
        real::trials(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
