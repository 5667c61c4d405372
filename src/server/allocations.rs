//! The allocation core as the server uses it: plans go to the ledger, and their outcome to the index.

use std::sync::Arc;

use tokio::{
    task::JoinHandle,
    time::{Duration, Instant, sleep, timeout_at},
};

use super::look_up::{self, Lists};
use crate::{
    allocation::{SharedIndex, Slice, Version, Write, index::Ticket},
    clock::Chance,
    ledger::{Ledger, SliceLedger, Store, WriteError, tell},
    rules::Lookup,
};

/// How long to wait before a write is repeated of which nothing is known.
const PATIENCE: Duration = Duration::from_millis(500);

/// Who holds which address, and where that is recorded.
#[derive(Debug, Clone)]
pub struct Allocations {
    /// The index, which is as the ledger is.
    pub index: Arc<SharedIndex>,
    ledger: Option<Arc<Ledger>>,
    /// Which node owns which slice, where nodes are known.
    slices: Option<SliceLedger>,
    lists: Arc<Lists>,
    /// The one source of randomness: each call another number that nobody can guess.
    chance: Chance,
}

/// What became of a plan.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Recorded {
    /// It is durable.
    Safe,
    /// Another was faster; the index knows it now: decide again.
    Overtaken,
    /// Nothing was promised.
    Failed(String),
}

impl Allocations {
    /// Allocations that a ledger records.
    pub fn new(index: Arc<SharedIndex>, ledger: Arc<Ledger>, chance: Chance) -> Self {
        Self {
            index,
            ledger: Some(ledger),
            slices: None,
            lists: Arc::default(),
            chance,
        }
    }

    /// The same in a cluster: slices are recorded, too, so that pools that are cut give, and other
    /// replicas write to the same ledger.
    #[must_use]
    pub fn with_slices(mut self, slices: SliceLedger) -> Self {
        let mut index = self.index.lock();
        index.support_slices();
        index.share_ledger();
        drop(index);
        self.slices = Some(slices);
        self
    }

    /// No ledger: whatever would have to be recorded is turned away.
    pub fn none() -> Self {
        Self {
            index: Arc::default(),
            ledger: None,
            slices: None,
            lists: Arc::default(),
            chance: Chance::new(|| 0),
        }
    }

    /// A number that nobody can guess.
    pub(super) fn chance(&self) -> u128 {
        self.chance.next()
    }

    /// Makes the index at least as fresh, about these things, as the ledger is when this is called.
    ///
    /// # Errors
    /// Why the ledger does not tell.
    pub(super) async fn look_up(&self, lookups: &[Lookup]) -> Result<(), String> {
        let Some(ledger) = &self.ledger else {
            return Ok(());
        };
        let looked = look_up::look_up(
            lookups,
            ledger,
            self.slices.as_ref(),
            &self.index,
            &self.lists,
        )
        .await;
        looked.map_err(|error| error.to_string())
    }

    /// Records that a node owns a slice, or learns which one does; then the index can be asked again.
    ///
    /// # Errors
    /// Why nothing was recorded in time.
    pub(super) async fn claim(&self, slice: Slice, deadline: Instant) -> Result<(), String> {
        let Some(slices) = self.slices.clone() else {
            self.index.lock().drop_claim(&slice);
            return Err("this server knows no nodes".to_owned());
        };
        let index = Arc::clone(&self.index);
        let task = tokio::spawn(async move {
            match slices.claim(&slice).await {
                Ok((recorded, version)) => {
                    let mut index = index.lock();
                    index.apply_slice(recorded, version);
                    index.drop_claim(&slice);
                    Ok(())
                }
                Err(error) => {
                    index.lock().drop_claim(&slice);
                    Err(error.to_string())
                }
            }
        });
        match timeout_at(deadline, task).await {
            Ok(Ok(claimed)) => claimed,
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("the node's slice was not recorded in time".to_owned()),
        }
    }

    /// Records a plan, all or none, and tells the index. Once begun it comes to its end, whoever
    /// waits for it; after `deadline` nobody does.
    pub(super) async fn record(
        &self,
        writes: Vec<Write>,
        ticket: Ticket,
        deadline: Instant,
    ) -> Recorded {
        let Some(ledger) = self.ledger.clone() else {
            self.index.lock().roll_back(ticket);
            let reason = "this server keeps no allocations; start it with --data-dir";
            return Recorded::Failed(reason.to_owned());
        };
        let index = Arc::clone(&self.index);
        let task: JoinHandle<Recorded> = tokio::spawn(settle(ledger, index, writes, ticket));
        match timeout_at(deadline, task).await {
            Ok(Ok(recorded)) => recorded,
            Ok(Err(error)) => Recorded::Failed(error.to_string()),
            Err(_) => Recorded::Failed("it was not recorded in time".to_owned()),
        }
    }
}

async fn settle<L: Store + Send + Sync + 'static>(
    ledger: Arc<L>,
    index: Arc<SharedIndex>,
    writes: Vec<Write>,
    ticket: Ticket,
) -> Recorded {
    let outcome = ledger.write(writes.clone()).await;
    if let Err(error @ WriteError::Uncertain { .. }) = outcome {
        // What may have been written stays in flight until that is known, so that nobody else is
        // given it.
        tokio::spawn(find_out(ledger, index, writes, ticket));
        return Recorded::Failed(error.to_string());
    }
    conclude(&index, &writes, ticket, outcome)
}

/// Repeats a write of which it is not known whether it was done. Its records are then there, for the
/// same pod to find when it is created again.
async fn find_out<L: Store>(
    ledger: Arc<L>,
    index: Arc<SharedIndex>,
    writes: Vec<Write>,
    ticket: Ticket,
) {
    loop {
        sleep(PATIENCE).await;
        match ledger.write(writes.clone()).await {
            Err(WriteError::Uncertain { .. } | WriteError::Unavailable { .. }) => {}
            known => {
                conclude(&index, &writes, ticket, known);
                return;
            }
        }
    }
}

/// Tells the index what became of a plan.
fn conclude(
    index: &SharedIndex,
    writes: &[Write],
    ticket: Ticket,
    outcome: Result<Vec<Version>, WriteError>,
) -> Recorded {
    let mut index = index.lock();
    if let Ok(versions) = &outcome {
        index.confirm(ticket, versions);
        return Recorded::Safe;
    }
    tell(&mut index, writes, &outcome);
    index.roll_back(ticket);
    match outcome {
        Err(error @ (WriteError::Uncertain { .. } | WriteError::Unavailable { .. })) => {
            Recorded::Failed(error.to_string())
        }
        Ok(_) | Err(WriteError::Exists(_) | WriteError::Changed { .. }) => Recorded::Overtaken,
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::VecDeque, sync::Mutex};

    use super::*;
    use crate::{
        allocation::{
            Holder, Layout, NetworkRef, Pool, Stored, Timestamp,
            index::{Ask, Asker, MacWish, Planned},
        },
        ledger::{Cursor, Events, ReadError},
    };

    /// A ledger that answers what it is told to.
    struct Told(Mutex<VecDeque<Result<Vec<Version>, WriteError>>>);

    impl Store for Told {
        async fn write(&self, _: Vec<Write>) -> Result<Vec<Version>, WriteError> {
            let mut answers = self.0.lock().unwrap_or_else(|e| panic!("{e}"));
            answers.pop_front().unwrap_or_else(|| panic!("asked again"))
        }

        async fn get(&self, _: &str) -> Result<Option<Stored>, ReadError> {
            Ok(None)
        }

        async fn list(&self) -> Result<(Vec<Stored>, Cursor), ReadError> {
            panic!("nobody lists")
        }

        fn follow(&self, _: Cursor) -> Events {
            panic!("nobody follows")
        }
    }

    fn plan(index: &SharedIndex, pod: &str) -> Option<Planned> {
        let network = NetworkRef {
            namespace: "db".into(),
            name: "storage-net".into(),
        };
        let asker = Asker {
            holder: Holder::Pod {
                namespace: "db".into(),
                name: pod.into(),
            },
            pod: None,
            node: None,
        };
        let ask = Ask {
            pool: "storage".into(),
            network,
            interface: "net1".into(),
            takes_ips: true,
            ips: Vec::new(),
            mac: MacWish::None,
        };
        index.lock().plan(&asker, &[ask], Timestamp(0)).ok()
    }

    /// An index with a pool of two addresses.
    fn index() -> Arc<SharedIndex> {
        let spec = serde_json::from_str(r#"{"ranges":[{"range":"192.0.2.0/30"}]}"#);
        let spec = spec.unwrap_or_else(|e| panic!("{e}"));
        let pool = Pool::new("storage", &spec).unwrap_or_else(|e| panic!("{e:?}"));
        let index = SharedIndex::default();
        let layout = Layout::new([Arc::new(pool)], [], |_| None);
        index.lock().sync(&Arc::new(layout));
        index.lock().set_ready("storage");
        Arc::new(index)
    }

    #[tokio::test]
    async fn what_is_uncertain_is_in_flight_until_it_is_known() {
        let uncertain = || WriteError::Uncertain {
            reason: "the disk is full".to_owned(),
        };
        let unavailable = WriteError::Unavailable {
            reason: "the disk is full".to_owned(),
        };
        let index = index();
        let planned = plan(&index, "a").unwrap_or_else(|| panic!("nothing planned"));
        let first = planned.given.clone();
        let answers = [
            Err(uncertain()),
            Err(unavailable),
            Err(uncertain()),
            Ok(vec![Version(1)]),
        ];
        let ledger = Arc::new(Told(Mutex::new(answers.into())));
        let recorded = settle(
            Arc::clone(&ledger),
            Arc::clone(&index),
            planned.writes,
            planned.ticket,
        )
        .await;
        assert!(matches!(recorded, Recorded::Failed(_)));
        // Meanwhile it is nobody's, not even its own pod's.
        assert!(plan(&index, "a").is_none());
        let other = plan(&index, "b").unwrap_or_else(|| panic!("nothing planned"));
        assert_ne!(other.given, first);
        for _ in 0..100 {
            sleep(PATIENCE / 4).await;
            if let Some(again) = plan(&index, "a") {
                assert_eq!((again.given, again.writes), (first, vec![]));
                return;
            }
        }
        panic!("it is in flight for ever");
    }
}
