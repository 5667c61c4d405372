//! Tests of reconciliation: release, retention, adoption and reports.

use super::*;
use crate::{
    Pool, Reservation, Space,
    spec::{PoolSpec, ReservationSpec},
};

const NOW: Timestamp = Timestamp(10_000);

struct FixedState(PodState, WorkloadState);

impl ClusterObserver for FixedState {
    fn pod(&self, _: &Allocation) -> PodState {
        self.0
    }

    fn workload(&self, _: &Holder) -> WorkloadState {
        self.1
    }
}

fn pool_config(pool: &str, reservations: &[&str]) -> PoolConfig {
    let spec: PoolSpec = serde_json::from_str(pool).unwrap_or_else(|e| panic!("{e}"));
    let pool = Pool::new("storage", &spec).unwrap_or_else(|e| panic!("{e:?}"));
    let reservations = reservations.iter().map(|spec| {
        let spec: ReservationSpec = serde_json::from_str(spec).unwrap_or_else(|e| panic!("{e}"));
        let parsed = Reservation::new("db", "r", &spec);
        Arc::new(parsed.unwrap_or_else(|e| panic!("{e:?}")))
    });
    let reservations: Vec<_> = reservations.collect();
    PoolConfig::new([Arc::new(pool)], reservations, |_| Some("storage".into()))
}

const POOL: &str = r#"{"ranges":[{"range":"192.0.2.0/24"}],"quarantine":"30s"}"#;

fn pod(name: &str) -> Holder {
    Holder::Pod {
        namespace: "db".into(),
        name: name.into(),
    }
}

fn replica() -> Holder {
    Holder::Replica {
        namespace: "db".into(),
        stateful_set: "db".into(),
        ordinal: 0,
    }
}

fn network() -> NetworkRef {
    NetworkRef {
        namespace: "db".into(),
        name: "storage-net".into(),
    }
}

fn record(address: &str, holder: Holder, age: i64) -> Allocation {
    Allocation {
        address: address.parse().unwrap_or_else(|e| panic!("{e}")),
        space: Space::default(),
        pool: "storage".into(),
        network: network(),
        interface: "net1".into(),
        holder,
        pod: None,
        mac: None,
        former_nodes: Vec::new(),
        taken: None,
        reservation: None,
        since: NOW.plus(-age),
    }
}

fn used(address: &str, holder: Holder) -> InUse {
    InUse {
        pool: "storage".into(),
        address: address.parse().unwrap_or_else(|e| panic!("{e}")),
        network: network(),
        interface: "net1".into(),
        holder,
        pod: None,
        assigned: true,
        mac: None,
    }
}

fn reasons(
    records: &[Allocation],
    pool_config: &PoolConfig,
    in_use: &[InUse],
    observer: &FixedState,
) -> Vec<ActionReason> {
    let records = records.iter().map(|record| (record, Version(7)));
    let actions = reconcile(records, pool_config, in_use, observer, NOW);
    actions.into_iter().map(|action| action.reason).collect()
}

#[test]
fn a_pod_s_address_is_freed_after_the_quarantine() {
    let pool_config = pool_config(POOL, &[]);
    let record = [record("192.0.2.5", pod("a"), 1000)];
    for (state, expected) in [
        (PodState::Present, vec![]),
        (PodState::Unknown, vec![]),
        (PodState::Gone(NOW.plus(-29)), vec![]),
        (PodState::Gone(NOW.plus(-30)), vec![ActionReason::PodGone]),
        (PodState::Absent, vec![ActionReason::ProvisionalExpired]),
    ] {
        let observer = FixedState(state, WorkloadState::Unknown);
        assert_eq!(
            reasons(&record, &pool_config, &[], &observer),
            expected,
            "{state:?}"
        );
    }
}

#[test]
fn recently_recorded_or_renewed_records_are_kept() {
    let pool_config = pool_config(POOL, &[]);
    let young = [record("192.0.2.5", pod("a"), 60)];
    let absent = FixedState(PodState::Absent, WorkloadState::Unknown);
    assert_eq!(reasons(&young, &pool_config, &[], &absent), []);
    // The gone pod is an earlier one of the same name.
    let gone = FixedState(PodState::Gone(NOW.plus(-90)), WorkloadState::Unknown);
    assert_eq!(reasons(&young, &pool_config, &[], &gone), []);
}

#[test]
fn a_replica_keeps_its_address_as_the_pool_says() {
    let record = [record("192.0.2.5", replica(), 1000)];
    let gone = PodState::Gone(NOW.plus(-500));
    let keeping = pool_config(POOL, &[]);
    let releasing = pool_config(
        r#"{"ranges":[{"range":"192.0.2.0/24"}],
            "workloadRetention":{"whenScaled":"Release","whenDeleted":"Retain"}}"#,
        &[],
    );
    let by_pod = pool_config(
        r#"{"ranges":[{"range":"192.0.2.0/24"}],"retention":"Pod"}"#,
        &[],
    );
    for (pool_config, workload, freed) in [
        (&keeping, WorkloadState::Present, false),
        (&keeping, WorkloadState::Unknown, false),
        (&keeping, WorkloadState::ScaledDown, false),
        (&keeping, WorkloadState::Deleted, true),
        (&releasing, WorkloadState::ScaledDown, true),
        (&releasing, WorkloadState::Deleted, false),
        (&by_pod, WorkloadState::Present, true),
    ] {
        let found = reasons(&record, pool_config, &[], &FixedState(gone, workload));
        assert_eq!(!found.is_empty(), freed, "{workload:?}");
    }
}

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
    let gone = PodState::Gone(NOW.plus(-500));
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
fn a_reservation_is_recorded_and_its_address_returns() {
    let reserved = r#"{"network":"storage-net","holder":{"pod":"a"},"ips":["192.0.2.5"]}"#;
    let pool_config = pool_config(POOL, &[reserved]);
    let gone = FixedState(PodState::Gone(NOW.plus(-500)), WorkloadState::Unknown);
    assert_eq!(
        reasons(&[], &pool_config, &[], &gone),
        [ActionReason::Reserved]
    );
    let taken = Allocation {
        reservation: Some(NetworkRef {
            namespace: "db".into(),
            name: "r".into(),
        }),
        ..record("192.0.2.5", pod("a"), 1000)
    };
    assert_eq!(
        reasons(std::slice::from_ref(&taken), &pool_config, &[], &gone),
        [ActionReason::ReturnedToReservation]
    );
    let without = self::pool_config(POOL, &[]);
    assert_eq!(
        reasons(&[taken], &without, &[], &gone),
        [ActionReason::PodGone]
    );
    let waiting = record(
        "192.0.2.5",
        Holder::Reservation {
            namespace: "db".into(),
            name: "r".into(),
        },
        1000,
    );
    assert_eq!(
        reasons(std::slice::from_ref(&waiting), &pool_config, &[], &gone),
        []
    );
    assert_eq!(
        reasons(&[waiting], &without, &[], &gone),
        [ActionReason::ReservationGone]
    );
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

fn pod_ref(uid: Option<&str>, node: Option<&str>) -> PodRef {
    PodRef {
        name: "a".into(),
        uid: uid.map(Into::into),
        node: node.map(Into::into),
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
fn a_vm_mac_is_split_before_its_address_is_freed() {
    let pool = |more: &str| {
        let range = r#"{"ranges":[{"range":"192.0.2.0/24"}],"macs":{"prefix":"02:5e:00"}"#;
        pool_config(&format!("{range}{more}}}"), &[])
    };
    let vm = Holder::VirtualMachine {
        namespace: "db".into(),
        name: "vm".into(),
    };
    let own = Address::Mac(Mac([2, 0x5e, 0, 0, 0, 5]));
    let known = Allocation {
        mac: Some(Mac([2, 0x5e, 0, 0, 0, 5])),
        ..record("192.0.2.5", vm.clone(), 1000)
    };
    let split_record = Allocation {
        address: own,
        mac: None,
        ..known.clone()
    };
    let other = Allocation {
        address: Address::Mac(Mac([2, 0x5e, 0, 0, 1, 9])),
        ..split_record.clone()
    };
    let gone = |workload| FixedState(PodState::Gone(NOW.plus(-500)), workload);
    let (there, deleted) = (gone(WorkloadState::Present), gone(WorkloadState::Deleted));
    let runs = FixedState(PodState::Present, WorkloadState::Present);
    let mac = pool("");
    let found = |records: &[Allocation], pool_config: &PoolConfig, observer: &FixedState| {
        reasons(records, pool_config, &[], observer)
    };
    let alone = [known.clone()];
    let both = [known.clone(), split_record];
    assert_eq!(found(&alone, &mac, &there), [ActionReason::MacSplit]);
    assert_eq!(found(&alone, &mac, &runs), [ActionReason::MacSplit]);
    assert_eq!(found(&both, &mac, &runs), []);
    // The address is freed alone; the MAC is freed with the virtual machine.
    assert_eq!(found(&both, &mac, &there), [ActionReason::PodGone]);
    let ends = [ActionReason::PodGone, ActionReason::WorkloadGone];
    assert_eq!(found(&both, &mac, &deleted), ends);
    assert_eq!(found(&alone, &mac, &deleted), [ActionReason::PodGone]);
    // A holder with a separate MAC record needs no other.
    assert_eq!(found(&[known.clone(), other], &mac, &runs), []);
    let retained = pool(r#","virtualMachines":"MACAndIPs""#);
    assert_eq!(found(&alone, &retained, &there), []);
    let by_pod = pool(r#","retention":"Pod""#);
    assert_eq!(found(&alone, &by_pod, &there), [ActionReason::PodGone]);
    let write = reconcile(
        alone.iter().map(|record| (record, Version(7))),
        &mac,
        &[],
        &there,
        NOW,
    );
    let write = write[0].write.as_ref().map(Write::allocation);
    assert!(write.is_some_and(|record| record.address == own && record.holder == vm));
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
