//! The connections of one listener, and the one that is closed when another comes and no place is free.
//!
//! Refusing the new one would let anybody lock the listener by holding connections. So the one goes that is of
//! least use: one that never asked anything, then one that waits for its next request, then one whose body is
//! still awaited; among these one of the address that has most of them, and of those the oldest. A connection
//! whose request is being worked on is never closed.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use http::Extensions;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

/// How long a connection that was told to leave may take, and how often another is told to.
pub(super) const GOODBYE: Duration = Duration::from_millis(100);

/// A number that no other connection of this process has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct ConnectionId(pub(super) u64);

/// The places of a listener, and who has them.
#[derive(Debug)]
pub(super) struct Connections {
    places: Arc<Semaphore>,
    open: Mutex<BTreeMap<ConnectionId, Arc<Connection>>>,
}

/// A place, until it is dropped.
pub(super) struct Place {
    connections: Arc<Connections>,
    pub(super) connection: Arc<Connection>,
    _permit: OwnedSemaphorePermit,
}

/// One connection, as its listener and its requests see it.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) id: ConnectionId,
    from: Option<IpAddr>,
    activity: Mutex<Activity>,
    leaving: CancellationToken,
}

/// What a connection does; those that come first are closed first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    /// No request has come.
    Untouched,
    /// All requests were answered.
    Idle,
    /// The bodies of all its requests are awaited.
    Reading,
    /// A request is being worked on.
    Busy,
}

#[derive(Debug)]
struct Activity {
    asked: bool,
    requests: usize,
    reading: usize,
    since: Instant,
}

/// A request of a connection, until it is dropped.
pub(super) struct Asking<'c>(&'c Connection);

/// A body that is awaited, until this is dropped.
pub(super) struct Reading<'c>(&'c Connection);

impl Connections {
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self {
            places: Arc::new(Semaphore::new(most)),
            open: Mutex::default(),
        })
    }

    /// Waits for a place, having others leave if none is free. `closed` is called for each of them.
    pub(super) async fn place(
        self: &Arc<Self>,
        from: Option<IpAddr>,
        mut closed: impl FnMut(),
    ) -> Place {
        let permit = loop {
            if let Ok(permit) = self.places.clone().try_acquire_owned() {
                break permit;
            }
            if self.make_room() {
                closed();
            }
            let freed = timeout(GOODBYE, self.places.clone().acquire_owned()).await;
            // The semaphore is never closed.
            if let Ok(Ok(permit)) = freed {
                break permit;
            }
        };
        let connection = Connection::new(from);
        self.lock().insert(connection.id, connection.clone());
        Place {
            connections: self.clone(),
            connection,
            _permit: permit,
        }
    }

    /// Tells one connection to leave, if any may be told to.
    pub(super) fn make_room(&self) -> bool {
        let open = self.lock();
        let mut of_address: HashMap<Option<IpAddr>, usize> = HashMap::new();
        for connection in open.values() {
            *of_address.entry(connection.from).or_default() += 1;
        }
        let candidates = open.values().filter_map(|connection| {
            let (stage, since) = connection.stage();
            let may_go = stage != Stage::Busy && !connection.leaving.is_cancelled();
            let shared = of_address.get(&connection.from).copied().unwrap_or(0);
            may_go.then_some(((stage, Reverse(shared), since, connection.id), connection))
        });
        match candidates.min_by_key(|(rank, _)| *rank) {
            Some((_, connection)) => {
                connection.leaving.cancel();
                true
            }
            None => false,
        }
    }

    /// Tells the connection to leave that has most of something, if that is more than `least` and only bodies of
    /// its requests are awaited.
    pub(super) fn close_greediest(
        &self,
        has: impl Fn(ConnectionId) -> usize,
        least: usize,
    ) -> bool {
        let open = self.lock();
        let greedy = open.values().filter_map(|connection| {
            let may_go =
                connection.stage().0 == Stage::Reading && !connection.leaving.is_cancelled();
            let amount = has(connection.id);
            (may_go && amount > least).then_some((amount, connection))
        });
        match greedy.max_by_key(|(amount, _)| *amount) {
            Some((_, connection)) => {
                connection.leaving.cancel();
                true
            }
            None => false,
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ConnectionId, Arc<Connection>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connections.lock().remove(&self.connection.id);
    }
}

impl Connection {
    pub(super) fn new(from: Option<IpAddr>) -> Arc<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Arc::new(Self {
            id: ConnectionId(NEXT.fetch_add(1, Ordering::Relaxed)),
            from,
            activity: Mutex::new(Activity {
                asked: false,
                requests: 0,
                reading: 0,
                since: Instant::now(),
            }),
            leaving: CancellationToken::new(),
        })
    }

    /// Returns the connection that a request came by; one of its own, if it came by none.
    pub(super) fn of(extensions: &Extensions) -> Arc<Self> {
        let found = extensions.get::<Arc<Self>>().cloned();
        found.unwrap_or_else(|| Self::new(None))
    }

    pub(super) fn ask(&self) -> Asking<'_> {
        self.change(|activity| {
            activity.asked = true;
            activity.requests += 1;
        });
        Asking(self)
    }

    pub(super) fn read(&self) -> Reading<'_> {
        self.change(|activity| activity.reading += 1);
        Reading(self)
    }

    /// Waits until the connection is told to leave.
    pub(super) async fn told_to_leave(&self) {
        self.leaving.cancelled().await;
    }

    /// Waits until nothing is lost by closing the connection; a moment at the least, if it asked anything.
    pub(super) async fn is_done(&self) {
        loop {
            match self.stage() {
                (Stage::Untouched, _) => return,
                (Stage::Busy, _) => sleep(GOODBYE).await,
                (Stage::Idle | Stage::Reading, _) => {
                    sleep(GOODBYE).await;
                    if self.stage().0 != Stage::Busy {
                        return;
                    }
                }
            }
        }
    }

    fn stage(&self) -> (Stage, Instant) {
        let activity = self.lock();
        let stage = match *activity {
            Activity { asked: false, .. } => Stage::Untouched,
            Activity { requests: 0, .. } => Stage::Idle,
            Activity {
                requests, reading, ..
            } if reading >= requests => Stage::Reading,
            Activity { .. } => Stage::Busy,
        };
        (stage, activity.since)
    }

    fn change(&self, change: impl FnOnce(&mut Activity)) {
        let mut activity = self.lock();
        change(&mut activity);
        activity.since = Instant::now();
    }

    fn lock(&self) -> MutexGuard<'_, Activity> {
        self.activity.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.0.change(|activity| activity.requests -= 1);
    }
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        self.0.change(|activity| activity.reading -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const TWO: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));

    async fn places(from: &[IpAddr]) -> (Arc<Connections>, Vec<Place>) {
        let connections = Connections::new(from.len());
        let mut places = Vec::new();
        for &from in from {
            places.push(connections.place(Some(from), || {}).await);
            sleep(Duration::from_millis(1)).await;
        }
        (connections, places)
    }

    fn told(places: &[Place]) -> Vec<usize> {
        let told = places.iter().enumerate();
        let told = told.filter(|(_, place)| place.connection.leaving.is_cancelled());
        told.map(|(at, _)| at).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn those_go_first_that_are_of_least_use() {
        let (connections, places) = places(&[ONE; 5]).await;
        let [busy, idle, reading, untouched, newest] = [0, 1, 2, 3, 4];
        let _busy = places[busy].connection.ask();
        drop(places[idle].connection.ask());
        let _asking = places[reading].connection.ask();
        let _reading = places[reading].connection.read();
        for gone in [
            &[untouched][..],
            &[untouched, newest],
            &[idle, untouched, newest],
            &[idle, reading, untouched, newest],
        ] {
            assert!(connections.make_room());
            assert_eq!(told(&places), gone);
        }
        assert!(!connections.make_room(), "what is worked on stays");
    }

    #[tokio::test(start_paused = true)]
    async fn the_address_with_most_connections_gives_way() {
        let (connections, places) = places(&[ONE, TWO, TWO]).await;
        assert!(connections.make_room());
        assert_eq!(told(&places), [1]);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_comes_takes_the_place_of_who_leaves() {
        let (connections, mut places) = places(&[ONE, TWO]).await;
        let busy = places.pop().unwrap();
        let _asking = busy.connection.ask();
        let (old, mut count) = (places.pop().unwrap(), 0);
        let leaves = async {
            old.connection.told_to_leave().await;
            old.connection.is_done().await;
            drop(old);
        };
        let (place, ()) = tokio::join!(connections.place(None, || count += 1), leaves);
        assert!(!place.connection.leaving.is_cancelled());
        assert_eq!((count, connections.lock().len()), (1, 2));
    }
}
