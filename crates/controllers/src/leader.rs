//! Leader election by a Lease.
//!
//! The leader alone does what must be done once for all replicas: release addresses, write status, run
//! the scheduled resync. Correctness does not depend on there being a single leader: every write names
//! the version it was decided on, so two leaders would do work twice and no harm.
//!
//! The rules are client-go's. The holder renews the Lease every few seconds, under the version of its
//! last write. A replica that sees it unchanged for the Lease's whole duration, by its own monotonic
//! clock, takes it over. The holder stops leading before that: it counts from the moment at which it
//! sent the last successful renewal. No decision uses a wall clock, so clocks may differ by any amount;
//! the times in the object are informational.
//!
//! The crate `kube-lease-manager` (0.13) and kubert's `lease` compare the wall clocks of both replicas, so
//! neither can run in tokio's paused time; the former also waits for random times of its own.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::MicroTime,
};
use kube::{
    Client,
    api::{Api, ObjectMeta, PostParams},
};
use prometheus_client::{metrics::gauge::Gauge, registry::Registry};
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout, timeout_at},
};
use tokio_util::sync::CancellationToken;

use nadmit_api::call::ApiError;
use nadmit_host::clock::Clock;

/// The Lease and its timing.
#[derive(Debug, Clone)]
pub struct LeaseOptions {
    /// nadmit's own namespace.
    pub namespace: String,
    /// The name of the Lease.
    pub name: String,
    /// The identity of this process, unique among all: the pod's name and a random suffix, because a
    /// container may be restarted in its pod.
    pub identity: String,
    /// The time for which other replicas leave the Lease alone after its last write.
    pub lease_duration: Duration,
    /// The time for which a replica leads after it sent its last successful renewal; less than
    /// `lease_duration`.
    pub renew_deadline: Duration,
    /// The interval at which the Lease is renewed, or read by the other replicas.
    pub retry_period: Duration,
    /// The timeout of one attempt.
    pub request_timeout: Duration,
}

impl LeaseOptions {
    /// Returns the default options: the Lease `nadmit`, 15 s, 10 s, every 2 s, 3 s.
    pub fn new(namespace: impl Into<String>, identity: impl Into<String>) -> Self {
        Self {
            namespace: namespace.into(),
            name: "nadmit".to_owned(),
            identity: identity.into(),
            lease_duration: Duration::from_secs(15),
            renew_deadline: Duration::from_secs(10),
            retry_period: Duration::from_secs(2),
            request_timeout: Duration::from_secs(3),
        }
    }
}

/// Elects the leader among the replicas.
///
/// # Guarantees
/// - While the API server answers, some replica leads; never two at a time, as long as their clocks
///   run equally fast.
/// - A replica that cannot renew the Lease in time stops leading, whatever the API server does.
/// - On shutdown the Lease is released, and another replica leads at its next attempt.
///
/// It needs `get`, `create` and `update` on `leases.coordination.k8s.io` in its namespace.
pub struct LeaderElector {
    api: Api<Lease>,
    options: LeaseOptions,
    clock: Clock,
    is_leader: watch::Sender<bool>,
    is_leader_gauge: Gauge,
    /// The time until which this replica leads.
    lease_deadline: Option<Instant>,
    /// The Lease as this replica last wrote it.
    held_lease: Option<Lease>,
    /// The last observed version of another holder's Lease, and since when it has been observed.
    observed_lease: Option<(String, Instant)>,
    last_error: Option<ApiError>,
}

impl LeaderElector {
    /// Creates an elector; sends no request. The client must not retry by itself, as those
    /// built by [`nadmit_api::call::client`] do not.
    pub fn new(client: Client, options: LeaseOptions, clock: Clock) -> Self {
        Self {
            api: Api::namespaced(client, &options.namespace),
            options,
            clock,
            is_leader: watch::Sender::new(false),
            is_leader_gauge: Gauge::default(),
            lease_deadline: None,
            held_lease: None,
            observed_lease: None,
            last_error: None,
        }
    }

    /// Returns a receiver that tracks whether this replica leads.
    pub fn is_leader(&self) -> watch::Receiver<bool> {
        self.is_leader.subscribe()
    }

    /// Registers a gauge of whether this replica leads.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "leader",
            "1 if this replica is the leader, which releases, adopts and writes status for all",
            self.is_leader_gauge.clone(),
        );
    }

    /// Competes for the Lease until `cancel`, then releases it.
    pub async fn run(mut self, cancel: CancellationToken) {
        loop {
            tokio::select! {
                biased;
                () = cancel.cancelled() => break,
                () = self.renew_or_acquire() => {}
            }
            let now = Instant::now();
            let left = self
                .lease_deadline
                .map(|lease_deadline| lease_deadline.duration_since(now));
            let pause = left.map_or(self.options.retry_period, |left| {
                left.min(self.options.retry_period)
            });
            tokio::select! {
                biased;
                () = cancel.cancelled() => break,
                () = sleep(pause) => {}
            }
        }
        self.stop_leading("shutdown");
        // Even if it did not lead: a request that acquires the Lease may be in flight.
        let error = match timeout(self.options.request_timeout, self.release()).await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error,
            Err(_) => ApiError::timed_out(self.options.request_timeout),
        };
        tracing::warn!(%error, "releasing the lease failed");
    }

    /// Makes one attempt, within the time that is left.
    async fn renew_or_acquire(&mut self) {
        let sent = Instant::now();
        let limit = sent + self.options.request_timeout;
        let limit = self
            .lease_deadline
            .map_or(limit, |lease_deadline| lease_deadline.min(limit));
        match timeout_at(limit, self.attempt()).await {
            Ok(Ok(true)) => self.start_leading(sent + self.options.renew_deadline),
            Ok(Ok(false)) => self.stop_leading("another replica holds the lease"),
            Ok(Err(error)) => self.warn_once(error),
            Err(_) => self.warn_once(ApiError::timed_out(self.options.request_timeout)),
        }
        if self
            .lease_deadline
            .is_some_and(|lease_deadline| lease_deadline <= Instant::now())
        {
            self.stop_leading("the lease could not be renewed in time");
        }
    }

    /// Renews the Lease, or acquires it if possible. Returns true if this replica holds it then.
    async fn attempt(&mut self) -> Result<bool, ApiError> {
        if let Some(held_lease) = self.held_lease.take() {
            match self.update(held_lease).await {
                Ok(()) => return Ok(true),
                // An earlier renewal took effect without a response, or another replica holds it.
                Err(ApiError::Conflict(_) | ApiError::NotFound(_)) => {}
                Err(error) => return Err(error),
            }
        }
        let found = match self.api.get(&self.options.name).await {
            Ok(found) => found,
            Err(error) => match ApiError::from_kube(&error) {
                ApiError::NotFound(_) => return self.create().await,
                error => return Err(error),
            },
        };
        if !self.can_acquire(&found) {
            return Ok(false);
        }
        match self.update(found).await {
            Ok(()) => Ok(true),
            // Another replica was faster.
            Err(ApiError::Conflict(_) | ApiError::NotFound(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Returns true if the Lease has no holder, this replica holds it, or its holder let it expire.
    fn can_acquire(&mut self, found: &Lease) -> bool {
        let spec = found.spec.as_ref();
        let holder = spec.and_then(|spec| spec.holder_identity.as_deref());
        if holder.is_none_or(|holder| holder.is_empty() || holder == self.options.identity) {
            return true;
        }
        let seconds = spec.and_then(|spec| spec.lease_duration_seconds);
        let theirs = Duration::from_secs(seconds.and_then(|s| s.try_into().ok()).unwrap_or(0));
        let now = Instant::now();
        // Any write shows that the holder is alive, whatever time it carries.
        let version = found.metadata.resource_version.clone().unwrap_or_default();
        match &self.observed_lease {
            Some((observed_lease, since)) if *observed_lease == version => {
                now.duration_since(*since) >= self.options.lease_duration.max(theirs)
            }
            _ => {
                self.observed_lease = Some((version, now));
                false
            }
        }
    }

    async fn create(&mut self) -> Result<bool, ApiError> {
        let lease = Lease {
            metadata: ObjectMeta {
                name: Some(self.options.name.clone()),
                namespace: Some(self.options.namespace.clone()),
                ..ObjectMeta::default()
            },
            spec: None,
        };
        let lease = self.as_holder(lease);
        match self.api.create(&params(), &lease).await {
            Ok(made) => {
                self.held_lease = Some(made);
                Ok(true)
            }
            Err(error) => match ApiError::from_kube(&error) {
                ApiError::AlreadyExists(_) => Ok(false),
                error => Err(error),
            },
        }
    }

    /// Writes this replica and the time into a Lease, under the version it has.
    async fn update(&mut self, lease: Lease) -> Result<(), ApiError> {
        let lease = self.as_holder(lease);
        let params = params();
        let written = self.api.replace(&self.options.name, &params, &lease).await;
        self.held_lease = Some(written.map_err(|error| ApiError::from_kube(&error))?);
        Ok(())
    }

    fn as_holder(&self, mut lease: Lease) -> Lease {
        let before = lease.spec.take().unwrap_or_default();
        let holder = before.holder_identity.as_deref();
        let same = holder == Some(&*self.options.identity);
        let now = Some(distinct_time(self.clock.now(), before.renew_time.as_ref()));
        let transitions = before.lease_transitions.unwrap_or(0);
        let seconds = i32::try_from(self.options.lease_duration.as_secs()).unwrap_or(i32::MAX);
        lease.spec = Some(LeaseSpec {
            acquire_time: before.acquire_time.filter(|_| same).or(now.clone()),
            renew_time: now,
            holder_identity: Some(self.options.identity.clone()),
            lease_duration_seconds: Some(seconds),
            lease_transitions: Some(transitions.saturating_add(i32::from(!same))),
            ..before
        });
        lease
    }

    /// Clears the holder of the Lease, if this replica holds it.
    async fn release(&mut self) -> Result<(), ApiError> {
        // A renewal may be in flight: the second read sees what it wrote.
        let mut tries = 2;
        loop {
            let found = self.api.get(&self.options.name).await;
            let mut found = found.map_err(|error| ApiError::from_kube(&error))?;
            let spec = found.spec.get_or_insert_default();
            if spec.holder_identity.as_deref() != Some(&*self.options.identity) {
                return Ok(());
            }
            spec.holder_identity = None;
            spec.renew_time = Some(MicroTime(self.clock.now()));
            let params = params();
            let written = self.api.replace(&self.options.name, &params, &found);
            let Err(error) = written.await else {
                return Ok(());
            };
            tries -= 1;
            match ApiError::from_kube(&error) {
                ApiError::Conflict(_) if tries > 0 => {}
                error => return Err(error),
            }
        }
    }

    fn start_leading(&mut self, lease_deadline: Instant) {
        self.lease_deadline = Some(lease_deadline);
        self.last_error = None;
        self.is_leader_gauge.set(1);
        if !self.is_leader.send_replace(true) {
            tracing::info!(identity = self.options.identity, "became leader");
        }
    }

    fn stop_leading(&mut self, why: &str) {
        self.lease_deadline = None;
        self.is_leader_gauge.set(0);
        if self.is_leader.send_replace(false) {
            tracing::warn!(
                identity = self.options.identity,
                reason = why,
                "lost leadership"
            );
        }
    }

    /// Logs an error, unless it is the same as the last.
    fn warn_once(&mut self, error: ApiError) {
        if self.last_error.as_ref() != Some(&error) {
            let (namespace, name) = (&self.options.namespace, &self.options.name);
            tracing::warn!(
                namespace,
                lease = name,
                %error,
                "renewing or acquiring the lease failed"
            );
            self.last_error = Some(error);
        }
    }
}

/// Returns the time, or a microsecond later if the Lease has it already: a write that changes nothing
/// gets no new version, and other replicas would take that for a missing renewal.
fn distinct_time(now: Timestamp, before: Option<&MicroTime>) -> MicroTime {
    let same = before.is_some_and(|before| before.0.as_microsecond() == now.as_microsecond());
    let later = now.checked_add(SignedDuration::from_micros(1));
    MicroTime(if same { later.unwrap_or(now) } else { now })
}

fn params() -> PostParams {
    PostParams {
        dry_run: false,
        field_manager: Some("nadmit".to_owned()),
    }
}
