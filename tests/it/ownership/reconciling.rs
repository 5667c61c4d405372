//! The reconciler on random ledgers: the addresses that an existing pod carries stay its own.

use std::{collections::BTreeMap, net::IpAddr};

use nadmit::allocation::{
    Address, Allocation, Holder, Space, Timestamp, Version, Write,
    reconcile::{ActionReason, ClusterObserver, InUse, PodState, WorkloadState, reconcile},
};
use proptest::prelude::*;

use super::generators::{asker, layouts, network};
use crate::properties;
use crate::support::TestResult;

const NOW: Timestamp = Timestamp(1_000_000);

/// A pod's number, the address's, and the age of the record.
type PodRecord = (u32, u8, i64);

struct GeneratedPods {
    states: Vec<PodState>,
    workload: WorkloadState,
}

impl ClusterObserver for GeneratedPods {
    fn pod(&self, allocation: &Allocation) -> PodState {
        let number = (0..6).find(|n| asker(*n).holder == allocation.holder);
        number.map_or(PodState::Unknown, |n| self.states[n as usize])
    }

    fn workload(&self, _: &Holder) -> WorkloadState {
        self.workload
    }
}

fn state() -> impl Strategy<Value = PodState> {
    prop_oneof![
        3 => Just(PodState::Present),
        1 => Just(PodState::Absent),
        1 => Just(PodState::Unknown),
        2 => (0..300i64).prop_map(|ago| PodState::Gone(Timestamp(NOW.0 - ago))),
    ]
}

fn workload() -> impl Strategy<Value = WorkloadState> {
    prop_oneof![
        Just(WorkloadState::Present),
        Just(WorkloadState::ScaledDown),
        Just(WorkloadState::Deleted),
        Just(WorkloadState::Unknown),
    ]
}

fn address(last: u8) -> Address {
    IpAddr::from([192, 0, 2, last]).into()
}

pub(super) fn run(scenarios: u32) -> TestResult {
    let record = (0..6u32, 2..7u8, 0..400i64);
    let strategy = (
        prop::collection::vec(record, 0..8),
        prop::collection::vec((0..6u32, 2..7u8), 0..8),
        prop::collection::vec(state(), 6),
        workload(),
        0..layouts().len(),
    );
    properties::run(
        scenarios,
        strategy,
        |(records, carried, states, workload, layout)| {
            let pods = GeneratedPods { states, workload };
            let records: BTreeMap<u8, PodRecord> = records.into_iter().map(|r| (r.1, r)).collect();
            let records: Vec<Allocation> = records.into_values().map(allocation).collect();
            let alive = |pod: u32| pods.states[pod as usize] == PodState::Present;
            let in_use: Vec<InUse> = carried
                .into_iter()
                .filter(|(pod, _)| alive(*pod))
                .map(|(pod, last)| InUse {
                    pool: "a".into(),
                    address: address(last),
                    network: network("a"),
                    interface: "net1".into(),
                    holder: asker(pod).holder,
                    pod: asker(pod).pod,
                    assigned: true,
                    mac: None,
                })
                .collect();
            let layout = layouts().swap_remove(layout);
            let known = || records.iter().map(|record| (record, Version(7)));
            let actions = reconcile(known(), &layout, &in_use, &pods, NOW);
            let carries = |record: &Allocation| {
                in_use
                    .iter()
                    .any(|one| one.address == record.address && one.holder == record.holder)
            };
            let mut created = Vec::new();
            for action in &actions {
                match &action.write {
                    Some(Write::Delete(record, _)) => {
                        prop_assert!(
                            !carries(record),
                            "{:?} of {}",
                            action.reason,
                            record.address
                        );
                        let present = pods.pod(record) == PodState::Present;
                        prop_assert!(!present || action.reason == ActionReason::Excess);
                        prop_assert_ne!(pods.pod(record), PodState::Unknown);
                    }
                    // Returned to a reservation only if the holder is gone, or has another address.
                    Some(Write::Update(record, _)) => {
                        let was = records.iter().find(|r| r.address == record.address);
                        prop_assert!(was.is_none_or(|was| !carries(was)));
                    }
                    Some(Write::Create(record)) => {
                        let free = records.iter().all(|r| r.address != record.address);
                        prop_assert!(free && !created.contains(&record.address));
                        created.push(record.address);
                    }
                    None => {
                        let reported = matches!(action.reason, ActionReason::Duplicate { .. });
                        prop_assert!(reported);
                    }
                }
            }
            // Every address in use is recorded afterwards, for any holder.
            for one in &in_use {
                let recorded = records.iter().any(|record| record.address == one.address);
                prop_assert!(
                    recorded || created.contains(&one.address),
                    "{}",
                    one.address
                );
            }
            Ok(())
        },
    )
}

fn allocation((pod, last, age): PodRecord) -> Allocation {
    let asker = asker(pod);
    Allocation {
        address: address(last),
        space: Space::default(),
        pool: "a".into(),
        network: network("a"),
        interface: "net1".into(),
        holder: asker.holder,
        pod: asker.pod,
        mac: None,
        former_nodes: Vec::new(),
        taken: None,
        reservation: None,
        since: Timestamp(NOW.0 - age),
    }
}
