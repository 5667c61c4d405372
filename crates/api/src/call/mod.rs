//! Calls to an API server: timeouts, retries and the classification of errors.
//!
//! Everything here runs on tokio's time, so tests can pause it; nothing is random, so runs repeat.
//! `backon` and tower's `retry` repeat one request; here several share a limit, and remember whether one
//! of them may have taken effect.
//!
//! # Expected flow
//! 1. [`client`] makes the client. kube's own repeats throttled requests by itself, for hours and
//!    with random delays; this one leaves retries to this module.
//! 2. [`call`] retries until a response is final or the [`RetryPolicy`] is exhausted. The result is
//!    `Ok`, or an [`ApiError`] with the meaning of the failure.
//! 3. Several requests for one purpose share an [`ApiCall`]: it limits their total time, and
//!    remembers whether one of them may have taken effect without a response.
//!
//! ```
//! # async fn exists(pods: kube::Api<k8s_openapi::api::core::v1::Pod>) -> Option<bool> {
//! use nadmit_api::call::{ApiError, RetryPolicy, call};
//!
//! match call(RetryPolicy::default(), || pods.get("db-0")).await {
//!     Ok(_) => Some(true),
//!     Err(ApiError::NotFound(_)) => Some(false),
//!     // Forbidden, throttled until the end, unreachable: nothing is known.
//!     Err(_) => None,
//! }
//! # }
//! ```
//!
//! # Requests that may be repeated
//! A request must be idempotent. A read is. A create under a fixed name is: the second one fails
//! with
//! [`ApiError::AlreadyExists`], and a read shows whose object it is. An update or delete with a
//! `resourceVersion` is: the second one fails with [`ApiError::Conflict`] or
//! [`ApiError::NotFound`].

mod client;
mod error;
#[cfg(test)]
mod tests;

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

pub use self::{client::client, error::ApiError};

/// The limits of retries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// The timeout of one request.
    pub attempt_timeout: Duration,
    /// The timeout of all requests together, including pauses.
    pub total_timeout: Duration,
    /// The pause before the second request; each further pause is twice as long.
    pub initial_backoff: Duration,
    /// The maximum pause, unless the server asks for more.
    pub max_backoff: Duration,
}

impl Default for RetryPolicy {
    /// Returns limits for requests that a webhook waits for: 8 s in total, 3 s for one request, and
    /// pauses from 50 ms to 1 s. The API server waits 10 s for a webhook.
    fn default() -> Self {
        Self {
            attempt_timeout: Duration::from_secs(3),
            total_timeout: Duration::from_secs(8),
            initial_backoff: Duration::from_millis(50),
            max_backoff: Duration::from_secs(1),
        }
    }
}

impl RetryPolicy {
    /// Returns these limits with at most this total.
    #[must_use]
    pub fn within(self, total: Duration) -> Self {
        Self {
            total_timeout: total.min(self.total_timeout),
            attempt_timeout: total.min(self.attempt_timeout),
            ..self
        }
    }
}

/// Sends a request that changes something, with retries until its result is final or time is up.
///
/// # Errors
/// The last [`ApiError`].
pub async fn call<T, F>(policy: RetryPolicy, send: impl FnMut() -> F) -> Result<T, ApiError>
where
    F: Future<Output = kube::Result<T>>,
{
    ApiCall::begin(policy).write(send).await
}

/// Requests for one purpose, which share the limits of their retries.
#[derive(Debug)]
pub struct ApiCall {
    policy: RetryPolicy,
    deadline: Instant,
    uncertain: bool,
    retries: u64,
}

impl ApiCall {
    /// Starts a call; its total timeout begins now.
    pub fn begin(policy: RetryPolicy) -> Self {
        Self {
            policy,
            deadline: Instant::now() + policy.total_timeout,
            uncertain: false,
            retries: 0,
        }
    }

    /// Returns true if a request may have taken effect without a response.
    pub fn uncertain(&self) -> bool {
        self.uncertain
    }

    /// Returns the number of retries.
    pub fn retries(&self) -> u64 {
        self.retries
    }

    /// Sends a request that changes something, with retries until its result is final or there is
    /// no time for another. Sends it at least once.
    ///
    /// # Errors
    /// The last [`ApiError`]. If [`Self::uncertain`] returns true, an earlier request may have
    /// taken effect, whatever the last error is.
    pub async fn write<T, F>(&mut self, send: impl FnMut() -> F) -> Result<T, ApiError>
    where
        F: Future<Output = kube::Result<T>>,
    {
        self.repeat(send, true).await
    }

    /// Sends a read, with retries like [`Self::write`]. A read never makes the call uncertain.
    ///
    /// # Errors
    /// The last [`ApiError`].
    pub async fn read<T, F>(&mut self, send: impl FnMut() -> F) -> Result<T, ApiError>
    where
        F: Future<Output = kube::Result<T>>,
    {
        self.repeat(send, false).await
    }

    async fn repeat<T, F>(
        &mut self,
        mut send: impl FnMut() -> F,
        changes: bool,
    ) -> Result<T, ApiError>
    where
        F: Future<Output = kube::Result<T>>,
    {
        let mut pause = self.policy.initial_backoff;
        loop {
            let error = match self.once(send()).await {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            self.uncertain |= changes && matches!(error, ApiError::Uncertain { .. });
            if !error.is_transient() {
                return Err(error);
            }
            let wait = error.retry_after().unwrap_or_default().max(pause);
            if wait >= self.remaining() {
                return Err(error);
            }
            tracing::debug!(%error, delay = ?wait, "retrying an API call");
            sleep(wait).await;
            pause = (pause * 2).min(self.policy.max_backoff);
            self.retries += 1;
        }
    }

    async fn once<T>(
        &self,
        response: impl Future<Output = kube::Result<T>>,
    ) -> Result<T, ApiError> {
        let time = self.policy.attempt_timeout.min(self.remaining());
        match timeout(time, response).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(ApiError::from_kube(&error)),
            Err(_) => Err(ApiError::timed_out(time)),
        }
    }

    fn remaining(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }
}
