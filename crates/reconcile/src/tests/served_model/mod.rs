//! Networks of Whereabouts that nadmit serves: the protocol as a whole, on models of the API server, the
//! plugin, Whereabouts's daemons and the kubelet. Every request is a step, so that those of others come
//! in between; anything may be killed between two of its requests.

mod api_server;
mod binding;
mod daemons;
mod plugin;
mod plugin_facts;
mod replica;
mod rules;
mod served_write;
mod steps;
mod tasks;
mod world;

use proptest::prelude::*;

use self::{
    steps::{PODS, Step},
    world::{Layout, World},
};

fn step() -> impl Strategy<Value = Step> {
    let pod = || 0..PODS.len();
    let task = || 0..8usize;
    prop_oneof![
        4 => pod().prop_map(Step::Create),
        2 => pod().prop_map(Step::Delete),
        1 => pod().prop_map(Step::ForceDelete),
        1 => pod().prop_map(Step::End),
        1 => (0..3u32).prop_map(Step::Scale),
        6 => (0..2usize, pod()).prop_map(|(replica, pod)| Step::Bind { replica, pod }),
        1 => pod().prop_map(Step::BindWithout),
        6 => pod().prop_map(Step::StartSandbox),
        2 => pod().prop_map(Step::StopSandbox),
        20 => task().prop_map(Step::Advance),
        14 => task().prop_map(Step::Finish),
        1 => task().prop_map(Step::Kill),
        1 => (0..2usize).prop_map(Step::Restart),
        3 => (0..2usize, 0..5usize).prop_map(|(replica, kind)| Step::Refresh { replica, kind }),
        5 => (0..2usize).prop_map(Step::RefreshAll),
        5 => (0..2usize).prop_map(Step::ServedPass),
        3 => (0..2usize).prop_map(Step::ReconcilePass),
        1 => Just(Step::WhereaboutsRun),
        2 => Just(Step::Wait),
    ]
}

/// Returns the number of cases: few, unless `PROPTEST_CASES` asks for more.
fn cases() -> u32 {
    match ProptestConfig::default().cases {
        256 => 48,
        wanted => wanted,
    }
}

/// Makes the steps, then everything that is left.
fn run(layout: Layout, steps: &[Step]) {
    let mut world = World::new(layout);
    for step in steps {
        world.step(*step);
        world.check();
    }
    world.settle();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]

    #[test]
    fn overlapping_ranges_are_served(steps in prop::collection::vec(step(), 1..150)) {
        run(Layout::OVERLAPPING, &steps);
    }

    #[test]
    fn overlapping_ranges_of_a_named_network_are_served(
        steps in prop::collection::vec(step(), 1..150),
    ) {
        run(Layout::NAMED, &steps);
    }

    #[test]
    fn ranges_without_reservations_are_served(steps in prop::collection::vec(step(), 1..150)) {
        run(Layout::ALONE, &steps);
    }

    #[test]
    fn networks_of_two_address_spaces_share_an_ip_pool(
        steps in prop::collection::vec(step(), 1..150),
    ) {
        run(Layout::SHARED, &steps);
    }

    #[test]
    fn a_network_without_reservations_shares_the_ip_pool_of_one_with(
        steps in prop::collection::vec(step(), 1..150),
    ) {
        run(Layout::SHARED_ALONE, &steps);
    }
}

/// Pods of [`PODS`], by place.
const DB_0: usize = 0;
const X_0: usize = 2;
const X_1: usize = 3;
const W_0: usize = 4;
const W_1: usize = 5;

/// Returns the steps of a pod that is bound at replica 0 and gets its sandbox.
fn started(pod: usize) -> [Step; 5] {
    [
        Step::Create(pod),
        Step::Bind { replica: 0, pod },
        Step::Finish(0),
        Step::StartSandbox(pod),
        Step::Finish(0),
    ]
}

/// Returns the steps of a pass of replica 0 that sees everything, with its first two writes.
const PASS: [Step; 4] = [
    Step::RefreshAll(0),
    Step::ServedPass(0),
    Step::Finish(0),
    Step::Finish(0),
];

#[test]
fn the_record_of_a_killed_binding_does_not_block_its_pod() {
    let mut steps = vec![Step::Create(DB_0), Step::Create(X_1), Step::WhereaboutsRun];
    // The record of x-1 is written, and nothing else.
    steps.extend([
        Step::Bind {
            replica: 0,
            pod: X_1,
        },
        Step::Finish(0),
    ]);
    steps.extend([Step::Advance(0), Step::Advance(0)]);
    // The plugin gives its address to db-0, whose entry Whereabouts's reconciler takes away.
    steps.extend([
        Step::Bind {
            replica: 0,
            pod: DB_0,
        },
        Step::Finish(1),
        Step::Kill(0),
    ]);
    steps.push(Step::WhereaboutsRun);
    run(Layout::NAMED, &steps);
}

#[test]
fn a_held_address_is_not_given_while_whereabouts_deletes_its_reservation() {
    let mut steps = started(DB_0).to_vec();
    steps.extend(PASS);
    steps.extend([Step::Scale(0), Step::Delete(DB_0)]);
    steps.extend(PASS);
    steps.extend([Step::StopSandbox(DB_0), Step::Finish(0), Step::Finish(0)]);
    steps.extend([Step::WhereaboutsRun, Step::Finish(0)]);
    steps.extend([
        Step::Create(W_1),
        Step::Bind {
            replica: 0,
            pod: W_1,
        },
    ]);
    for requests in 0..8 {
        let mut steps = steps.clone();
        steps.extend([Step::RefreshAll(0), Step::ServedPass(0)]);
        steps.extend((0..requests).map(|_| Step::Advance(0)));
        steps.extend([Step::StartSandbox(W_1), Step::Finish(1)]);
        run(Layout::OVERLAPPING, &steps);
    }
}

#[test]
fn a_pod_that_the_leader_has_not_seen_keeps_its_entry() {
    for requests in 0..12 {
        let mut steps = started(DB_0).to_vec();
        steps.extend(PASS);
        steps.extend([Step::Delete(DB_0), Step::StopSandbox(DB_0), Step::Finish(0)]);
        steps.push(Step::Finish(0));
        // Replica 0 sees the deletion, and not the next pod.
        steps.extend([Step::RefreshAll(0), Step::Create(DB_0)]);
        steps.push(Step::Bind {
            replica: 1,
            pod: DB_0,
        });
        steps.extend((0..requests).map(|_| Step::Advance(0)));
        steps.push(Step::Refresh {
            replica: 0,
            kind: 3,
        });
        steps.extend([Step::ServedPass(0), Step::Finish(1), Step::Finish(0)]);
        steps.extend([Step::StartSandbox(DB_0), Step::Finish(0)]);
        run(Layout::OVERLAPPING, &steps);
    }
}

#[test]
fn a_late_binding_takes_nothing_from_a_pod_that_runs() {
    for requests in 0..8 {
        let mut steps = started(W_0).to_vec();
        steps.extend([Step::RefreshAll(0), Step::Create(X_0)]);
        steps.push(Step::Bind {
            replica: 0,
            pod: X_0,
        });
        steps.extend((0..requests).map(|_| Step::Advance(0)));
        // A lower address becomes free; the webhook does not answer in time, and the pod is bound.
        steps.extend([Step::Delete(W_0), Step::StopSandbox(W_0), Step::Finish(1)]);
        steps.extend([Step::BindWithout(X_0), Step::StartSandbox(X_0)]);
        steps.extend([1, 1, 0].map(Step::Finish));
        steps.extend(started(W_0));
        run(Layout::ALONE, &steps);
    }
}

#[test]
fn a_pod_whose_binding_lost_its_address_starts_nevertheless() {
    for (requests, more) in (3..8).flat_map(|before| (0..6).map(move |after| (before, after))) {
        let mut steps = vec![
            Step::Create(W_1),
            Step::Bind {
                replica: 0,
                pod: W_1,
            },
        ];
        steps.extend([
            Step::Create(X_0),
            Step::Bind {
                replica: 0,
                pod: X_0,
            },
        ]);
        steps.extend((0..requests).map(|_| Step::Advance(0)));
        // The plugin gives the address to a pod of the overlapping range; the replica ends.
        steps.extend([Step::StartSandbox(W_1), Step::Finish(1)]);
        steps.extend((0..more).map(|_| Step::Advance(0)));
        steps.extend([Step::Kill(0), Step::BindWithout(X_0)]);
        run(Layout::OVERLAPPING, &steps);
    }
}

/// Two pods are bound at once on two networks with one `IPPool`. Their records do not exclude each other, and
/// neither replica sees the other's.
#[test]
fn bindings_of_two_address_spaces_get_two_addresses() {
    for layout in [Layout::SHARED, Layout::SHARED_ALONE] {
        for (first, second) in (0..9).flat_map(|one| (0..9).map(move |other| (one, other))) {
            let mut steps = vec![Step::Create(DB_0), Step::Create(X_1)];
            for (replica, pod) in [(0, DB_0), (1, X_1)] {
                steps.push(Step::Bind { replica, pod });
            }
            steps.extend((0..first).map(|_| Step::Advance(0)));
            steps.extend((0..second).map(|_| Step::Advance(1)));
            steps.extend([Step::Finish(0), Step::Finish(0)]);
            steps.extend([Step::StartSandbox(DB_0), Step::StartSandbox(X_1)]);
            run(layout, &steps);
        }
    }
}

/// The address of a pod that is bound without nadmit is given to another pod while its sandbox is created again: it
/// still reports the address.
#[test]
fn a_pod_that_reports_the_address_of_another_gets_a_new_one() {
    let mut steps = vec![
        Step::Create(X_1),
        Step::BindWithout(X_1),
        Step::Create(DB_0),
        Step::Bind {
            replica: 0,
            pod: DB_0,
        },
    ];
    steps.extend([Step::StartSandbox(X_1), Step::Finish(1), Step::Finish(0)]);
    // Whereabouts's reconciler takes the entry of db-0 away, and the plugin gives it the address of x-1.
    steps.extend([Step::StopSandbox(X_1), Step::WhereaboutsRun]);
    steps.extend([Step::Finish(1), Step::StartSandbox(DB_0)]);
    steps.push(Step::RefreshAll(1));
    steps.extend([Step::Finish(0), Step::Finish(0)]);
    // Replica 1 records the address for x-1, as it reported it.
    steps.extend([Step::ReconcilePass(1), Step::Finish(0), Step::ServedPass(1)]);
    run(Layout::NAMED, &steps);
}

/// The hold of a replica's earlier pod is planned before the next one is bound, and written after it.
#[test]
fn a_late_hold_of_an_earlier_pod_takes_nothing_from_the_next() {
    for requests in 0..8 {
        let mut steps = vec![
            Step::Create(DB_0),
            Step::Bind {
                replica: 0,
                pod: DB_0,
            },
            Step::Finish(0),
            Step::ForceDelete(DB_0),
            Step::RefreshAll(1),
            Step::ServedPass(1),
        ];
        steps.extend((0..requests).map(|_| Step::Advance(0)));
        steps.extend([
            Step::Create(DB_0),
            Step::Bind {
                replica: 0,
                pod: DB_0,
            },
            Step::Finish(1),
            Step::Finish(0),
            Step::StartSandbox(DB_0),
            Step::Finish(0),
        ]);
        run(Layout::NAMED, &steps);
    }
}
