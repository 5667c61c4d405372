//! Calls to an API server: how long to try, what an answer means, when to ask again.
//!
//! Everything here runs in tokio's time, so a test may pause it; nothing is random, so a run
//! repeats.
//!
//! # Expected flow
//! 1. [`client`] makes the client. That of kube repeats what was refused by itself, for hours and at
//!    random; this one asks once, and leaves the rest to this room.
//! 2. [`call`] asks until there is an answer that repeating cannot change, or [`Patience`] ends. The
//!    answer is then `Ok`, or an [`Answer`] that says what it means.
//! 3. Who makes several requests for one purpose takes a [`Call`]: they share its patience, and it
//!    remembers whether one of them may have taken effect though nobody heard of it.
//!
//! ```
//! # async fn confirm(pods: kube::Api<k8s_openapi::api::core::v1::Pod>) -> Option<bool> {
//! use nadmit::api::call::{Answer, Patience, call};
//!
//! match call(Patience::default(), || pods.get("db-0")).await {
//!     Ok(_) => Some(true),
//!     Err(Answer::NotFound(_)) => Some(false),
//!     // Forbidden, throttled to the end, out of reach: nothing is known.
//!     Err(_) => None,
//! }
//! # }
//! ```
//!
//! # What may be repeated
//! A request must bear being done twice. A read does. A create under a fixed name does: the second is
//! told [`Answer::AlreadyExists`], and a look shows whose it is. An update or delete under a
//! `resourceVersion` does: the second is told [`Answer::Conflict`] or [`Answer::NotFound`].

mod answer;
mod client;
#[cfg(test)]
mod tests;

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

pub use self::{
    answer::Answer,
    client::{client, keep_retry_after},
};

/// How long to try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// How long one request may take.
    pub attempt: Duration,
    /// How long all of them may take together, with the pauses.
    pub total: Duration,
    /// The pause before the second; each further one is twice as long.
    pub first_pause: Duration,
    /// The longest pause, unless the server asks for more.
    pub longest_pause: Duration,
}

impl Default for Patience {
    /// For what somebody waits for: 8 s, of which a request may take 3, and pauses from 50 ms to 1 s.
    /// A webhook's answer is waited for 10 s.
    fn default() -> Self {
        Self {
            attempt: Duration::from_secs(3),
            total: Duration::from_secs(8),
            first_pause: Duration::from_millis(50),
            longest_pause: Duration::from_secs(1),
        }
    }
}

impl Patience {
    /// The same, but not longer than this altogether.
    #[must_use]
    pub fn within(self, total: Duration) -> Self {
        Self {
            total: total.min(self.total),
            attempt: total.min(self.attempt),
            ..self
        }
    }
}

/// Asks until the answer is final or the patience ends.
///
/// # Errors
/// The last [`Answer`], if it is none that was asked for.
pub async fn call<T, F>(patience: Patience, ask: impl FnMut() -> F) -> Result<T, Answer>
where
    F: Future<Output = kube::Result<T>>,
{
    Call::begin(patience).ask(ask).await
}

/// Requests for one purpose, which share their patience.
#[derive(Debug)]
pub struct Call {
    patience: Patience,
    deadline: Instant,
    uncertain: bool,
    retries: u64,
}

impl Call {
    /// Begins now.
    pub fn begin(patience: Patience) -> Self {
        Self {
            patience,
            deadline: Instant::now() + patience.total,
            uncertain: false,
            retries: 0,
        }
    }

    /// Whether a request may have taken effect though its answer did not come.
    pub fn uncertain(&self) -> bool {
        self.uncertain
    }

    /// How many requests were repetitions.
    pub fn retries(&self) -> u64 {
        self.retries
    }

    /// Asks for something that changes something, until the answer is final or there is no time for
    /// another attempt. Asks once at least.
    ///
    /// # Errors
    /// The last [`Answer`]. Where [`Self::uncertain`] says so, an earlier request may have taken
    /// effect, whatever the last answer says.
    pub async fn ask<T, F>(&mut self, ask: impl FnMut() -> F) -> Result<T, Answer>
    where
        F: Future<Output = kube::Result<T>>,
    {
        self.repeat(ask, true).await
    }

    /// The same for something that only looks: nothing becomes uncertain by it.
    ///
    /// # Errors
    /// The last [`Answer`].
    pub async fn look<T, F>(&mut self, ask: impl FnMut() -> F) -> Result<T, Answer>
    where
        F: Future<Output = kube::Result<T>>,
    {
        self.repeat(ask, false).await
    }

    async fn repeat<T, F>(&mut self, mut ask: impl FnMut() -> F, changes: bool) -> Result<T, Answer>
    where
        F: Future<Output = kube::Result<T>>,
    {
        let mut pause = self.patience.first_pause;
        loop {
            let answer = match self.once(ask()).await {
                Ok(value) => return Ok(value),
                Err(answer) => answer,
            };
            self.uncertain |= changes && matches!(answer, Answer::Uncertain { .. });
            if !answer.is_passing() {
                return Err(answer);
            }
            let wait = answer.retry_after().unwrap_or_default().max(pause);
            if wait >= self.left() {
                return Err(answer);
            }
            tracing::debug!("{answer}; asking again in {} ms", wait.as_millis());
            sleep(wait).await;
            pause = (pause * 2).min(self.patience.longest_pause);
            self.retries += 1;
        }
    }

    async fn once<T>(&self, asked: impl Future<Output = kube::Result<T>>) -> Result<T, Answer> {
        let time = self.patience.attempt.min(self.left());
        match timeout(time, asked).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(Answer::of(&error)),
            Err(_) => Err(Answer::too_late(time)),
        }
    }

    fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }
}
