//! Wakes watches in the order in which they began to wait. tokio's own channel wakes a random one
//! first, so a run would not replay from its seed.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use tokio::sync::Notify;

#[derive(Default)]
struct Waiters {
    wait: AtomicU64,
    notify: Notify,
}

/// Notifies all listeners, one last time when it is dropped.
#[derive(Default)]
pub(super) struct Notifier(Arc<Waiters>);

/// Receives the notifications sent since it was created.
pub(super) struct Subscription {
    shared: Arc<Waiters>,
    seen: u64,
}

impl Notifier {
    pub(super) fn notify_all(&self) {
        self.0.wait.fetch_add(1, Ordering::SeqCst);
        self.0.notify.notify_waiters();
    }

    pub(super) fn listen(&self) -> Subscription {
        Subscription {
            seen: self.0.wait.load(Ordering::SeqCst),
            shared: Arc::clone(&self.0),
        }
    }
}

impl Drop for Notifier {
    fn drop(&mut self) {
        self.notify_all();
    }
}

impl Subscription {
    /// Waits until there is a notification since the last one received.
    pub(super) async fn wait(&mut self) {
        let shared = Arc::clone(&self.shared);
        loop {
            // Registered before the check, so that a notification in between is not missed.
            let notified = shared.notify.notified();
            if self.try_wait() {
                return;
            }
            notified.await;
        }
    }

    /// Returns true if there is a notification since the last one received, and consumes it.
    pub(super) fn try_wait(&mut self) -> bool {
        let wait = self.shared.wait.load(Ordering::SeqCst);
        std::mem::replace(&mut self.seen, wait) != wait
    }
}
