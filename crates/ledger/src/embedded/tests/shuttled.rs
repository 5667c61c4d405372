//! Shuttle tests of the group commit's queue: `queue` is compiled here again with shuttle's primitives. The
//! inputs are narrow on purpose: few threads that compete for the same two addresses.
//!
//! `cargo test --lib --features shuttle shuttled`

#[expect(clippy::duplicate_mod, reason = "the same file, with other primitives")]
#[path = "../queue.rs"]
mod queue;

/// Synchronization primitives of `queue`.
mod sync {
    pub(super) use shuttle::sync::{Condvar, Mutex, MutexGuard};
}

use std::collections::BTreeMap;

use shuttle::{
    check_pct, check_random,
    sync::{Arc, mpsc},
    thread,
};

use self::queue::{Queue, SubmitError};
use super::{super::plan::plan, support::*};
use crate::{LedgerEvent, WriteError};
use nadmit_allocation::{Stored, Version, Write};

const ITERATIONS: usize = 5_000;
/// Number of preemptions in the second search.
const DEPTH: usize = 3;

type BatchResult = Result<Vec<Version>, WriteError>;

struct Job {
    batch: Vec<Write>,
    result: mpsc::Sender<BatchResult>,
}

/// A writer that commits to a map.
#[derive(Default)]
struct MapWriter {
    records: BTreeMap<String, Stored>,
    last: Version,
    events: Vec<u64>,
    groups: Vec<usize>,
}

impl MapWriter {
    fn commit(&mut self, group: Vec<Job>) {
        self.groups.push(group.len());
        let mut results = Vec::new();
        for job in group {
            let planned = plan(job.batch, self.last, |name| {
                Ok::<_, ()>(self.records.get(name).cloned())
            });
            let result = planned
                .unwrap()
                .map_err(|refusal| refusal.error)
                .map(|changes| {
                    let versions = changes
                        .iter()
                        .map(|change| change.event.version())
                        .collect();
                    for change in changes {
                        self.last = change.event.version();
                        self.events.push(self.last.0);
                        match change.event {
                            LedgerEvent::Put(stored) => {
                                drop(self.records.insert(change.name, stored))
                            }
                            LedgerEvent::Deleted { .. } => drop(self.records.remove(&change.name)),
                        }
                    }
                    versions
                });
            results.push((job.result, result));
        }
        // Like the writer: results are sent when the group is committed.
        for (waiting, result) in results {
            let _ = waiting.send(result);
        }
    }
}

fn submit(
    queue: &Queue<Job>,
    batch: Vec<Write>,
) -> Result<mpsc::Receiver<BatchResult>, SubmitError> {
    let (result, receiver) = mpsc::channel();
    queue.submit(Job { batch, result })?;
    Ok(receiver)
}

fn spawn_writer(queue: &Arc<Queue<Job>>, largest: usize) -> thread::JoinHandle<MapWriter> {
    let queue = Arc::clone(queue);
    thread::spawn(move || {
        let mut memory = MapWriter::default();
        queue.serve(largest, |group| memory.commit(group));
        memory
    })
}

fn explore(test: impl Fn() + Clone + Send + Sync + 'static) {
    check_random(test.clone(), ITERATIONS);
    check_pct(test, ITERATIONS, DEPTH);
}

/// Three batches create the same two addresses, in either order: one gets both.
#[test]
fn one_address_has_one_holder_in_every_schedule() {
    explore(|| {
        let queue = Arc::new(Queue::new(8));
        let worker = spawn_writer(&queue, 2);
        let callers: Vec<_> = ["a", "b", "c"]
            .into_iter()
            .enumerate()
            .map(|(index, pod)| {
                let queue = Arc::clone(&queue);
                thread::spawn(move || {
                    let mut batch = vec![create(1, pod), create(2, pod)];
                    batch.rotate_left(index % 2);
                    submit(&queue, batch).unwrap().recv().unwrap()
                })
            })
            .collect();
        let results: Vec<BatchResult> = callers.into_iter().map(|c| c.join().unwrap()).collect();
        queue.close();
        let memory = worker.join().unwrap();
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
        let holders: Vec<_> = memory
            .records
            .values()
            .map(|s| &s.allocation.holder)
            .collect();
        assert_eq!(holders.len(), 2);
        assert_eq!(holders[0], holders[1], "all or none");
        assert_eq!(memory.events, [1, 2]);
        assert_eq!(memory.groups.iter().sum::<usize>(), 3);
    });
}

/// Release and reuse under a version: of two writers that saw the same record, one changes it.
#[test]
fn one_of_two_changes_a_record_in_every_schedule() {
    explore(|| {
        let queue = Arc::new(Queue::new(8));
        let worker = spawn_writer(&queue, 8);
        let written = submit(&queue, vec![create(1, "a")])
            .unwrap()
            .recv()
            .unwrap();
        assert_eq!(written, Ok(versions(&[1])));
        let delete = vec![
            Write::Delete(allocation(1, "a"), Version(1)),
            create(1, "b"),
        ];
        let update = vec![Write::Update(allocation(1, "c"), Version(1))];
        let callers = [delete, update].map(|batch| {
            let queue = Arc::clone(&queue);
            thread::spawn(move || submit(&queue, batch).unwrap().recv().unwrap())
        });
        let results = callers.map(|caller| caller.join().unwrap());
        queue.close();
        worker.join().unwrap();
        assert_eq!(
            results.iter().filter(|result| result.is_ok()).count(),
            1,
            "{results:?}"
        );
    });
}

/// Every queued batch gets a result, even if the queue is closed meanwhile; a caller that leaves disturbs
/// no other.
#[test]
fn closing_loses_no_batch_in_any_schedule() {
    explore(|| {
        let queue = Arc::new(Queue::new(8));
        let worker = spawn_writer(&queue, 1);
        let callers: Vec<_> = (1..=3u8)
            .map(|last| {
                let queue = Arc::clone(&queue);
                thread::spawn(move || match submit(&queue, vec![create(last, "a")]) {
                    // This caller does not wait.
                    Ok(_) if last == 3 => true,
                    Ok(receiver) => {
                        assert!(receiver.recv().unwrap().is_ok());
                        true
                    }
                    Err(refused) => {
                        assert_eq!(refused, SubmitError::Closed);
                        false
                    }
                })
            })
            .collect();
        queue.close();
        let taken = callers
            .into_iter()
            .filter_map(|c| c.join().unwrap().then_some(()))
            .count();
        assert_eq!(worker.join().unwrap().records.len(), taken);
        assert!(submit(&queue, Vec::new()).is_err());
    });
}

/// A worker that panics leaves no caller waiting.
#[test]
fn a_full_queue_refuses_and_a_dead_worker_releases_callers() {
    explore(|| {
        let queue: Arc<Queue<Job>> = Arc::new(Queue::new(1));
        let waiting = submit(&queue, vec![create(1, "a")]).unwrap();
        assert_eq!(
            submit(&queue, vec![create(2, "a")]).unwrap_err(),
            SubmitError::Full
        );
        let worker = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || {
                let died = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                    queue.serve(1, |_| std::panic::resume_unwind(Box::new("dead")));
                }));
                assert!(died.is_err());
            })
        };
        assert!(waiting.recv().is_err());
        worker.join().unwrap();
        assert_eq!(
            submit(&queue, vec![create(3, "a")]).unwrap_err(),
            SubmitError::Closed
        );
    });
}
