//! The open connections of one listener, and which one is evicted when the limit is reached.
//!
//! Rejecting new connections would let a client block the listener by holding connections. Instead
//! the least useful connection is closed: first one without any request, then one that is idle,
//! then one whose bodies are still incomplete. Among equals the address with the most connections
//! loses one, its oldest. A connection whose request is being processed is never closed.

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

/// Time that an evicted connection has to close, and interval at which further connections are
/// evicted.
pub(super) const EVICTION_GRACE: Duration = Duration::from_millis(100);

/// Process-wide unique connection number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct ConnectionId(pub(super) u64);

/// The connection limit of a listener and its open connections.
#[derive(Debug)]
pub(super) struct Connections {
    permits: Arc<Semaphore>,
    open: Mutex<BTreeMap<ConnectionId, Arc<Connection>>>,
}

/// Permit for one connection, held until dropped.
pub(super) struct ConnectionPermit {
    connections: Arc<Connections>,
    pub(super) connection: Arc<Connection>,
    _permit: OwnedSemaphorePermit,
}

/// State of one connection, shared by its listener and its requests.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) id: ConnectionId,
    from: Option<IpAddr>,
    activity: Mutex<Activity>,
    eviction: CancellationToken,
}

/// Activity of a connection, in order of eviction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum ConnectionStage {
    /// No request has arrived.
    Unused,
    /// All requests have been answered.
    Idle,
    /// The bodies of all its requests are incomplete.
    PendingBody,
    /// A request is being processed.
    Busy,
}

#[derive(Debug)]
struct Activity {
    had_request: bool,
    requests: usize,
    reading: usize,
    since: Instant,
}

/// Counts a request until dropped.
pub(super) struct ActiveRequest<'c>(&'c Connection);

/// Counts an incomplete body until dropped.
pub(super) struct PendingBody<'c>(&'c Connection);

impl Connections {
    pub(super) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            permits: Arc::new(Semaphore::new(limit)),
            open: Mutex::default(),
        })
    }

    /// Waits for a permit and evicts other connections while none is free. Calls `closed` for each
    /// evicted connection.
    pub(super) async fn acquire(
        self: &Arc<Self>,
        from: Option<IpAddr>,
        mut closed: impl FnMut(),
    ) -> ConnectionPermit {
        let permit = loop {
            if let Ok(permit) = self.permits.clone().try_acquire_owned() {
                break permit;
            }
            if self.evict_one() {
                closed();
            }
            let freed = timeout(EVICTION_GRACE, self.permits.clone().acquire_owned()).await;
            // The semaphore is never closed.
            if let Ok(Ok(permit)) = freed {
                break permit;
            }
        };
        let connection = Connection::new(from);
        self.lock().insert(connection.id, connection.clone());
        ConnectionPermit {
            connections: self.clone(),
            connection,
            _permit: permit,
        }
    }

    /// Evicts one connection; returns false if none may be evicted.
    pub(super) fn evict_one(&self) -> bool {
        let open = self.lock();
        let mut per_address: HashMap<Option<IpAddr>, usize> = HashMap::new();
        for connection in open.values() {
            *per_address.entry(connection.from).or_default() += 1;
        }
        let candidates = open.values().filter_map(|connection| {
            let (stage, since) = connection.stage();
            let evictable = stage != ConnectionStage::Busy && !connection.eviction.is_cancelled();
            let shared = per_address.get(&connection.from).copied().unwrap_or(0);
            evictable.then_some(((stage, Reverse(shared), since, connection.id), connection))
        });
        match candidates.min_by_key(|(rank, _)| *rank) {
            Some((_, connection)) => {
                connection.eviction.cancel();
                true
            }
            None => false,
        }
    }

    /// Evicts the connection with the largest amount according to `has`, if that exceeds `least`
    /// and only bodies of its requests are awaited. Returns false if no connection can be closed.
    pub(super) fn evict_largest(&self, has: impl Fn(ConnectionId) -> usize, least: usize) -> bool {
        let open = self.lock();
        let candidates = open.values().filter_map(|connection| {
            let evictable = connection.stage().0 == ConnectionStage::PendingBody
                && !connection.eviction.is_cancelled();
            let amount = has(connection.id);
            (evictable && amount > least).then_some((amount, connection))
        });
        match candidates.max_by_key(|(amount, _)| *amount) {
            Some((_, connection)) => {
                connection.eviction.cancel();
                true
            }
            None => false,
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ConnectionId, Arc<Connection>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for ConnectionPermit {
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
                had_request: false,
                requests: 0,
                reading: 0,
                since: Instant::now(),
            }),
            eviction: CancellationToken::new(),
        })
    }

    /// Returns the connection of a request, or a new one for requests without a listener.
    pub(super) fn from_extensions(extensions: &Extensions) -> Arc<Self> {
        let found = extensions.get::<Arc<Self>>().cloned();
        found.unwrap_or_else(|| Self::new(None))
    }

    pub(super) fn begin_request(&self) -> ActiveRequest<'_> {
        self.change(|activity| {
            activity.had_request = true;
            activity.requests += 1;
        });
        ActiveRequest(self)
    }

    pub(super) fn begin_body(&self) -> PendingBody<'_> {
        self.change(|activity| activity.reading += 1);
        PendingBody(self)
    }

    /// Waits until the connection is evicted.
    pub(super) async fn eviction_requested(&self) {
        self.eviction.cancelled().await;
    }

    /// Waits until the connection can be closed without losing a request. Takes at least
    /// [`EVICTION_GRACE`] if there was a request.
    pub(super) async fn quiesced(&self) {
        loop {
            match self.stage() {
                (ConnectionStage::Unused, _) => return,
                (ConnectionStage::Busy, _) => sleep(EVICTION_GRACE).await,
                (ConnectionStage::Idle | ConnectionStage::PendingBody, _) => {
                    sleep(EVICTION_GRACE).await;
                    if self.stage().0 != ConnectionStage::Busy {
                        return;
                    }
                }
            }
        }
    }

    fn stage(&self) -> (ConnectionStage, Instant) {
        let activity = self.lock();
        let stage = match *activity {
            Activity {
                had_request: false, ..
            } => ConnectionStage::Unused,
            Activity { requests: 0, .. } => ConnectionStage::Idle,
            Activity {
                requests, reading, ..
            } if reading >= requests => ConnectionStage::PendingBody,
            Activity { .. } => ConnectionStage::Busy,
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

impl Drop for ActiveRequest<'_> {
    fn drop(&mut self) {
        self.0.change(|activity| activity.requests -= 1);
    }
}

impl Drop for PendingBody<'_> {
    fn drop(&mut self) {
        self.0.change(|activity| activity.reading -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const TWO: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));

    async fn permits(from: &[IpAddr]) -> (Arc<Connections>, Vec<ConnectionPermit>) {
        let connections = Connections::new(from.len());
        let mut permits = Vec::new();
        for &from in from {
            permits.push(connections.acquire(Some(from), || {}).await);
            sleep(Duration::from_millis(1)).await;
        }
        (connections, permits)
    }

    fn evicted(permits: &[ConnectionPermit]) -> Vec<usize> {
        let evicted = permits.iter().enumerate();
        let evicted = evicted.filter(|(_, permit)| permit.connection.eviction.is_cancelled());
        evicted.map(|(at, _)| at).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn the_least_useful_connections_are_evicted_first() {
        let (connections, permits) = permits(&[ONE; 5]).await;
        let [busy, idle, reading, unused, newest] = [0, 1, 2, 3, 4];
        let _busy = permits[busy].connection.begin_request();
        drop(permits[idle].connection.begin_request());
        let _active_request = permits[reading].connection.begin_request();
        let _pending_body = permits[reading].connection.begin_body();
        for gone in [
            &[unused][..],
            &[unused, newest],
            &[idle, unused, newest],
            &[idle, reading, unused, newest],
        ] {
            assert!(connections.evict_one());
            assert_eq!(evicted(&permits), gone);
        }
        assert!(!connections.evict_one(), "what is worked on stays");
    }

    #[tokio::test(start_paused = true)]
    async fn the_address_with_most_connections_is_evicted() {
        let (connections, permits) = permits(&[ONE, TWO, TWO]).await;
        assert!(connections.evict_one());
        assert_eq!(evicted(&permits), [1]);
    }

    #[tokio::test(start_paused = true)]
    async fn an_evicted_connection_frees_its_permit() {
        let (connections, mut permits) = permits(&[ONE, TWO]).await;
        let busy = permits.pop().unwrap();
        let _active_request = busy.connection.begin_request();
        let (old, mut count) = (permits.pop().unwrap(), 0);
        let leaves = async {
            old.connection.eviction_requested().await;
            old.connection.quiesced().await;
            drop(old);
        };
        let (permit, ()) = tokio::join!(connections.acquire(None, || count += 1), leaves);
        assert!(!permit.connection.eviction.is_cancelled());
        assert_eq!((count, connections.lock().len()), (1, 2));
    }
}
