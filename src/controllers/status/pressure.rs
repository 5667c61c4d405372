//! Notices of pools that fill up: once on the way up, and again after they were emptier.
//!
//! What was told is a condition of the pool: whoever leads next finds it there, and does not tell it
//! again.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::condition::ConditionState;
use crate::allocation::{Index, Pool, index::Usage};

/// The condition: true while it holds, and else not there.
pub(super) const PRESSURE: &str = "AddressPressure";

/// From how many percent on a pool is nearly full.
const NEARLY_FULL_PERCENT: u128 = 90;
/// Under how many percent it is as if it had never been.
const RECOVERED_PERCENT: u128 = 80;

/// How full each pool was found.
#[derive(Debug, Default)]
pub(super) struct PressureTracker(BTreeMap<String, PoolPressure>);

/// What was told of a pool, and of which range.
#[derive(Debug, Default)]
struct PoolPressure {
    told: PressureLevel,
    /// The range that is or was the fullest; empty until it was looked at.
    range: String,
}

/// What was told of a pool last.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
enum PressureLevel {
    #[default]
    Normal,
    NearlyFull,
    Exhausted,
}

impl PressureLevel {
    /// What was told of a pool by whoever led before.
    fn before(conditions: &[Condition]) -> Self {
        let mut conditions = conditions.iter();
        let found = conditions.find(|one| one.type_ == PRESSURE && one.status == "True");
        match found.map(|one| &*one.reason) {
            Some("Exhausted") => Self::Exhausted,
            Some(_) => Self::NearlyFull,
            None => Self::Normal,
        }
    }
}

impl PressureTracker {
    /// What is to be told of a pool now: a reason, and a sentence. `conditions` are those that it has.
    pub(super) fn look(
        &mut self,
        pool: &Pool,
        index: &Index,
        conditions: impl FnOnce() -> Vec<Condition>,
    ) -> Option<(&'static str, String)> {
        let usages = index.range_usages(&pool.name);
        let names = pool.ranges.iter().map(|range| range.subnet.to_string());
        let names = names.chain(["its MACs".to_owned()]);
        // A pool is as full as its fullest range.
        let (range, usage) = names
            .zip(usages)
            .max_by_key(|(_, usage)| (usage.free == 0, percent(usage)))?;
        let before = self.0.entry(pool.name.to_string());
        let state = before.or_insert_with(|| PoolPressure {
            told: PressureLevel::before(&conditions()),
            range: range.clone(),
        });
        let before = &mut state.told;
        let now = match percent(&usage) {
            _ if usage.free == 0 => PressureLevel::Exhausted,
            NEARLY_FULL_PERCENT.. => PressureLevel::NearlyFull,
            RECOVERED_PERCENT.. => *before,
            _ => PressureLevel::Normal,
        };
        let risen = now > *before;
        // What was exhausted has to become calm before it is told again.
        *before = if now == PressureLevel::Normal {
            now
        } else {
            now.max(*before)
        };
        if now >= *before {
            state.range.clone_from(&range);
        }
        risen.then(|| notice(now, &range))
    }

    /// What was told of a pool, for its status; nothing if that is nothing.
    pub(super) fn pressure(&self, pool: &str) -> Option<ConditionState> {
        let PoolPressure { told, range } = self.0.get(pool)?;
        match told {
            PressureLevel::Normal => None,
            PressureLevel::NearlyFull => Some(ConditionState::holds(
                "NearlyFull",
                format!(
                    "more than {NEARLY_FULL_PERCENT} % of {range} were taken, and it was not under {RECOVERED_PERCENT} % since"
                ),
            )),
            PressureLevel::Exhausted => Some(ConditionState::holds(
                "Exhausted",
                format!(
                    "{range} had nothing left to give, and was not under {RECOVERED_PERCENT} % since"
                ),
            )),
        }
    }

    /// Forgets the pools that are not among these.
    pub(super) fn keep(&mut self, there: impl Fn(&str) -> bool) {
        self.0.retain(|name, _| there(name));
    }
}

fn percent(usage: &Usage) -> u128 {
    let taken = usage.capacity.saturating_sub(usage.free);
    match usage.capacity {
        0 => 0,
        capacity => taken.saturating_mul(100) / capacity,
    }
}

fn notice(told: PressureLevel, range: &str) -> (&'static str, String) {
    match told {
        PressureLevel::Exhausted => (
            "PoolExhausted",
            format!("{range} has no address left to give"),
        ),
        PressureLevel::NearlyFull | PressureLevel::Normal => (
            "PoolNearlyFull",
            format!("more than {NEARLY_FULL_PERCENT} % of {range} are taken"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::allocation::{Allocation, Layout, Stored, Version, Words};

    /// Fills a pool of 20 addresses to each of these, and says what is told.
    fn told(counts: &[u8]) -> Vec<&'static str> {
        let spec = json!({"ranges": [{"range": "192.0.2.0/24", "rangeEnd": "192.0.2.20"}]});
        let pool = Words::of_pool(&spec).pool("storage");
        let pool = Arc::new(pool.unwrap_or_else(|e| panic!("{e:?}")));
        let layout = Arc::new(Layout::new([Arc::clone(&pool)], [], |_| None));
        let mut index = Index::default();
        index.sync(&layout);
        let mut pressure = PressureTracker::default();
        let mut told = Vec::new();
        for (version, count) in (1..).zip(counts) {
            let record = |last: u8| -> Allocation {
                let record = json!({
                    "address": format!("192.0.2.{last}"), "pool": "storage", "since": 0,
                    "network": {"namespace": "db", "name": "a"},
                    "holder": {"pod": {"namespace": "db", "name": format!("p{last}")}},
                });
                serde_json::from_value(record).unwrap_or_else(|e| panic!("{e}"))
            };
            let all = (1..=*count).map(|last| Stored {
                allocation: record(last),
                version: Version(version),
            });
            index.replace(all.collect(), Version(version));
            let notice = pressure.look(&pool, &index, Vec::new);
            told.push(notice.map_or("", |(reason, _)| reason));
        }
        told
    }

    #[test]
    fn each_threshold_is_told_once_until_it_is_calm_again() {
        assert_eq!(
            told(&[17, 18, 17, 18, 20, 19, 20, 16, 20]),
            [
                "",
                "PoolNearlyFull",
                "",
                "",
                "PoolExhausted",
                "",
                "",
                "",
                ""
            ]
        );
        assert_eq!(
            told(&[18, 15, 18, 15, 20]),
            ["PoolNearlyFull", "", "PoolNearlyFull", "", "PoolExhausted"]
        );
    }
}
