//! Faults between the API server and its clients.

use std::{sync::LazyLock, time::Duration};

use super::{
    cluster::World,
    rng::Dice,
    scenario::{Cast, Weather},
};
use crate::api_server::{Asked, Failure, FaultAction};

const MIGRATIONS: &str = "virtualmachineinstancemigrations";

impl World {
    /// Injects random faults into requests.
    pub(super) fn blow(&self) {
        let (dice, weather, log) = (self.dice.fork(), self.plan.weather, self.log.clone());
        // Requests about migrations have a sequence of their own, so that scenarios without
        // migrations stayed as they were before this was added.
        let (apart, cast) = (dice.beside(), self.plan.cast);
        self.server.faults(move |asked| {
            let dice = match asked.resource == MIGRATIONS && cast == Cast::Pods {
                true => &apart,
                false => &dice,
            };
            if tells_all() {
                let name = asked.name.as_deref().unwrap_or_default();
                let about = [
                    &*asked.client,
                    asked.verb,
                    &asked.resource,
                    &asked.subresource,
                    name,
                ];
                log.say(about.join(" "));
            }
            let harm = match weather {
                Weather::Calm => 0,
                Weather::Rough => 4,
                Weather::Storm => 15,
            };
            if asked.client.starts_with("replica") && dice.percent(harm) {
                return Some(of_replica(dice, asked));
            }
            if !asked.client.starts_with("replica") && dice.percent(harm / 2) {
                return Some(of_others(dice, asked));
            }
            Some(FaultAction::slow(dice.millis(0, 6), dice.millis(0, 4)))
        });
    }
}

/// Returns true if requests are logged, too, which shows where two runs diverge.
fn tells_all() -> bool {
    static TOLD: LazyLock<bool> = LazyLock::new(|| std::env::var_os("NADMIT_TRACE").is_some());
    *TOLD
}

/// Returns a random delay that is mostly short.
fn time(dice: &Dice) -> Duration {
    match dice.below(10) {
        0..6 => dice.millis(1, 100),
        6..9 => dice.millis(100, 3_500),
        _ => dice.millis(3_500, 20_000),
    }
}

fn of_replica(dice: &Dice, asked: &Asked) -> FaultAction {
    if asked.verb == "watch" {
        return match dice.below(3) {
            0 => FaultAction::dropped(time(dice)),
            1 => FaultAction::lagging(dice.millis(10, 5_000)),
            _ => failure(dice, asked).into(),
        };
    }
    match dice.below(6) {
        0 => FaultAction::slow(time(dice), time(dice)),
        1 | 2 => failure(dice, asked).into(),
        3 | 4 if asked.writes() => FaultAction::lost(silence(dice)),
        5 if asked.writes() => FaultAction::later(time(dice), silence(dice)),
        _ => silence(dice).into(),
    }
}

fn of_others(dice: &Dice, asked: &Asked) -> FaultAction {
    match dice.below(4) {
        0 => FaultAction::slow(time(dice), time(dice)),
        1 if asked.writes() => FaultAction::lost(silence(dice)),
        2 if asked.writes() => FaultAction::later(time(dice), silence(dice)),
        _ => failure(dice, asked).into(),
    }
}

/// Returns a failure without an effect.
fn failure(dice: &Dice, asked: &Asked) -> Failure {
    match dice.below(4) {
        0 => Failure::TooManyRequests(dice.between(1, 2)),
        1 if asked.verb == "update" => Failure::Conflict,
        2 => Failure::Unavailable,
        _ => Failure::Internal,
    }
}

/// Returns a failure that leaves open whether the request took effect.
fn silence(dice: &Dice) -> Failure {
    match dice.below(5) {
        0 => Failure::Timeout,
        1 => Failure::Internal,
        2 => Failure::Silence,
        _ => Failure::Connection,
    }
}
