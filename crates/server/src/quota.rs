//! A quantity that connections share without one taking all of it.
//!
//! A connection that holds nothing is granted any free amount. One that holds something is granted
//! more only while its total stays within a share of what is free: the dynamic threshold by which
//! switches share their buffers (Choudhury and Hahne, 1998). So something remains for new
//! connections until there are very many.

use std::{
    collections::{HashMap, VecDeque},
    future::pending,
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::oneshot;

use super::connections::ConnectionId;

/// The shared quantity with its users.
#[derive(Debug)]
pub(super) struct Quota(Mutex<QuotaState>);

/// Divisor of the free amount: a connection may hold up to one part in `n` of what is free.
#[derive(Debug, Clone, Copy)]
pub(super) struct MaxShare(pub(super) usize);

/// An amount held until dropped.
#[derive(Debug)]
pub(super) struct QuotaGuard {
    quota: Arc<Quota>,
    id: ConnectionId,
    amount: usize,
}

#[derive(Debug)]
struct QuotaState {
    max_share: MaxShare,
    free: usize,
    waiting: usize,
    accounts: HashMap<ConnectionId, Account>,
}

#[derive(Debug, Default)]
struct Account {
    held: usize,
    waiting: VecDeque<Waiter>,
}

#[derive(Debug)]
struct Waiter {
    amount: usize,
    granted: oneshot::Sender<QuotaGuard>,
}

impl Quota {
    pub(super) fn new(capacity: usize, max_share: MaxShare) -> Arc<Self> {
        Arc::new(Self(Mutex::new(QuotaState {
            max_share,
            free: capacity,
            waiting: 0,
            accounts: HashMap::new(),
        })))
    }

    /// Takes an amount without waiting; `None` if it is not granted.
    pub(super) fn try_take(
        self: &Arc<Self>,
        id: ConnectionId,
        amount: usize,
    ) -> Option<QuotaGuard> {
        self.lock()
            .grant(id, amount)
            .then(|| self.taken(id, amount))
    }

    /// Takes an amount as soon as it is granted. Dropping the future takes nothing.
    pub(super) async fn take(self: &Arc<Self>, id: ConnectionId, amount: usize) -> QuotaGuard {
        let granted = {
            let mut state = self.lock();
            if state.grant(id, amount) {
                return self.taken(id, amount);
            }
            state.wait(id, amount)
        };
        match granted.await {
            Ok(taken) => taken,
            // The sender stays in the queue until it grants.
            Err(_) => pending().await,
        }
    }

    /// Returns the amount a connection holds.
    pub(super) fn held(&self, id: ConnectionId) -> usize {
        self.lock().held(id)
    }

    fn taken(self: &Arc<Self>, id: ConnectionId, amount: usize) -> QuotaGuard {
        QuotaGuard {
            quota: self.clone(),
            id,
            amount,
        }
    }

    fn release(self: &Arc<Self>, id: ConnectionId, amount: usize) {
        let granted = {
            let mut state = self.lock();
            state.release(id, amount);
            state.grant_waiting()
        };
        for (id, waiter) in granted {
            // If the receiver is gone, the guard is dropped and releases the amount.
            let _ = waiter.granted.send(self.taken(id, waiter.amount));
        }
    }

    fn lock(&self) -> MutexGuard<'_, QuotaState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl QuotaGuard {
    /// Merges an amount of the same connection.
    pub(super) fn add(&mut self, mut more: Self) {
        self.amount += mem::take(&mut more.amount);
    }

    /// Releases everything above `amount`.
    pub(super) fn shrink_to(&mut self, amount: usize) {
        let surplus = self.amount.saturating_sub(amount);
        if surplus > 0 {
            self.amount = amount;
            self.quota.release(self.id, surplus);
        }
    }

    pub(super) fn amount(&self) -> usize {
        self.amount
    }
}

impl Drop for QuotaGuard {
    fn drop(&mut self) {
        if self.amount > 0 {
            self.quota.release(self.id, self.amount);
        }
    }
}

impl QuotaState {
    fn held(&self, id: ConnectionId) -> usize {
        self.accounts.get(&id).map_or(0, |account| account.held)
    }

    fn is_allowed(&self, id: ConnectionId, amount: usize) -> bool {
        match self.held(id) {
            _ if amount == 0 => true,
            0 => amount <= self.free,
            held => held.saturating_add(amount).saturating_mul(self.max_share.0) <= self.free,
        }
    }

    fn grant(&mut self, id: ConnectionId, amount: usize) -> bool {
        let granted = self.is_allowed(id, amount);
        if granted && amount > 0 {
            self.free -= amount;
            self.accounts.entry(id).or_default().held += amount;
        }
        granted
    }

    fn wait(&mut self, id: ConnectionId, amount: usize) -> oneshot::Receiver<QuotaGuard> {
        let (granted, receiver) = oneshot::channel();
        let waiter = Waiter { amount, granted };
        self.accounts
            .entry(id)
            .or_default()
            .waiting
            .push_back(waiter);
        self.waiting += 1;
        receiver
    }

    fn release(&mut self, id: ConnectionId, amount: usize) {
        self.free += amount;
        if let Some(account) = self.accounts.get_mut(&id) {
            account.held -= amount;
            if account.held == 0 && account.waiting.is_empty() {
                self.accounts.remove(&id);
            }
        }
    }

    /// Grants waiting requests, connections that hold the least first.
    fn grant_waiting(&mut self) -> Vec<(ConnectionId, Waiter)> {
        let mut granted = Vec::new();
        if self.waiting == 0 {
            return granted;
        }
        let waiting = self
            .accounts
            .iter()
            .filter(|(_, account)| !account.waiting.is_empty());
        let mut order: Vec<(usize, ConnectionId)> =
            waiting.map(|(id, account)| (account.held, *id)).collect();
        order.sort_unstable();
        for (_, id) in order {
            let queue = self
                .accounts
                .get_mut(&id)
                .map(|account| mem::take(&mut account.waiting));
            let before = queue.as_ref().map_or(0, VecDeque::len);
            let mut left = VecDeque::new();
            for waiter in queue.into_iter().flatten() {
                if waiter.granted.is_closed() {
                    continue;
                }
                match self.grant(id, waiter.amount) {
                    true => granted.push((id, waiter)),
                    false => left.push_back(waiter),
                }
            }
            self.waiting -= before - left.len();
            if let Some(account) = self.accounts.get_mut(&id) {
                account.waiting = left;
                if account.held == 0 && account.waiting.is_empty() {
                    self.accounts.remove(&id);
                }
            }
        }
        granted
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    const A: ConnectionId = ConnectionId(1);
    const B: ConnectionId = ConnectionId(2);

    fn all(quota: &Arc<Quota>, id: ConnectionId) -> Vec<QuotaGuard> {
        std::iter::from_fn(|| quota.try_take(id, 1)).collect()
    }

    #[test]
    fn no_connection_takes_everything() {
        let quota = Quota::new(256, MaxShare(4));
        let first = all(&quota, A);
        assert_eq!(first.len(), 51, "a fourth of what is left");
        assert_eq!(all(&quota, B).len(), 41, "of one that comes second");
        let many: Vec<Vec<QuotaGuard>> = (3..20).map(|id| all(&quota, ConnectionId(id))).collect();
        assert!(many.iter().all(|taken| !taken.is_empty()));
        drop((first, many));
        assert_eq!(quota.lock().free, 256);
        assert!(quota.lock().accounts.is_empty());
    }

    #[test]
    fn waiters_are_granted_and_dropped_waiters_take_nothing() {
        let quota = Quota::new(2, MaxShare(1));
        let held = quota.try_take(A, 1).unwrap();
        let mut second = Box::pin(quota.take(A, 1));
        assert!((&mut second).now_or_never().is_none(), "half is its share");
        let mut left = Box::pin(quota.take(A, 1));
        assert!((&mut left).now_or_never().is_none());
        drop(left);
        assert!(quota.try_take(B, 1).is_some(), "the other half");
        drop(held);
        let second = second.now_or_never().unwrap();
        drop(second);
        let state = quota.lock();
        assert_eq!((state.free, state.waiting), (2, 0));
        assert!(state.accounts.is_empty());
    }

    #[test]
    fn an_amount_grows_and_shrinks() {
        let quota = Quota::new(100, MaxShare(1));
        let mut taken = quota.try_take(A, 10).unwrap();
        taken.add(quota.try_take(A, 30).unwrap());
        assert_eq!(
            (taken.amount(), quota.held(A), quota.lock().free),
            (40, 40, 60)
        );
        assert!(
            quota.try_take(A, 30).is_none(),
            "70 is more than the 60 that are free"
        );
        taken.shrink_to(5);
        assert_eq!((taken.amount(), quota.lock().free), (5, 95));
        drop(taken);
        assert_eq!(quota.lock().free, 100);
    }
}
