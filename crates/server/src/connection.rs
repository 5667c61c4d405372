//! Serves one connection, from the first byte to the last.

use std::{
    any::Any, convert::Infallible, panic::AssertUnwindSafe, pin::pin, sync::Arc, time::Duration,
};

use axum::{Router, body::Body, response::Response};
use futures_util::FutureExt;
use http::{HeaderValue, Request, Version, header};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use jiff::Timestamp;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::Notify,
    time::timeout,
};
use tower::Service;

use super::{
    budget::Budget,
    connections::Connection,
    idle_timeout::{ConnectionState, ConnectionTimeouts, IdleTimeout},
    lifecycle::Lifecycle,
    log,
    metrics::Metrics,
    options::Limits,
    quota::QuotaGuard,
    reject::{Reject, RejectReason},
    tls::Protocol,
};
use nadmit_host::clock::Clock;

/// Size of the read buffer, and so the maximum size of an HTTP/1 request head, in bytes. The API
/// server's heads have a few hundred bytes.
const MAX_READ_BUFFER: usize = 64 << 10;
/// Maximum size of an HTTP/2 header list, uncompressed, in bytes.
const MAX_HEADER_LIST: u32 = 16 << 10;
/// Memory accounted for a request in addition to its head, in bytes.
const REQUEST_OVERHEAD: usize = 1 << 10;
/// Maximum time a request waits for that memory.
const MEMORY_TIMEOUT: Duration = Duration::from_secs(2);
/// HTTP/2 flow-control window of one stream, in bytes.
const STREAM_WINDOW: u32 = 64 << 10;
const CONNECTION_WINDOW: u32 = 128 << 10;
/// Maximum number of unsent response bytes of one HTTP/2 stream.
const SEND_BUFFER: usize = 64 << 10;
/// Interval of HTTP/2 pings.
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// Serves the connections of one listener.
pub(super) struct ConnectionHandler {
    router: Router,
    limits: Limits,
    lifecycle: Lifecycle,
    metrics: Arc<Metrics>,
    budget: Arc<Budget>,
    clock: Clock,
    http1: auto::Builder<TokioExecutor>,
    http2: auto::Builder<TokioExecutor>,
}

/// State shared by the requests of one connection.
struct ConnectionContext {
    handler: Arc<ConnectionHandler>,
    connection: Arc<Connection>,
    protocol: Protocol,
    state: Arc<ConnectionState>,
    /// Notified when an HTTP/2 client should reconnect after a response.
    answered: Notify,
}

impl ConnectionHandler {
    pub(super) fn new(
        router: Router,
        limits: Limits,
        lifecycle: Lifecycle,
        metrics: Arc<Metrics>,
        budget: Arc<Budget>,
        clock: Clock,
    ) -> Self {
        let builder = builder(&limits);
        Self {
            router,
            limits,
            lifecycle,
            metrics,
            budget,
            clock,
            http1: builder.clone().http1_only(),
            http2: builder.http2_only(),
        }
    }

    /// Serves one connection until the peer closes it, a timeout expires, it is evicted, or the
    /// server shuts down.
    pub(super) async fn serve<S>(
        self: Arc<Self>,
        stream: S,
        protocol: Protocol,
        connection: Arc<Connection>,
    ) where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let state = Arc::<ConnectionState>::default();
        let timeouts = ConnectionTimeouts {
            first: self.limits.first_request,
            idle: self.limits.idle,
            head: (protocol == Protocol::Http1).then_some(self.limits.header),
        };
        let stream = TokioIo::new(IdleTimeout::new(stream, state.clone(), timeouts));
        let context = Arc::new(ConnectionContext {
            handler: self.clone(),
            connection: connection.clone(),
            protocol,
            state,
            answered: Notify::new(),
        });
        let builder = match protocol {
            Protocol::Http1 => &self.http1,
            Protocol::Http2 => &self.http2,
        };
        let service = {
            let context = context.clone();
            service_fn(move |request| context.clone().answer(request))
        };
        let mut serving = pin!(builder.serve_connection(stream, service));
        let outcome = tokio::select! {
            outcome = serving.as_mut() => outcome,
            () = context.drain_signal() => {
                serving.as_mut().graceful_shutdown();
                tokio::select! {
                    outcome = serving => outcome,
                    () = connection.eviction_requested() => Ok(()),
                    () = self.lifecycle.ended.cancelled() => Ok(()),
                }
            }
            () = connection.eviction_requested() => {
                serving.as_mut().graceful_shutdown();
                tokio::select! {
                    outcome = serving => outcome,
                    () = connection.quiesced() => Ok(()),
                    () = self.lifecycle.ended.cancelled() => Ok(()),
                }
            }
        };
        if let Err(error) = outcome {
            tracing::debug!(error = %error, "connection failed");
        }
    }
}

impl ConnectionContext {
    /// Serves one request. A panic fails the request, not the process.
    async fn answer(
        self: Arc<Self>,
        mut request: Request<Incoming>,
    ) -> Result<Response, Infallible> {
        let version = request.version();
        let _active_request = self.connection.begin_request();
        let _guard = match self.protocol {
            Protocol::Http1 => Some(self.state.begin_request()),
            Protocol::Http2 => {
                self.state.begin_http2();
                None
            }
        };
        let Some(_head) = self.reserve_memory(size(&request)).await else {
            return Ok(self.handler.crowded(version));
        };
        request.extensions_mut().insert(self.connection.clone());
        let mut router = self.handler.router.clone();
        let answer = AssertUnwindSafe(async move { router.call(request).await });
        let mut response = match answer.catch_unwind().await {
            Ok(Ok(response)) => response,
            Err(panic) => self.handler.panicked(version, &*panic),
        };
        if let Some(date) = date(self.handler.clock.now()) {
            response.headers_mut().insert(header::DATE, date);
        }
        if self.handler.lifecycle.is_draining() || !self.handler.limits.keep_alive {
            self.announce_close(version, &mut response);
        }
        Ok(response)
    }

    /// Reserves the memory of a request without its body; `None` on timeout.
    async fn reserve_memory(&self, bytes: usize) -> Option<QuotaGuard> {
        let ConnectionHandler { budget, limits, .. } = &*self.handler;
        let at_once = budget.try_take(self.connection.id, bytes);
        if at_once.is_some() {
            return at_once;
        }
        let _pending_body = self.connection.begin_body();
        let limit = MEMORY_TIMEOUT.min(limits.body);
        timeout(limit, budget.take(&self.connection, bytes))
            .await
            .ok()
    }

    /// Asks the client to open a new connection for its next request.
    fn announce_close(&self, version: Version, response: &mut Response<Body>) {
        if version == Version::HTTP_2 {
            self.answered.notify_one();
        } else {
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(header::CONNECTION, close);
        }
    }

    /// Completes when the connection should shut down gracefully.
    ///
    /// HTTP/1 can only announce this with a response; closing an idle connection could cut off a
    /// request that is already on its way, so HTTP/1 waits for the end of the grace period. HTTP/2
    /// announces it out of band (GOAWAY), but not before a first request that may be on its way.
    async fn drain_signal(&self) {
        let lifecycle = &self.handler.lifecycle;
        if self.protocol == Protocol::Http1 {
            return lifecycle.closing.cancelled().await;
        }
        lifecycle.draining.cancelled().await;
        if self.state.is_unused() {
            tokio::select! {
                () = self.answered.notified() => {}
                () = lifecycle.closing.cancelled() => {}
            }
        }
    }
}

/// Returns the memory accounted for a request without its body, in bytes.
fn size(request: &Request<Incoming>) -> usize {
    let headers = request.headers().iter();
    let headers = headers.map(|(name, value)| name.as_str().len() + value.len());
    REQUEST_OVERHEAD + request.uri().path().len() + headers.sum::<usize>()
}

impl ConnectionHandler {
    fn crowded(&self, version: Version) -> Response {
        self.metrics.rejected(RejectReason::Crowded);
        let sentence = "too many requests are in progress on this connection, or on all; try again";
        Reject::new(RejectReason::Crowded, sentence).response(version != Version::HTTP_2)
    }

    fn panicked(&self, version: Version, panic: &(dyn Any + Send)) -> Response {
        log::panicked(panic);
        self.metrics.rejected(RejectReason::Panic);
        let sentence = "nadmit failed to answer this request; see the log of nadmit";
        Reject::new(RejectReason::Panic, sentence).response(version != Version::HTTP_2)
    }
}

/// Returns the `Date` header (RFC 9110, 6.6.1); `None` for times before 1970 or after 9999, which
/// it cannot represent. hyper's own `Date` header panics for those and closes the connection.
fn date(now: Timestamp) -> Option<HeaderValue> {
    const BEYOND: i64 = 253_402_300_800;
    let is_expressible = (0..BEYOND).contains(&now.as_second());
    let text = is_expressible.then(|| httpdate::fmt_http_date(now.into()))?;
    HeaderValue::try_from(text).ok()
}

fn builder(limits: &Limits) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .auto_date_header(false)
        // The stream keeps the timeouts: see `idle_timeout`.
        .header_read_timeout(None)
        .keep_alive(limits.keep_alive)
        .max_buf_size(MAX_READ_BUFFER);
    builder
        .http2()
        .auto_date_header(false)
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams)
        .max_header_list_size(MAX_HEADER_LIST)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT);
    builder
}
