//! Wakes watches in the order in which they wait: tokio's own channel for that takes a random one
//! first, and what is told by a seed could not be told again.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use tokio::sync::Notify;

#[derive(Default)]
struct Shared {
    rung: AtomicU64,
    notify: Notify,
}

/// Rings for all who listen; the last time when it is dropped.
#[derive(Default)]
pub(super) struct Bell(Arc<Shared>);

/// Hears a bell from when it was made.
pub(super) struct Listener {
    shared: Arc<Shared>,
    heard: u64,
}

impl Bell {
    pub(super) fn ring(&self) {
        self.0.rung.fetch_add(1, Ordering::SeqCst);
        self.0.notify.notify_waiters();
    }

    pub(super) fn listen(&self) -> Listener {
        Listener {
            heard: self.0.rung.load(Ordering::SeqCst),
            shared: Arc::clone(&self.0),
        }
    }
}

impl Drop for Bell {
    fn drop(&mut self) {
        self.ring();
    }
}

impl Listener {
    /// Waits until it has rung since it was last heard.
    pub(super) async fn rung(&mut self) {
        let shared = Arc::clone(&self.shared);
        loop {
            // Made before the look: what rings in between is not missed.
            let notified = shared.notify.notified();
            if self.hear() {
                return;
            }
            notified.await;
        }
    }

    /// Whether it has rung.
    pub(super) fn hear(&mut self) -> bool {
        let rung = self.shared.rung.load(Ordering::SeqCst);
        std::mem::replace(&mut self.heard, rung) != rung
    }
}
