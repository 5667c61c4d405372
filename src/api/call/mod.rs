//! Calls to an API server: how long to try, what an answer means, when to ask again.
//!
//! Everything here runs in tokio's time, so a test may pause it; nothing is random, so a run
//! repeats.
//!
//! # Expected flow
//! 1. [`client`] makes the client. That of kube repeats what was refused by itself, for hours and at
//!    random; this one asks once, and leaves the rest to this room.
//! 2. [`call`] asks until there is an answer that repeating cannot change, or [`RetryPolicy`] ends. The
//!    answer is then `Ok`, or an [`ApiError`] that says what it means.
//! 3. Who makes several requests for one purpose takes a [`ApiCall`]: they share its patience, and it
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
//! told [`ApiError::AlreadyExists`], and a look shows whose it is. An update or delete under a
//! `resourceVersion` does: the second is told [`ApiError::Conflict`] or [`ApiError::NotFound`].

mod client;
mod error;
#[cfg(test)]
mod tests;

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

pub use self::{
    client::{client, keep_retry_after},
    error::ApiError,
};

/// How long to try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// How long one request may take.
    pub attempt: Duration,
    /// How long all of them may take together, with the pauses.
    pub total: Duration,
    /// The pause before the second; each further one is twice as long.
    pub initial_backoff: Duration,
    /// The longest pause, unless the server asks for more.
    pub max_backoff: Duration,
}

impl Default for RetryPolicy {
    /// For what somebody waits for: 8 s, of which a request may take 3, and pauses from 50 ms to 1 s.
    /// A webhook's answer is waited for 10 s.
    fn default() -> Self {
        Self {
            attempt: Duration::from_secs(3),
            total: Duration::from_secs(8),
            initial_backoff: Duration::from_millis(50),
            max_backoff: Duration::from_secs(1),
        }
    }
}

impl RetryPolicy {
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
/// The last [`ApiError`], if it is none that was asked for.
pub async fn call<T, F>(policy: RetryPolicy, ask: impl FnMut() -> F) -> Result<T, ApiError>
where
    F: Future<Output = kube::Result<T>>,
{
    ApiCall::begin(policy).write(ask).await
}

/// Requests for one purpose, which share their patience.
#[derive(Debug)]
pub struct ApiCall {
    policy: RetryPolicy,
    deadline: Instant,
    uncertain: bool,
    retries: u64,
}

impl ApiCall {
    /// Begins now.
    pub fn begin(policy: RetryPolicy) -> Self {
        Self {
            policy,
            deadline: Instant::now() + policy.total,
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
    /// The last [`ApiError`]. Where [`Self::uncertain`] says so, an earlier request may have taken
    /// effect, whatever the last answer says.
    pub async fn write<T, F>(&mut self, ask: impl FnMut() -> F) -> Result<T, ApiError>
    where
        F: Future<Output = kube::Result<T>>,
    {
        self.repeat(ask, true).await
    }

    /// The same for something that only looks: nothing becomes uncertain by it.
    ///
    /// # Errors
    /// The last [`ApiError`].
    pub async fn read<T, F>(&mut self, ask: impl FnMut() -> F) -> Result<T, ApiError>
    where
        F: Future<Output = kube::Result<T>>,
    {
        self.repeat(ask, false).await
    }

    async fn repeat<T, F>(
        &mut self,
        mut ask: impl FnMut() -> F,
        changes: bool,
    ) -> Result<T, ApiError>
    where
        F: Future<Output = kube::Result<T>>,
    {
        let mut pause = self.policy.initial_backoff;
        loop {
            let answer = match self.once(ask()).await {
                Ok(value) => return Ok(value),
                Err(answer) => answer,
            };
            self.uncertain |= changes && matches!(answer, ApiError::Uncertain { .. });
            if !answer.is_transient() {
                return Err(answer);
            }
            let wait = answer.retry_after().unwrap_or_default().max(pause);
            if wait >= self.remaining() {
                return Err(answer);
            }
            tracing::debug!("{answer}; asking again in {} ms", wait.as_millis());
            sleep(wait).await;
            pause = (pause * 2).min(self.policy.max_backoff);
            self.retries += 1;
        }
    }

    async fn once<T>(&self, asked: impl Future<Output = kube::Result<T>>) -> Result<T, ApiError> {
        let time = self.policy.attempt.min(self.remaining());
        match timeout(time, asked).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(ApiError::of(&error)),
            Err(_) => Err(ApiError::timed_out(time)),
        }
    }

    fn remaining(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }
}
