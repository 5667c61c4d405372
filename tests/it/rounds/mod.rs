//! What is done once for all replicas: who does it, when, and what is told of it.

mod adopting;
mod leading;
mod scheduled;
mod stage;
mod status;
mod support;
mod telling;

use libtest_mimic::Trial;

pub(crate) fn trials() -> Vec<Trial> {
    [
        leading::trials(),
        scheduled::trials(),
        telling::trials(),
        status::trials(),
        adopting::trials(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
