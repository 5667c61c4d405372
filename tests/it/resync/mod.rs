//! Work done once for all replicas: leader election, the resync schedule, status and events.

mod adopt_dry_run;
mod events;
mod fixture;
mod leader_election;
mod schedule;
mod status;
mod support;

use libtest_mimic::Trial;

pub(crate) fn trials() -> Vec<Trial> {
    [
        leader_election::trials(),
        schedule::trials(),
        events::trials(),
        status::trials(),
        adopt_dry_run::trials(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
