//! Faults between the API server and its clients.

use std::{sync::LazyLock, time::Duration};

use super::{
    cluster::SimCluster,
    rng::Rng,
    scenario::{Actors, FaultProfile},
};
use crate::api_server::{FaultAction, InjectedFailure, ResourceRequest};

const MIGRATIONS: &str = "virtualmachineinstancemigrations";

impl SimCluster {
    /// Injects random faults into requests.
    pub(super) fn inject_faults(&self) {
        let (rng, fault_profile, log) = (
            self.rng.fork(),
            self.scenario.fault_profile,
            self.log.clone(),
        );
        // Requests about migrations have a sequence of their own, so that scenarios without
        // migrations stayed as they were before this was added.
        let (apart, actors) = (rng.derive(), self.scenario.actors);
        self.server.faults(move |asked| {
            let rng = match asked.resource == MIGRATIONS && actors == Actors::Pods {
                true => &apart,
                false => &rng,
            };
            if logs_requests() {
                let name = asked.name.as_deref().unwrap_or_default();
                let about = [
                    &*asked.client,
                    asked.verb,
                    &asked.resource,
                    &asked.subresource,
                    name,
                ];
                log.record(about.join(" "));
            }
            let harm = match fault_profile {
                FaultProfile::Calm => 0,
                FaultProfile::Rough => 4,
                FaultProfile::Storm => 15,
            };
            if asked.client.starts_with("replica") && rng.percent(harm) {
                return Some(of_replica(rng, asked));
            }
            if !asked.client.starts_with("replica") && rng.percent(harm / 2) {
                return Some(of_others(rng, asked));
            }
            Some(FaultAction::slow(rng.millis(0, 6), rng.millis(0, 4)))
        });
    }
}

/// Returns true if requests are logged, too, which shows where two runs diverge.
fn logs_requests() -> bool {
    static TOLD: LazyLock<bool> = LazyLock::new(|| std::env::var_os("NADMIT_TRACE").is_some());
    *TOLD
}

/// Returns a random delay that is mostly short.
fn time(rng: &Rng) -> Duration {
    match rng.below(10) {
        0..6 => rng.millis(1, 100),
        6..9 => rng.millis(100, 3_500),
        _ => rng.millis(3_500, 20_000),
    }
}

fn of_replica(rng: &Rng, asked: &ResourceRequest) -> FaultAction {
    if asked.verb == "watch" {
        return match rng.below(3) {
            0 => FaultAction::dropped(time(rng)),
            1 => FaultAction::lagging(rng.millis(10, 5_000)),
            _ => failure(rng, asked).into(),
        };
    }
    match rng.below(6) {
        0 => FaultAction::slow(time(rng), time(rng)),
        1 | 2 => failure(rng, asked).into(),
        3 | 4 if asked.writes() => FaultAction::lost(silence(rng)),
        5 if asked.writes() => FaultAction::later(time(rng), silence(rng)),
        _ => silence(rng).into(),
    }
}

fn of_others(rng: &Rng, asked: &ResourceRequest) -> FaultAction {
    match rng.below(4) {
        0 => FaultAction::slow(time(rng), time(rng)),
        1 if asked.writes() => FaultAction::lost(silence(rng)),
        2 if asked.writes() => FaultAction::later(time(rng), silence(rng)),
        _ => failure(rng, asked).into(),
    }
}

/// Returns a failure without an effect.
fn failure(rng: &Rng, asked: &ResourceRequest) -> InjectedFailure {
    match rng.below(4) {
        0 => InjectedFailure::TooManyRequests(rng.between(1, 2)),
        1 if asked.verb == "update" => InjectedFailure::Conflict,
        2 => InjectedFailure::Unavailable,
        _ => InjectedFailure::Internal,
    }
}

/// Returns a failure that leaves open whether the request took effect.
fn silence(rng: &Rng) -> InjectedFailure {
    match rng.below(5) {
        0 => InjectedFailure::Timeout,
        1 => InjectedFailure::Internal,
        2 => InjectedFailure::Silence,
        _ => InjectedFailure::Connection,
    }
}
