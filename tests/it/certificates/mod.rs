//! Certificates in a Secret: what replicas make of it with an API server, with each other, and
//! with everything that goes wrong; and the binary, serving through a change of CAs.

mod agreeing;
mod binary;
mod dying;
mod looks;
mod real;
mod serving;
mod stage;
mod storm;

use libtest_mimic::Trial;

pub(crate) fn trials() -> Vec<Trial> {
    [
        looks::trials(),
        agreeing::trials(),
        dying::trials(),
        storm::trials(),
        binary::trials(),
        real::trials(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
