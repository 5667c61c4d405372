//! Model checking of pending writes with shuttle: concurrent requests share an index and a ledger, and
//! compete for a pool of two addresses.
//!
//! `cargo test --lib --features shuttle shuttled`

use std::{collections::BTreeMap, sync::Arc as StdArc};

use shuttle::{
    Config, Runner,
    rand::{Rng, thread_rng},
    scheduler::{PctScheduler, RandomScheduler},
    sync::{Arc, Mutex, mpsc},
    thread,
};

use super::{AttachmentRequest, Index, MacRequest, NOW, Requester, index, network, pool, record};
use crate::{Address, Allocation, AllocationError, Holder, Stored, Version, Write};

const ITERATIONS: usize = 5_000;
/// The stack of a thread: a debug build plans in more than shuttle's 60 KiB.
const STACK_BYTES: usize = 256 << 10;
/// The number of preemptions in the PCT search.
const DEPTH: usize = 3;
/// The maximum number of attempts of a request; `Busy` is retried.
const TRIES: usize = 40;

/// A minimal ledger: unique names and versions.
#[derive(Default)]
struct TestLedger {
    records: BTreeMap<Address, Stored>,
    last: u64,
}

/// The outcome of a write for its caller.
enum SimulatedWrite {
    Written(Vec<Version>),
    Exists(Stored),
    /// The write succeeded, but the response was lost.
    Uncertain,
    Unavailable,
}

impl TestLedger {
    /// Creates all records or none, and sends them to the watch.
    fn write(&mut self, writes: &[Write], watch: &mpsc::Sender<Stored>) -> SimulatedWrite {
        let chance = thread_rng().gen_range(0..6u8);
        if chance == 0 {
            return SimulatedWrite::Unavailable;
        }
        let there = writes
            .iter()
            .find_map(|w| self.records.get(&w.allocation().address));
        if let Some(there) = there {
            return SimulatedWrite::Exists(there.clone());
        }
        let mut versions = Vec::new();
        for write in writes {
            let allocation = write.allocation().clone();
            self.last += 1;
            let version = Version(self.last);
            let stored = Stored {
                allocation,
                version,
            };
            self.records
                .insert(stored.allocation.address, stored.clone());
            let _ = watch.send(stored);
            versions.push(version);
        }
        if chance == 1 {
            SimulatedWrite::Uncertain
        } else {
            SimulatedWrite::Written(versions)
        }
    }
}

/// Handles one request as the server does, and returns the addresses promised to the pod.
fn request(
    pod: &str,
    index: &Mutex<Index>,
    ledger: &Mutex<TestLedger>,
    watch: &mpsc::Sender<Stored>,
) -> Option<Vec<Address>> {
    let requester = Requester {
        holder: Holder::Pod {
            namespace: "db".into(),
            name: pod.into(),
        },
        pod: None,
        node: None,
    };
    let request = AttachmentRequest {
        pool: "storage".into(),
        network: network("storage-net"),
        interface: "net1".into(),
        needs_ips: true,
        ips: Vec::new(),
        mac: MacRequest::None,
    };
    for _ in 0..TRIES {
        let planned = index
            .lock()
            .unwrap()
            .plan(&requester, std::slice::from_ref(&request), NOW);
        let planned = match planned {
            Ok(planned) => planned,
            Err(rejected) if rejected[0].error.is_busy() => {
                thread::yield_now();
                continue;
            }
            Err(rejected) => {
                let full = matches!(rejected[0].error, AllocationError::Exhausted(_));
                assert!(full, "{rejected:?}");
                return None;
            }
        };
        let assigned = planned.assignments[0]
            .ips
            .iter()
            .map(|(ip, _)| (*ip).into());
        let outcome = ledger.lock().unwrap().write(&planned.writes, watch);
        match outcome {
            SimulatedWrite::Written(versions) => {
                index.lock().unwrap().commit(planned.id, &versions);
                return Some(assigned.collect());
            }
            SimulatedWrite::Exists(theirs) => {
                let mut index = index.lock().unwrap();
                index.apply(theirs);
                index.abort(planned.id);
            }
            SimulatedWrite::Unavailable => {
                index.lock().unwrap().abort(planned.id);
                return None;
            }
            SimulatedWrite::Uncertain => return None,
        }
    }
    None
}

/// Asserts that ledger and index agree once all watch events are applied.
fn assert_consistent(index: &Index, ledger: &TestLedger) {
    let mut holders = BTreeMap::new();
    for (allocation, version) in index.recorded() {
        let there = ledger.records.get(&allocation.address);
        let same = there.is_some_and(|s| s.allocation == *allocation && s.version == version);
        assert!(same, "{allocation:?} is not in the ledger");
        let twice = holders.insert(allocation.holder.clone(), allocation.address);
        assert_eq!(twice, None, "{} has two addresses", allocation.holder);
    }
    // Nothing is pending: every allocated address is recorded.
    assert_eq!(holders.len(), ledger.records.len());
    let free = index.usage("storage").unwrap_or_default().free;
    assert_eq!(free, 2 - holders.len() as u128);
}

fn explore(test: impl Fn() + Clone + Send + Sync + 'static) {
    let mut config = Config::new();
    config.stack_size = STACK_BYTES;
    Runner::new(RandomScheduler::new(ITERATIONS), config.clone()).run(test.clone());
    Runner::new(PctScheduler::new(DEPTH, ITERATIONS), config).run(test);
}

fn two_addresses() -> Index {
    let spec = r#"{"ranges":[{"range":"192.0.2.0/30"}],"namespaceSelector":{}}"#;
    index(&[pool("storage", spec)], &[])
}

/// A record written by another replica.
fn theirs() -> Allocation {
    let (namespace, name) = ("far".into(), "far".into());
    record("192.0.2.1", Holder::Pod { namespace, name })
}

/// Runs requests of these pods, and optionally another replica, on two addresses.
fn run_concurrently(pods: &'static [&'static str], with_other_replica: bool) {
    let index = Arc::new(Mutex::new(two_addresses()));
    let ledger: Arc<Mutex<TestLedger>> = Arc::default();
    let (watch, events) = mpsc::channel::<Stored>();
    let follower = {
        let index = Arc::clone(&index);
        thread::spawn(move || {
            while let Ok(stored) = events.recv() {
                index.lock().unwrap().apply(stored);
            }
        })
    };
    let other = with_other_replica.then(|| {
        let (ledger, watch) = (Arc::clone(&ledger), watch.clone());
        thread::spawn(move || {
            let write = [Write::Create(theirs())];
            ledger.lock().unwrap().write(&write, &watch);
        })
    });
    let requests: Vec<_> = pods
        .iter()
        .map(|pod| {
            let (index, ledger) = (Arc::clone(&index), Arc::clone(&ledger));
            let watch = watch.clone();
            thread::spawn(move || request(pod, &index, &ledger, &watch))
        })
        .collect();
    let answers: Vec<_> = requests.into_iter().map(|r| r.join().unwrap()).collect();
    if let Some(other) = other {
        other.join().unwrap();
    }
    drop(watch);
    follower.join().unwrap();
    let (index, ledger) = (index.lock().unwrap(), ledger.lock().unwrap());
    assert_consistent(&index, &ledger);
    for (pod, answer) in pods.iter().zip(answers) {
        for address in answer.into_iter().flatten() {
            // A promised address is recorded for the pod that it was promised to.
            let holder = ledger.records.get(&address).map(|s| &s.allocation.holder);
            let name: StdArc<str> = (*pod).into();
            let right = matches!(holder, Some(Holder::Pod { name: n, .. }) if *n == name);
            assert!(
                right,
                "{address} was promised to {pod}, and is {holder:?}'s"
            );
        }
    }
}

#[test]
fn three_pods_and_two_addresses() {
    explore(|| run_concurrently(&["a", "b", "c"], false));
}

#[test]
fn two_pods_and_another_replica() {
    explore(|| run_concurrently(&["a", "b"], true));
}

#[test]
fn three_requests_of_one_pod() {
    explore(|| run_concurrently(&["a", "a", "a"], false));
}
