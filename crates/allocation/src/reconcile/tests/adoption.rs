//! Addresses in use: adopted, transferred to their users, and reported as duplicates.

use super::*;

#[test]
fn addresses_in_use_are_adopted_and_duplicates_reported() {
    let pool_config = pool_config(POOL, &[]);
    let observer = FixedState(PodState::Present, WorkloadState::Unknown);
    let one = [used("192.0.2.5", pod("a"))];
    assert_eq!(
        reasons(&[], &pool_config, &one, &observer),
        [ActionReason::Adopted]
    );
    let recorded = [record("192.0.2.5", pod("a"), 0)];
    assert_eq!(reasons(&recorded, &pool_config, &one, &observer), []);
    let both = [used("192.0.2.5", pod("a")), used("192.0.2.5", pod("b"))];
    let found = reasons(&[], &pool_config, &both, &observer);
    assert!(
        matches!(&found[..], [ActionReason::Duplicate { users, .. }, ActionReason::Adopted] if users.len() == 2)
    );
}

/// Observes all pods; the pod of the record is in this state.
struct AllPodsObserved(PodState);

impl ClusterObserver for AllPodsObserved {
    fn pod(&self, _: &Allocation) -> PodState {
        self.0
    }

    fn workload(&self, _: &Holder) -> WorkloadState {
        WorkloadState::Present
    }

    fn sees_all_pods(&self) -> bool {
        true
    }
}

#[test]
fn the_user_of_an_address_becomes_its_holder() {
    let reserved = r#"{"network":"storage-net","holder":{"pod":"c"},"ips":["192.0.2.5"]}"#;
    let plain = pool_config(POOL, &[]);
    let set_aside = pool_config(POOL, &[reserved]);
    let reservation = Holder::Reservation {
        namespace: "db".into(),
        name: "r".into(),
    };
    let user = InUse {
        pod: Some(pod_ref(Some("u"), Some("n"))),
        ..used("192.0.2.5", pod("b"))
    };
    let requester = InUse {
        assigned: false,
        ..user.clone()
    };
    let gone = PodState::Gone(Timestamp(NOW.0 - 500));
    let holds = |pool_config: &PoolConfig, holder: &Holder, user: &InUse, state| {
        let known = record("192.0.2.5", holder.clone(), 1000);
        let known = [(&known, Version(7))];
        let actions = reconcile(known, pool_config, [user], &AllPodsObserved(state), NOW);
        let mut writes = actions.into_iter().filter_map(|action| action.write);
        match (writes.next(), writes.next()) {
            (Some(Write::Update(now, Version(7))), None) => {
                assert_eq!((&now.pod, now.since), (&user.pod, NOW));
                Some((now.holder, now.reservation.is_some()))
            }
            (None, None) => None,
            other => panic!("{other:?}"),
        }
    };
    let passes = |from| Some((pod("b"), from));
    for state in [PodState::Present, PodState::Unknown, gone] {
        assert_eq!(holds(&plain, &pod("a"), &user, state), passes(false));
        assert_eq!(holds(&plain, &replica(), &user, state), passes(false));
        assert_eq!(holds(&plain, &reservation, &user, state), passes(false));
        assert_eq!(holds(&set_aside, &reservation, &user, state), passes(true));
    }
    // A pod that only requests the address gets it only if it would be freed.
    assert_eq!(
        holds(&plain, &pod("a"), &requester, PodState::Present),
        None
    );
    assert_eq!(holds(&plain, &replica(), &requester, gone), None);
    assert_eq!(holds(&set_aside, &reservation, &requester, gone), None);
    assert_eq!(holds(&plain, &pod("a"), &requester, gone), passes(false));
    assert_eq!(holds(&plain, &reservation, &requester, gone), passes(false));
}

#[test]
fn adopted_pods_and_pods_of_a_network_are_not_duplicates() {
    let pool_config = pool_config(POOL, &[]);
    let observer = FixedState(PodState::Present, WorkloadState::Unknown);
    let named = Allocation {
        pod: Some(pod_ref(Some("u"), Some("n"))),
        ..record("192.0.2.5", replica(), 1000)
    };
    let orphan = InUse {
        pod: Some(pod_ref(Some("u"), Some("n"))),
        ..used("192.0.2.5", pod("a"))
    };
    assert_eq!(reasons(&[named], &pool_config, &[orphan], &observer), []);
    let configures = Holder::Network {
        namespace: "db".into(),
        name: "storage-net".into(),
    };
    let both = [
        InUse {
            interface: "".into(),
            ..used("192.0.2.5", configures)
        },
        InUse {
            pod: Some(pod_ref(Some("u"), Some("n"))),
            ..used("192.0.2.5", pod("a"))
        },
    ];
    assert_eq!(
        reasons(&[], &pool_config, &both, &observer),
        [ActionReason::Adopted]
    );
}

#[test]
fn an_unassigned_user_does_not_take_over_an_address() {
    let pool_config = pool_config(POOL, &[]);
    let outsider = InUse {
        assigned: false,
        pod: Some(pod_ref(Some("f"), Some("node-a"))),
        ..used("192.0.2.5", pod("outsider"))
    };
    let act = |records: &[Allocation], in_use: &[InUse]| {
        let records = records.iter().map(|record| (record, Version(7)));
        let actions = reconcile(
            records,
            &pool_config,
            in_use,
            &AllPodsObserved(PodState::Present),
            NOW,
        );
        let actions = actions.into_iter().map(|action| {
            let holder = action
                .write
                .map(|write| write.allocation().holder.to_string());
            (action.reason.name(), holder)
        });
        actions.collect::<Vec<_>>()
    };
    // No other holder has it: it is recorded, so that the pool does not allocate it.
    let outsider_s = Some(pod("outsider").to_string());
    assert_eq!(
        act(&[], std::slice::from_ref(&outsider)),
        [("adopted", outsider_s)]
    );
    // A replica holds it, with or without a pod: both are reported, and the record stays.
    let retained = [record("192.0.2.5", replica(), 1000)];
    assert_eq!(
        act(&retained, std::slice::from_ref(&outsider)),
        [("duplicate", None)]
    );
    let own = InUse {
        pod: Some(pod_ref(Some("o"), Some("node-b"))),
        ..used("192.0.2.5", pod("zz"))
    };
    // If neither of two is recorded, the one that the pool serves becomes the holder.
    let actions = act(&[], &[outsider, own]);
    assert_eq!(
        actions,
        [
            ("duplicate", None),
            ("adopted", Some(pod("zz").to_string()))
        ]
    );
}
