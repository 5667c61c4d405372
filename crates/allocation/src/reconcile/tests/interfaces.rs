//! Interfaces of running pods: their reported addresses, identity and nodes.

use super::*;

/// Observes a present pod with this relation to its records.
struct PresentPod(InterfaceState);

impl ClusterObserver for PresentPod {
    fn pod(&self, _: &Allocation) -> PodState {
        PodState::Present
    }

    fn workload(&self, _: &Holder) -> WorkloadState {
        WorkloadState::Unknown
    }

    fn interface_state(&self, _: &Allocation) -> InterfaceState {
        self.0
    }
}

#[test]
fn unreported_addresses_are_released_by_interface_state() {
    let whole = pool_config(POOL, &[]);
    let sliced = pool_config(
        r#"{"ranges":[{"range":"192.0.2.0/24"}],"nodeSliceSize":"/28"}"#,
        &[],
    );
    let another = [used("192.0.2.6", pod("a"))];
    let nothing: [InUse; 0] = [];
    for (interface_state, pool_config, in_use_by_interface, age, named, expected) in [
        // It no longer has the interface: the record is detached first, then freed.
        (
            InterfaceState::Detached,
            &whole,
            &nothing[..],
            1000,
            true,
            Some("let-go"),
        ),
        (InterfaceState::Detached, &whole, &nothing, 60, true, None),
        (InterfaceState::Detached, &whole, &nothing, 29, false, None),
        (
            InterfaceState::Detached,
            &whole,
            &nothing,
            30,
            false,
            Some("surplus"),
        ),
        // It has the interface: only if it has another address of the range.
        (InterfaceState::Attached, &whole, &nothing, 1000, true, None),
        (
            InterfaceState::Attached,
            &whole,
            &another,
            1000,
            true,
            Some("let-go"),
        ),
        (
            InterfaceState::Attached,
            &whole,
            &another,
            1000,
            false,
            Some("surplus"),
        ),
        // It was bound to another node: immediately, if it has an address of that node.
        (
            InterfaceState::OnOtherNode,
            &sliced,
            &another,
            5,
            true,
            Some("surplus"),
        ),
        (
            InterfaceState::OnOtherNode,
            &sliced,
            &nothing,
            1000,
            true,
            None,
        ),
        (InterfaceState::OnOtherNode, &whole, &another, 5, true, None),
        // The previous pod may still be running.
        (
            InterfaceState::HeldByPredecessor,
            &sliced,
            &another,
            1000,
            true,
            None,
        ),
        (
            InterfaceState::HeldByPredecessor,
            &whole,
            &nothing,
            1000,
            true,
            None,
        ),
    ] {
        let record = Allocation {
            pod: named.then(|| pod_ref(Some("u"), Some("n"))),
            ..record("192.0.2.5", pod("a"), age)
        };
        let known = [(&record, Version(7))];
        let actions = reconcile(
            known,
            pool_config,
            in_use_by_interface,
            &PresentPod(interface_state),
            NOW,
        );
        let mut found = actions.iter().map(|action| action.reason.name());
        let found = found.find(|name| *name != "adopted");
        assert_eq!(
            found, expected,
            "{interface_state:?}, {age} s, named: {named}"
        );
    }
}

#[test]
fn newly_known_pod_identity_is_recorded() {
    let pool_config = pool_config(POOL, &[]);
    let token = || Holder::Unnamed {
        namespace: "db".into(),
        generate_name: "a".into(),
        token: "t".into(),
    };
    let observed = || Some(pod_ref(Some("u"), Some("n")));
    for (holder, before, now, named) in [
        (token(), None, observed(), true),
        (pod("a"), Some(pod_ref(None, None)), observed(), true),
        (pod("a"), Some(pod_ref(Some("u"), None)), observed(), true),
        (pod("a"), observed(), observed(), false),
        (pod("a"), observed(), Some(pod_ref(Some("u"), None)), false),
        // Manifests have no UIDs.
        (pod("a"), observed(), Some(pod_ref(None, None)), false),
        // The next pod of a replica takes over; a token belongs to one pod.
        (
            replica(),
            Some(pod_ref(Some("before"), None)),
            observed(),
            true,
        ),
        (
            token(),
            Some(pod_ref(Some("before"), None)),
            observed(),
            false,
        ),
    ] {
        let record = Allocation {
            pod: before.clone(),
            ..record("192.0.2.5", holder.clone(), 10)
        };
        let user = InUse {
            pod: now.clone(),
            ..used("192.0.2.5", holder)
        };
        let known = [(&record, Version(7))];
        let actions = reconcile(
            known,
            &pool_config,
            [&user],
            &PresentPod(InterfaceState::Unknown),
            NOW,
        );
        let expected = Allocation {
            pod: now,
            ..record.clone()
        };
        let expected = named.then_some(Action {
            write: Some(Write::Update(expected, Version(7))),
            reason: ActionReason::PodIdentified,
        });
        assert_eq!(actions, Vec::from_iter(expected), "{before:?}");
    }
}

#[test]
fn unused_addresses_of_a_pod_are_excess() {
    let pool_config = pool_config(POOL, &[]);
    let observer = FixedState(PodState::Present, WorkloadState::Unknown);
    let records = [
        record("192.0.2.5", pod("a"), 1000),
        record("192.0.2.6", pod("a"), 1000),
    ];
    let in_use_by_interface = [used("192.0.2.6", pod("a"))];
    assert_eq!(
        reasons(&records, &pool_config, &in_use_by_interface, &observer),
        [ActionReason::Excess]
    );
    assert_eq!(reasons(&records, &pool_config, &[], &observer), []);
}

#[test]
fn the_address_of_the_old_node_is_freed_once_the_new_one_is_in_use() {
    let pool_config = pool_config(
        r#"{"ranges":[{"range":"192.0.2.0/24"},{"range":"2001:db8::/64"}],"nodeSliceSize":"/28"}"#,
        &[],
    );
    let records = [
        record("192.0.2.5", pod("a"), 1000),
        record("192.0.2.21", pod("a"), 10),
        record("2001:db8::5", pod("a"), 1000),
    ];
    let observer = FixedState(PodState::Present, WorkloadState::Unknown);
    // An unbound pod may go to either node.
    assert_eq!(reasons(&records, &pool_config, &[], &observer), []);
    let in_use_by_interface = ["192.0.2.21", "2001:db8::5"].map(|ip| used(ip, pod("a")));
    assert_eq!(
        reasons(&records, &pool_config, &in_use_by_interface, &observer),
        [ActionReason::Excess]
    );
}
