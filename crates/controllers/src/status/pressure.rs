//! Warnings about pools that fill up: once on the way up, and again only after they recovered.
//!
//! The last level is a condition of the pool, so that the next leader finds it and does not emit the
//! warning again.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::condition::ConditionState;
use nadmit_allocation::{Index, Pool, index::Usage};

/// The type of the condition; it is true under pressure and absent otherwise.
pub(super) const PRESSURE: &str = "AddressPressure";

/// The percentage from which a pool is nearly full.
const NEARLY_FULL_PERCENT: u128 = 90;
/// The percentage below which a pool has recovered.
const RECOVERED_PERCENT: u128 = 80;

/// The pressure level of each pool.
#[derive(Debug, Default)]
pub(super) struct PressureTracker(BTreeMap<String, PoolPressure>);

/// The pressure level of a pool and the range that caused it.
#[derive(Debug, Default)]
struct PoolPressure {
    level: PressureLevel,
    /// The fullest range, as a noun for messages.
    range: String,
}

/// The pressure on a pool.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
enum PressureLevel {
    #[default]
    Normal,
    NearlyFull,
    Exhausted,
}

impl PressureLevel {
    /// Returns the level recorded in the conditions of a pool, by this or an earlier leader.
    fn previous(conditions: &[Condition]) -> Self {
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
    /// Updates the level of a pool. Returns the reason and message of an event if the level has risen.
    /// `conditions` are those of the pool, read on its first observation.
    pub(super) fn observe(
        &mut self,
        pool: &Pool,
        index: &Index,
        conditions: impl FnOnce() -> Vec<Condition>,
    ) -> Option<(&'static str, String)> {
        let usages = index.range_usages(&pool.name);
        let names = pool.ranges.iter();
        let names = names.map(|range| format!("range {}", range.subnet));
        let names = names.chain(["MAC prefix".to_owned()]);
        // A pool is as full as its fullest range.
        let (range, usage) = names
            .zip(usages)
            .max_by_key(|(_, usage)| (usage.free == 0, percent(usage)))?;
        let previous = self.0.entry(pool.name.to_string());
        let state = previous.or_insert_with(|| PoolPressure {
            level: PressureLevel::previous(&conditions()),
            range: range.clone(),
        });
        let previous = &mut state.level;
        let now = match percent(&usage) {
            _ if usage.free == 0 => PressureLevel::Exhausted,
            NEARLY_FULL_PERCENT.. => PressureLevel::NearlyFull,
            RECOVERED_PERCENT.. => *previous,
            _ => PressureLevel::Normal,
        };
        let risen = now > *previous;
        // An exhausted pool has to recover before it is reported again.
        *previous = if now == PressureLevel::Normal {
            now
        } else {
            now.max(*previous)
        };
        if now >= *previous {
            state.range.clone_from(&range);
        }
        risen.then(|| warning(now, &range, &pool.name))
    }

    /// Returns the condition of a pool; `None` without pressure.
    pub(super) fn pressure(&self, pool: &str) -> Option<ConditionState> {
        let PoolPressure { level, range } = self.0.get(pool)?;
        match level {
            PressureLevel::Normal => None,
            PressureLevel::NearlyFull => Some(ConditionState::holds(
                "NearlyFull",
                format!(
                    "{range} of pool {pool:?} was at least {NEARLY_FULL_PERCENT} % full, and not under \
                     {RECOVERED_PERCENT} % since"
                ),
            )),
            PressureLevel::Exhausted => Some(ConditionState::holds(
                "Exhausted",
                format!(
                    "{range} of pool {pool:?} was full, and not under {RECOVERED_PERCENT} % since"
                ),
            )),
        }
    }

    /// Forgets the pools for which `there` returns false.
    pub(super) fn retain_pools(&mut self, there: impl Fn(&str) -> bool) {
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

fn warning(level: PressureLevel, range: &str, pool: &str) -> (&'static str, String) {
    match level {
        PressureLevel::Exhausted => (
            "PoolExhausted",
            format!("{range} of pool {pool:?} is full; new pods stay Pending"),
        ),
        PressureLevel::NearlyFull | PressureLevel::Normal => (
            "PoolNearlyFull",
            format!(
                "{range} of pool {pool:?} is at least {NEARLY_FULL_PERCENT} % full; extend the pool, \
                 or release addresses"
            ),
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use nadmit_allocation::{Allocation, ParsedSpec, PoolConfig, Stored, Version};

    /// Fills a pool of 20 addresses to each of `counts` and returns the reasons of the events emitted.
    fn warnings_for(counts: &[u8]) -> Vec<&'static str> {
        let spec = json!({"ranges": [{"range": "192.0.2.0/24", "rangeEnd": "192.0.2.20"}]});
        let pool = ParsedSpec::of_pool(&spec).pool("storage");
        let pool = Arc::new(pool.unwrap_or_else(|e| panic!("{e:?}")));
        let pool_config = Arc::new(PoolConfig::new([Arc::clone(&pool)], [], |_| None));
        let mut index = Index::of(&pool_config);
        let mut pressure = PressureTracker::default();
        let mut reasons = Vec::new();
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
            let warning = pressure.observe(&pool, &index, Vec::new);
            reasons.push(warning.map_or("", |(reason, _)| reason));
        }
        reasons
    }

    #[test]
    fn each_threshold_is_reported_once_until_the_pool_recovers() {
        assert_eq!(
            warnings_for(&[17, 18, 17, 18, 20, 19, 20, 16, 20]),
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
            warnings_for(&[18, 15, 18, 15, 20]),
            ["PoolNearlyFull", "", "PoolNearlyFull", "", "PoolExhausted"]
        );
    }
}
