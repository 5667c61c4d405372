//! Pools that networks define by themselves, after a change of the definition.

use super::*;
use crate::PoolOrigin;

fn derived(name: &str, range: &str) -> PoolConfig {
    let spec = format!(r#"{{"ranges":[{{"range":"{range}"}}],"quarantine":"30s"}}"#);
    let spec: PoolSpec = serde_json::from_str(&spec).unwrap_or_else(|e| panic!("{e}"));
    let pool = Pool::new(name, &spec).unwrap_or_else(|e| panic!("{e:?}"));
    let pool = Pool {
        origin: PoolOrigin::InlineRanges,
        ..pool
    };
    PoolConfig::new([Arc::new(pool)], [], |_| None).with_networks([(name.into(), network())])
}

fn actions(pool_config: &PoolConfig, pod: PodState) -> Vec<(ActionReason, Option<Arc<str>>)> {
    let mut held = record("192.0.2.9", replica(), 1000);
    held.pool = "inline/before".into();
    let state = FixedState(pod, WorkloadState::Present);
    let actions = reconcile([(&held, Version(1))], pool_config, [], &state, NOW);
    let shown = actions.into_iter().map(|action| {
        let pool = action
            .write
            .map(|write| Arc::clone(&write.allocation().pool));
        (action.reason, pool)
    });
    shown.collect()
}

#[test]
fn a_retained_record_is_taken_over_under_the_new_name() {
    let gone = PodState::Gone(Timestamp(NOW.0 - 500));
    let wider = derived("inline/after", "192.0.2.0/25");
    let renamed = vec![(ActionReason::PoolRenamed, Some("inline/after".into()))];
    assert_eq!(actions(&wider, gone), renamed);
    // Retention is that of the network's pool, even for an address that it gives no more.
    let elsewhere = derived("inline/after", "192.0.2.128/25");
    assert_eq!(actions(&elsewhere, gone), []);
    // Without a pool nothing retains it.
    let released = vec![(ActionReason::PodGone, Some("inline/before".into()))];
    assert_eq!(actions(&PoolConfig::default(), gone), released);
}

/// Pods of all namespaces may use all pools.
struct AllowedPods(PodState);

impl ClusterObserver for AllowedPods {
    fn pod(&self, _: &Allocation) -> PodState {
        self.0
    }

    fn workload(&self, _: &Holder) -> WorkloadState {
        WorkloadState::Present
    }

    fn may_use(&self, _: &Pool, _: &str) -> bool {
        true
    }
}

#[test]
fn an_address_pool_takes_over_the_records_of_namespaces_that_may_use_it() {
    let retaining =
        r#"{"ranges":[{"range":"192.0.2.0/24"}],"quarantine":"30s","retention":"Workload"}"#;
    let pools = pool_config(retaining, &[]).with_networks([("storage".into(), network())]);
    let mut held = record("192.0.2.9", replica(), 1000);
    let gone = PodState::Gone(Timestamp(NOW.0 - 500));
    let released = [(ActionReason::PodGone, false)];
    let renamed = [(ActionReason::PoolRenamed, true)];
    let table = [
        ("inline/before", true, &renamed[..]),
        ("whereabouts/before", true, &renamed),
        ("inline/before", false, &released),
        // That of an AddressPool which was deleted is not one of the network's definition.
        ("other", true, &released),
    ];
    for (before, may_use, expected) in table {
        held.pool = before.into();
        let records = [(&held, Version(1))];
        let actions = match may_use {
            true => reconcile(records, &pools, [], &AllowedPods(gone), NOW),
            false => {
                let state = FixedState(gone, WorkloadState::Present);
                reconcile(records, &pools, [], &state, NOW)
            }
        };
        let found: Vec<(ActionReason, bool)> = actions
            .into_iter()
            .map(|action| {
                let write = action.write;
                let pool = write.map(|write| Arc::clone(&write.allocation().pool));
                (action.reason, pool.as_deref() == Some("storage"))
            })
            .collect();
        assert_eq!(found, expected, "{before}, {may_use}");
    }
}
