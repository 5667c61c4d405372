//! The condition of a pool that has the settings of networks' own pools.

use std::collections::BTreeSet;

use super::condition::{ConditionState, some_of};
use nadmit_allocation::{NetworkRef, Pool, Retention};
use nadmit_catalog::{SettingsEffect, WithoutPool};

/// Returns whether the settings are those of the pools of all networks. The reason is that of the first
/// network that has not got them.
pub(super) fn condition(
    settings: &Pool,
    effects: &[(&NetworkRef, SettingsEffect)],
) -> ConditionState {
    let mut pools = BTreeSet::new();
    let mut problems = Vec::new();
    for (NetworkRef { namespace, name }, effect) in effects {
        match effect {
            SettingsEffect::Applied(pool) => drop(pools.insert(configured(pool, settings))),
            SettingsEffect::Preceded { by } => problems.push(format!(
                "the pool of network {namespace}/{name} has the settings of AddressPool {by:?}, \
                 which comes first by name: remove the network from one of both"
            )),
            SettingsEffect::WithoutPool(why) => {
                problems.push(format!("network {namespace}/{name} {why}"));
            }
        }
    }
    let pools: Vec<String> = pools.into_iter().collect();
    let applied = format!("the settings are those of {}", some_of(&pools));
    let failed = || match pools.is_empty() {
        true => some_of(&problems),
        false => format!("{}; {applied}", some_of(&problems)),
    };
    let is_problem = |effect: &&SettingsEffect| !matches!(effect, SettingsEffect::Applied(_));
    match effects.iter().map(|(_, effect)| effect).find(is_problem) {
        Some(SettingsEffect::Preceded { .. }) => {
            ConditionState::fails("ConfiguredByAnother", failed())
        }
        Some(SettingsEffect::WithoutPool(WithoutPool::Missing)) => {
            ConditionState::fails("NetworkNotFound", failed())
        }
        Some(SettingsEffect::WithoutPool(_)) => {
            ConditionState::fails("NetworkWithoutPool", failed())
        }
        Some(SettingsEffect::Applied(_)) | None => ConditionState::holds("Configures", applied),
    }
}

/// Returns the pool in words, and the setting that it has not got.
fn configured(pool: &Pool, settings: &Pool) -> String {
    match pool.retention == settings.retention {
        true => format!("pool {:?}", pool.name),
        false => format!(
            "pool {:?} (except retention: it stays {}, because an address of a node's slice cannot \
             follow a workload)",
            pool.name,
            Retention::Pod
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use jiff::Timestamp;
    use serde_json::json;

    use super::*;
    use nadmit_allocation::ParsedSpec;

    fn pool(name: &str, spec: &serde_json::Value) -> Arc<Pool> {
        let pool = ParsedSpec::of_pool(spec).pool(name);
        Arc::new(pool.unwrap_or_else(|e| panic!("{e:?}")))
    }

    /// Returns status, reason and message of the condition of an AddressPool with these effects.
    fn shown(effects: &[SettingsEffect]) -> String {
        let settings = pool("keep", &json!({"whereabouts": {"networks": ["db/a"]}}));
        let network = &settings.configures[0];
        let effects: Vec<_> = effects
            .iter()
            .map(|effect| (network, effect.clone()))
            .collect();
        let condition = condition(&settings, &effects);
        let condition = condition.condition("Ready", None, &[], Timestamp::default());
        format!(
            "{} {}: {}",
            condition.status, condition.reason, condition.message
        )
    }

    #[test]
    fn the_condition_says_which_pools_are_configured_and_what_to_do() {
        let range = json!({"ranges": [{"range": "192.0.2.0/24"}]});
        let applied = SettingsEffect::Applied(pool("whereabouts/192.0.2.0-24", &range));
        let range = json!({"ranges": [{"range": "10.8.0.0/16"}], "nodeSliceSize": "/24"});
        let sliced = SettingsEffect::Applied(pool("whereabouts/10.8.0.0-16-5e0", &range));
        let missing = SettingsEffect::WithoutPool(WithoutPool::Missing);
        let unserved = SettingsEffect::WithoutPool(WithoutPool::NotServed);
        let by = "all".into();
        let preceded = SettingsEffect::Preceded { by };
        let both = [applied.clone(), applied.clone()];
        let table: [(&[SettingsEffect], &str); 6] = [
            (
                &both,
                "True Configures: the settings are those of pool \"whereabouts/192.0.2.0-24\"",
            ),
            (
                &[sliced],
                "True Configures: the settings are those of pool \"whereabouts/10.8.0.0-16-5e0\" \
                 (except retention: it stays Pod, because an address of a node's slice cannot \
                 follow a workload)",
            ),
            (
                std::slice::from_ref(&missing),
                "False NetworkNotFound: network db/a does not exist; create it, or correct the name",
            ),
            (
                &[unserved],
                "False NetworkWithoutPool: network db/a is one of Whereabouts, and these are not \
                 served; set whereabouts: serve",
            ),
            (
                &[applied, preceded.clone()],
                "False ConfiguredByAnother: the pool of network db/a has the settings of AddressPool \
                 \"all\", which comes first by name: remove the network from one of both; the \
                 settings are those of pool \"whereabouts/192.0.2.0-24\"",
            ),
            (
                &[missing.clone(), preceded],
                "False NetworkNotFound: network db/a does not exist; create it, or correct the \
                 name; the pool of network db/a has the settings of AddressPool \"all\", which \
                 comes first by name: remove the network from one of both",
            ),
        ];
        for (effects, expected) in table {
            assert_eq!(shown(effects), expected);
        }
    }
}
