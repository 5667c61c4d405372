//! Binds, runs and drains a server.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use axum::Router;
use jiff::Timestamp;
use tokio::{
    net::TcpListener,
    sync::Notify,
    time::{sleep, timeout},
};
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use super::{
    ServeError, ServeOptions, SharedState, Shutdown, admin,
    budget::Budget,
    connection::ConnectionHandler,
    connections::Connections,
    lifecycle::Lifecycle,
    listener::{Listener, TlsHandshake},
    metrics::Metrics,
    options::Limits,
    review::Reviewer,
    review_planner::DecideFn,
    routes,
    tls::{self, Reloader},
};
use nadmit_admission as admission;
use nadmit_host::clock::Clock;

/// Maximum number of open connections of the admin listener.
const ADMIN_CONNECTIONS: usize = 64;
/// Memory budget of their requests, in bytes.
const ADMIN_BYTES: usize = 8 << 20;
/// Timeouts for the first request and for a request's head on the admin listener.
const ADMIN_HEADER_TIMEOUT: Duration = Duration::from_secs(5);
/// Time that a client of the admin listener has to read a response.
const ADMIN_RESPONSE_TIMEOUT: Duration = Duration::from_secs(10);
/// Time for tasks to end after connections were dropped.
const ABORT_TIMEOUT: Duration = Duration::from_secs(1);

/// A server that is bound to its addresses with its certificate loaded, but accepts no connections
/// yet.
pub struct Server {
    webhooks: Listener,
    admin: Option<Listener>,
    reloader: Reloader,
    reload_interval: Duration,
    reload: Arc<Notify>,
    limits: Limits,
    lifecycle: Lifecycle,
    admin_lifecycle: Lifecycle,
}

/// Binds and serves until `shutdown` is triggered.
///
/// # Errors
/// Fails if an address or a certificate cannot be used, before anything is served.
pub async fn serve(
    options: ServeOptions,
    state: SharedState,
    shutdown: Shutdown,
) -> Result<(), ServeError> {
    Server::bind(options, state).await?.run(shutdown).await;
    Ok(())
}

/// Returns the routes of the two webhooks without a listener, for callers such as a simulation that
/// transport requests themselves.
pub fn webhook_routes(state: SharedState, limits: Limits, clock: Clock) -> Router {
    let budget = Budget::new(
        limits.bodies_bytes,
        Connections::new(limits.connections),
        state.metrics.clone(),
    );
    let reviewer = Reviewer::new(state, limits, Arc::new(budget), admission::decide, clock);
    routes::webhooks(Arc::new(reviewer))
}

impl Server {
    /// Loads the certificate, creating one if configured, and binds the addresses.
    ///
    /// # Errors
    /// Fails if one of them cannot be used; the error names the flag or file.
    pub async fn bind(options: ServeOptions, state: SharedState) -> Result<Self, ServeError> {
        Self::bind_with(options, state, admission::decide).await
    }

    /// Binds a server with other webhook routes, such as a no-op handler to benchmark against.
    ///
    /// # Errors
    /// Fails like [`Self::bind`].
    pub async fn bind_routes(
        options: ServeOptions,
        state: SharedState,
        routes: Router,
    ) -> Result<Self, ServeError> {
        Self::bind_all(options, state, admission::decide, |_| routes).await
    }

    pub(super) async fn bind_with(
        options: ServeOptions,
        state: SharedState,
        decide: DecideFn,
    ) -> Result<Self, ServeError> {
        Self::bind_all(options, state, decide, routes::webhooks).await
    }

    async fn bind_all(
        options: ServeOptions,
        state: SharedState,
        decide: DecideFn,
        routes: impl FnOnce(Arc<Reviewer>) -> Router,
    ) -> Result<Self, ServeError> {
        let now = options.clock.now();
        if now < Timestamp::UNIX_EPOCH {
            return Err(ServeError::Clock { now });
        }
        let limits = options.limits;
        let metrics = state.metrics.clone();
        let (acceptor, reloader) = tls::open(
            &options.certificates,
            &options.tls,
            options.clock.clone(),
            metrics.clone(),
        )?;
        let socket = bind("--listen", options.listen).await?;
        let admin_socket = match options.admin_listen {
            Some(address) => Some(bind("--admin-listen", address).await?),
            None => None,
        };
        let clock = options.clock;
        let resources = ListenerResources::new(&limits, &metrics, &clock);
        let budget = resources.budget.clone();
        let reviewer = Reviewer::new(state, limits.clone(), budget, decide, clock.clone());
        let reviewer = Arc::new(reviewer);
        let (lifecycle, admin_lifecycle) = (Lifecycle::default(), Lifecycle::default());
        let admin = admin_socket.map(|socket| {
            let certificate = reloader.resolver();
            let router = admin::routes(reviewer.clone(), lifecycle.clone(), certificate);
            let limits = operator_limits(&limits);
            let resources = ListenerResources::new(&limits, &metrics, &clock);
            resources.listener(socket, router, limits, &admin_lifecycle, None)
        });
        let router = routes(reviewer);
        let tls = Some(TlsHandshake {
            acceptor,
            limit: limits.handshake,
        });
        Ok(Self {
            webhooks: resources.listener(socket, router, limits.clone(), &lifecycle, tls),
            admin,
            reloader,
            reload_interval: options.certificates.reload_interval,
            reload: options.certificates.reload,
            limits,
            lifecycle,
            admin_lifecycle,
        })
    }

    /// Returns the address of the webhooks, with the actual port if 0 was requested.
    ///
    /// # Errors
    /// Fails if the system does not report the address.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.webhooks.socket.local_addr()
    }

    /// Returns the address of the admin listener, if there is one.
    ///
    /// # Errors
    /// Fails if the system does not report the address.
    pub fn admin_address(&self) -> io::Result<Option<SocketAddr>> {
        let admin = self.admin.as_ref();
        admin.map(|admin| admin.socket.local_addr()).transpose()
    }

    /// Serves until `shutdown` is triggered and the requests in progress are finished.
    pub async fn run(self, shutdown: Shutdown) {
        self.log_addresses();
        let (tasks, admin_tasks) = (TaskTracker::new(), TaskTracker::new());
        let reload_end = self.lifecycle.ended.clone();
        tokio::spawn(
            self.reloader
                .run(self.reload_interval, self.reload, reload_end),
        );
        tokio::spawn(self.webhooks.run(tasks.clone()));
        if let Some(admin) = self.admin {
            tokio::spawn(admin.run(admin_tasks));
        }
        shutdown.draining().await;
        tokio::select! {
            () = drain(&self.lifecycle, &self.limits, &tasks) => {}
            () = shutdown.aborted() => warn!("aborted on request"),
        }
        tasks.close();
        self.lifecycle.end();
        self.admin_lifecycle.end();
        let _ = timeout(ABORT_TIMEOUT, tasks.wait()).await;
    }

    fn log_addresses(&self) {
        let admin = self.admin_address().ok().flatten();
        info!(
            listen = self.address().ok().map(tracing::field::display),
            admin_listen = admin.map(tracing::field::display),
            "serving"
        );
    }
}

/// Runs the graceful shutdown.
async fn drain(lifecycle: &Lifecycle, limits: &Limits, tasks: &TaskTracker) {
    info!(grace = ?limits.drain_grace, "draining");
    lifecycle.drain();
    sleep(limits.drain_grace).await;
    lifecycle.close();
    tasks.close();
    if timeout(limits.drain_limit, tasks.wait()).await.is_err() {
        warn!(open = tasks.len(), limit = ?limits.drain_limit, "drain timeout expired; connections closed");
    }
    info!("drained");
}

/// Returns the limits for operator listeners, whose clients send one request per connection.
pub(super) fn operator_limits(limits: &Limits) -> Limits {
    Limits {
        connections: ADMIN_CONNECTIONS,
        bodies_bytes: ADMIN_BYTES,
        first_request: ADMIN_HEADER_TIMEOUT.min(limits.first_request),
        header: ADMIN_HEADER_TIMEOUT.min(limits.header),
        idle: ADMIN_RESPONSE_TIMEOUT.min(limits.idle),
        keep_alive: false,
        ..limits.clone()
    }
}

/// Connection limit, memory budget and metrics of a listener.
pub(super) struct ListenerResources {
    connections: Arc<Connections>,
    budget: Arc<Budget>,
    metrics: Arc<Metrics>,
    clock: Clock,
}

impl ListenerResources {
    pub(super) fn new(limits: &Limits, metrics: &Arc<Metrics>, clock: &Clock) -> Self {
        let connections = Connections::new(limits.connections);
        let budget = Budget::new(limits.bodies_bytes, connections.clone(), metrics.clone());
        Self {
            connections,
            budget: Arc::new(budget),
            metrics: metrics.clone(),
            clock: clock.clone(),
        }
    }

    pub(super) fn listener<S>(
        self,
        socket: S,
        router: Router,
        limits: Limits,
        lifecycle: &Lifecycle,
        tls: Option<TlsHandshake>,
    ) -> Listener<S> {
        let lifecycle = lifecycle.clone();
        let metrics = self.metrics;
        let handler = ConnectionHandler::new(
            router,
            limits,
            lifecycle.clone(),
            metrics.clone(),
            self.budget,
            self.clock,
        );
        Listener {
            socket,
            connections: self.connections,
            handler: Arc::new(handler),
            tls,
            lifecycle,
            metrics,
        }
    }
}

async fn bind(flag: &'static str, address: SocketAddr) -> Result<TcpListener, ServeError> {
    let bound = TcpListener::bind(address).await;
    bound.map_err(|source| ServeError::Listen {
        flag,
        address,
        source,
    })
}
