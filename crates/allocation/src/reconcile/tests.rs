//! Tests of reconciliation: release, retention, adoption and reports.

mod adoption;
mod interfaces;
mod renamed;

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
        since: Timestamp(NOW.0 - age),
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

fn pod_ref(uid: Option<&str>, node: Option<&str>) -> PodRef {
    PodRef {
        name: "a".into(),
        uid: uid.map(Into::into),
        node: node.map(Into::into),
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
        (PodState::Gone(Timestamp(NOW.0 - 29)), vec![]),
        (
            PodState::Gone(Timestamp(NOW.0 - 30)),
            vec![ActionReason::PodGone],
        ),
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
    let gone = FixedState(
        PodState::Gone(Timestamp(NOW.0 - 90)),
        WorkloadState::Unknown,
    );
    assert_eq!(reasons(&young, &pool_config, &[], &gone), []);
}

#[test]
fn a_replica_keeps_its_address_as_the_pool_says() {
    let record = [record("192.0.2.5", replica(), 1000)];
    let gone = PodState::Gone(Timestamp(NOW.0 - 500));
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
fn a_reservation_is_recorded_and_its_address_returns() {
    let reserved = r#"{"network":"storage-net","holder":{"pod":"a"},"ips":["192.0.2.5"]}"#;
    let pool_config = pool_config(POOL, &[reserved]);
    let gone = FixedState(
        PodState::Gone(Timestamp(NOW.0 - 500)),
        WorkloadState::Unknown,
    );
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
    let gone = |workload| FixedState(PodState::Gone(Timestamp(NOW.0 - 500)), workload);
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
