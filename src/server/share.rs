//! A quantity that connections share, so that none of them can take all of it.
//!
//! A connection that holds nothing is granted whatever is free; one that holds something only as long as it then
//! holds no more than a part of what is free: the dynamic threshold by which switches share their buffers
//! (Choudhury and Hahne, 1998). So something is left for whoever comes next, until very many have come.

use std::{
    collections::{HashMap, VecDeque},
    future::pending,
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::oneshot;

use super::connections::ConnectionId;

/// The quantity, and who holds how much of it.
#[derive(Debug)]
pub(super) struct Shared(Mutex<State>);

/// The part of what is free that a connection may hold: one in so many.
#[derive(Debug, Clone, Copy)]
pub(super) struct OneIn(pub(super) usize);

/// An amount, until it is dropped.
#[derive(Debug)]
pub(super) struct Taken {
    shared: Arc<Shared>,
    of: ConnectionId,
    amount: usize,
}

#[derive(Debug)]
struct State {
    part: OneIn,
    free: usize,
    waiting: usize,
    holders: HashMap<ConnectionId, Holder>,
}

#[derive(Debug, Default)]
struct Holder {
    held: usize,
    waiting: VecDeque<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    amount: usize,
    granted: oneshot::Sender<Taken>,
}

impl Shared {
    pub(super) fn new(capacity: usize, part: OneIn) -> Arc<Self> {
        Arc::new(Self(Mutex::new(State {
            part,
            free: capacity,
            waiting: 0,
            holders: HashMap::new(),
        })))
    }

    /// Takes an amount if it can be granted at once.
    pub(super) fn try_take(self: &Arc<Self>, of: ConnectionId, amount: usize) -> Option<Taken> {
        self.lock()
            .grant(of, amount)
            .then(|| self.taken(of, amount))
    }

    /// Takes an amount as soon as it can be granted. Dropping the future takes nothing.
    pub(super) async fn take(self: &Arc<Self>, of: ConnectionId, amount: usize) -> Taken {
        let granted = {
            let mut state = self.lock();
            if state.grant(of, amount) {
                return self.taken(of, amount);
            }
            state.wait(of, amount)
        };
        match granted.await {
            Ok(taken) => taken,
            // The sender lives in the queue until it grants.
            Err(_) => pending().await,
        }
    }

    /// Returns how much a connection holds.
    pub(super) fn held(&self, of: ConnectionId) -> usize {
        self.lock().held(of)
    }

    fn taken(self: &Arc<Self>, of: ConnectionId, amount: usize) -> Taken {
        Taken {
            shared: self.clone(),
            of,
            amount,
        }
    }

    fn give_back(self: &Arc<Self>, of: ConnectionId, amount: usize) {
        let granted = {
            let mut state = self.lock();
            state.release(of, amount);
            state.grant_waiting()
        };
        for (of, waiting) in granted {
            // Whoever has left meanwhile gives it back by that.
            let _ = waiting.granted.send(self.taken(of, waiting.amount));
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    /// Adds what the same connection has taken.
    pub(super) fn add(&mut self, mut more: Self) {
        self.amount += mem::take(&mut more.amount);
    }

    /// Gives back what is more than `amount`.
    pub(super) fn shrink_to(&mut self, amount: usize) {
        let surplus = self.amount.saturating_sub(amount);
        if surplus > 0 {
            self.amount = amount;
            self.shared.give_back(self.of, surplus);
        }
    }

    pub(super) fn amount(&self) -> usize {
        self.amount
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        if self.amount > 0 {
            self.shared.give_back(self.of, self.amount);
        }
    }
}

impl State {
    fn held(&self, of: ConnectionId) -> usize {
        self.holders.get(&of).map_or(0, |holder| holder.held)
    }

    fn may(&self, of: ConnectionId, amount: usize) -> bool {
        match self.held(of) {
            _ if amount == 0 => true,
            0 => amount <= self.free,
            held => held.saturating_add(amount).saturating_mul(self.part.0) <= self.free,
        }
    }

    fn grant(&mut self, of: ConnectionId, amount: usize) -> bool {
        let granted = self.may(of, amount);
        if granted && amount > 0 {
            self.free -= amount;
            self.holders.entry(of).or_default().held += amount;
        }
        granted
    }

    fn wait(&mut self, of: ConnectionId, amount: usize) -> oneshot::Receiver<Taken> {
        let (granted, receiver) = oneshot::channel();
        let waiting = Waiting { amount, granted };
        self.holders
            .entry(of)
            .or_default()
            .waiting
            .push_back(waiting);
        self.waiting += 1;
        receiver
    }

    fn release(&mut self, of: ConnectionId, amount: usize) {
        self.free += amount;
        if let Some(holder) = self.holders.get_mut(&of) {
            holder.held -= amount;
            if holder.held == 0 && holder.waiting.is_empty() {
                self.holders.remove(&of);
            }
        }
    }

    /// Grants whoever waits and may be granted, those who hold least first.
    fn grant_waiting(&mut self) -> Vec<(ConnectionId, Waiting)> {
        let mut granted = Vec::new();
        if self.waiting == 0 {
            return granted;
        }
        let waiting = self
            .holders
            .iter()
            .filter(|(_, holder)| !holder.waiting.is_empty());
        let mut order: Vec<(usize, ConnectionId)> =
            waiting.map(|(of, holder)| (holder.held, *of)).collect();
        order.sort_unstable();
        for (_, of) in order {
            let queue = self
                .holders
                .get_mut(&of)
                .map(|holder| mem::take(&mut holder.waiting));
            let before = queue.as_ref().map_or(0, VecDeque::len);
            let mut left = VecDeque::new();
            for waiting in queue.into_iter().flatten() {
                if waiting.granted.is_closed() {
                    continue;
                }
                match self.grant(of, waiting.amount) {
                    true => granted.push((of, waiting)),
                    false => left.push_back(waiting),
                }
            }
            self.waiting -= before - left.len();
            if let Some(holder) = self.holders.get_mut(&of) {
                holder.waiting = left;
                if holder.held == 0 && holder.waiting.is_empty() {
                    self.holders.remove(&of);
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

    fn all(shared: &Arc<Shared>, of: ConnectionId) -> Vec<Taken> {
        std::iter::from_fn(|| shared.try_take(of, 1)).collect()
    }

    #[test]
    fn one_takes_a_part_and_something_is_left_for_the_next() {
        let shared = Shared::new(256, OneIn(4));
        let first = all(&shared, A);
        assert_eq!(first.len(), 51, "a fourth of what is left");
        assert_eq!(all(&shared, B).len(), 41, "of one that comes second");
        let many: Vec<Vec<Taken>> = (3..20).map(|id| all(&shared, ConnectionId(id))).collect();
        assert!(many.iter().all(|taken| !taken.is_empty()));
        drop((first, many));
        assert_eq!(shared.lock().free, 256);
        assert!(shared.lock().holders.is_empty());
    }

    #[test]
    fn whoever_waits_is_granted_and_whoever_leaves_takes_nothing() {
        let shared = Shared::new(2, OneIn(1));
        let held = shared.try_take(A, 1).unwrap();
        let mut second = Box::pin(shared.take(A, 1));
        assert!((&mut second).now_or_never().is_none(), "half is its share");
        let mut left = Box::pin(shared.take(A, 1));
        assert!((&mut left).now_or_never().is_none());
        drop(left);
        assert!(shared.try_take(B, 1).is_some(), "the other half");
        drop(held);
        let second = second.now_or_never().unwrap();
        drop(second);
        let state = shared.lock();
        assert_eq!((state.free, state.waiting), (2, 0));
        assert!(state.holders.is_empty());
    }

    #[test]
    fn an_amount_grows_and_shrinks() {
        let shared = Shared::new(100, OneIn(1));
        let mut taken = shared.try_take(A, 10).unwrap();
        taken.add(shared.try_take(A, 30).unwrap());
        assert_eq!(
            (taken.amount(), shared.held(A), shared.lock().free),
            (40, 40, 60)
        );
        assert!(
            shared.try_take(A, 30).is_none(),
            "70 is more than the 60 that are free"
        );
        taken.shrink_to(5);
        assert_eq!((taken.amount(), shared.lock().free), (5, 95));
        drop(taken);
        assert_eq!(shared.lock().free, 100);
    }
}
