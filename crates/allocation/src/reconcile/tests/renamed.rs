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

#[test]
fn an_address_pool_takes_nothing_over() {
    let pools = pool_config(POOL, &[]).with_networks([("storage".into(), network())]);
    let released = vec![(ActionReason::PodGone, Some("inline/before".into()))];
    assert_eq!(
        actions(&pools, PodState::Gone(Timestamp(NOW.0 - 500))),
        released
    );
}
