//! Work done once for all replicas: leader election, the resync schedule, status and events.

mod adopt_dry_run;
mod events;
mod fixture;
mod leader_election;
mod schedule;
mod status;
mod support;

use libtest_mimic::Trial;

pub(crate) fn tests() -> Vec<Trial> {
    [
        leader_election::tests(),
        schedule::tests(),
        events::tests(),
        status::tests(),
        adopt_dry_run::tests(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
