//! A replica that runs in a test, on the fake API server.

use axum::Router;
use jiff::{SignedDuration, Timestamp};
use kube::Client;
use nadmit::{
    cli::{Replica, ReplicaOptions},
    clock::Clock,
    server::{Limits, webhook_routes},
};
use tokio::{task::JoinHandle, time::Instant};
use tokio_util::sync::CancellationToken;

/// The time at which the clock begins: 2026-01-01.
const BEGIN: i64 = 1_767_225_600;

/// A replica with its webhooks.
pub(crate) struct RunningReplica {
    pub(crate) router: Router,
    pub(crate) tasks: JoinHandle<()>,
    /// Ends the tasks.
    pub(crate) stop: CancellationToken,
}

impl RunningReplica {
    /// Starts a replica.
    pub(crate) fn start(client: Client, options: ReplicaOptions) -> Self {
        let clock = options.clock.clone();
        let replica = Replica::new(client, options);
        let stop = CancellationToken::new();
        Self {
            tasks: tokio::spawn(replica.tasks.run(stop.clone())),
            router: webhook_routes(replica.state, Limits::default(), clock),
            stop,
        }
    }
}

/// Returns a clock that follows the runtime's time, which may be paused.
pub(crate) fn clock_since(began: Instant) -> Clock {
    Clock::new(move || {
        let passed = SignedDuration::try_from(began.elapsed()).unwrap_or_default();
        Timestamp::from_second(BEGIN).unwrap_or_default() + passed
    })
}
