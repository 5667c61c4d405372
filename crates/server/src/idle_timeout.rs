//! Per-connection idle and header-read timeouts.
//!
//! Between requests a connection may be idle for minutes, because the API server keeps connections
//! open on purpose. Once the first byte of a request's head has arrived, the rest must follow
//! within seconds. hyper's own header timeout starts when the previous response was sent and so
//! includes idle time. This stream wrapper keeps the two apart: the idle timeout starts when the
//! connection awaits a request, the header timeout at the first byte that arrives then, and neither
//! runs while a request is being served.
//!
//! The cost is one clock reading per request: the timer is only reset when it fires too early.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep_until},
};

/// Request phase of a connection, shared by its stream and its service. The number is even while a
/// request is awaited and odd while one is being served.
#[derive(Debug, Default)]
pub(super) struct ConnectionState(AtomicUsize);

/// Marks a request as being served until dropped.
pub(super) struct RequestGuard<'a>(&'a ConnectionState);

impl ConnectionState {
    /// Marks the start of an HTTP/1 request. HTTP/1 requests of a connection do not overlap.
    pub(super) fn begin_request(&self) -> RequestGuard<'_> {
        self.0.fetch_add(1, Ordering::Relaxed);
        RequestGuard(self)
    }

    /// Marks the start of an HTTP/2 request. From then on, HTTP/2 pings detect dead peers.
    pub(super) fn begin_http2(&self) {
        self.0.store(1, Ordering::Relaxed);
    }

    /// Returns true if no request has arrived yet.
    pub(super) fn is_unused(&self) -> bool {
        self.phase() == 0
    }

    fn phase(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for RequestGuard<'_> {
    fn drop(&mut self) {
        self.0.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Timeouts of one connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct ConnectionTimeouts {
    /// Time to the first byte of the first request.
    pub(super) first: Duration,
    /// Time to the next request, and time to read a response.
    pub(super) idle: Duration,
    /// Time from the first to the last byte of a request's head; `None` for HTTP/2, where heads
    /// cannot be distinguished from other bytes.
    pub(super) head: Option<Duration>,
}

/// A stream that ends or fails when its peer exceeds a timeout.
pub(super) struct IdleTimeout<S> {
    stream: S,
    state: Arc<ConnectionState>,
    timeouts: ConnectionTimeouts,
    phase: usize,
    in_head: bool,
    deadline: Instant,
    timer: Pin<Box<Sleep>>,
}

/// The timeout that expired.
enum Expired {
    Idle,
    Head,
}

impl<S> IdleTimeout<S> {
    pub(super) fn new(
        stream: S,
        state: Arc<ConnectionState>,
        timeouts: ConnectionTimeouts,
    ) -> Self {
        let deadline = Instant::now() + timeouts.first;
        Self {
            stream,
            phase: state.phase(),
            state,
            timeouts,
            in_head: false,
            deadline,
            timer: Box::pin(sleep_until(deadline)),
        }
    }

    /// Returns true if the connection awaits a request. A new phase restarts the timeout.
    fn is_awaiting_request(&mut self) -> bool {
        let phase = self.state.phase();
        let waiting = phase.is_multiple_of(2);
        if phase != self.phase {
            self.phase = phase;
            self.in_head = false;
            if waiting {
                self.deadline = Instant::now() + self.timeouts.idle;
            }
        }
        waiting
    }

    fn on_bytes_read(&mut self) {
        if self.is_awaiting_request()
            && !self.in_head
            && let Some(head) = self.timeouts.head
        {
            self.in_head = true;
            self.deadline = Instant::now() + head;
        }
    }

    /// Returns ready if the current timeout has expired; otherwise registers the timer.
    fn poll_expired(&mut self, cx: &mut Context<'_>) -> Poll<Expired> {
        if !self.is_awaiting_request() {
            return Poll::Pending;
        }
        if self.timer.deadline() > self.deadline {
            self.timer.as_mut().reset(self.deadline);
        }
        loop {
            ready!(self.timer.as_mut().poll(cx));
            if self.timer.deadline() >= self.deadline {
                return Poll::Ready(if self.in_head {
                    Expired::Head
                } else {
                    Expired::Idle
                });
            }
            self.timer.as_mut().reset(self.deadline);
        }
    }

    fn or_expired<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_pending() {
            ready!(self.poll_expired(cx));
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        written
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for IdleTimeout<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let filled = buf.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(cx, buf);
        if read.is_pending() {
            return Poll::Ready(match ready!(this.poll_expired(cx)) {
                // Reported as end of stream, which hyper accepts between requests.
                Expired::Idle => Ok(()),
                Expired::Head => Err(io::ErrorKind::TimedOut.into()),
            });
        }
        if buf.filled().len() > filled {
            this.on_bytes_read();
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for IdleTimeout<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write(cx, buf);
        this.or_expired(cx, written)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = Pin::new(&mut this.stream).poll_flush(cx);
        this.or_expired(cx, flushed)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let shut = Pin::new(&mut this.stream).poll_shutdown(cx);
        this.or_expired(cx, shut)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write_vectored(cx, bufs);
        this.or_expired(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    const HEAD: Duration = Duration::from_millis(40);
    const IDLE: Duration = Duration::from_millis(200);

    fn timed(
        head: Option<Duration>,
    ) -> (tokio::io::DuplexStream, IdleTimeout<impl AsyncRead + Unpin>) {
        let (peer, stream) = duplex(64);
        let timeouts = ConnectionTimeouts {
            first: IDLE,
            idle: IDLE,
            head,
        };
        (peer, IdleTimeout::new(stream, Arc::default(), timeouts))
    }

    #[tokio::test]
    async fn an_idle_connection_ends_and_a_slow_head_fails() {
        let begun = Instant::now();
        let (mut peer, mut stream) = timed(Some(HEAD));
        let mut buf = [0; 8];
        peer.write_all(b"POST").await.unwrap();
        assert_eq!(stream.read(&mut buf).await.unwrap(), 4);
        let error = stream.read(&mut buf).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(begun.elapsed() < IDLE);

        let (_peer, mut stream) = timed(Some(HEAD));
        assert_eq!(stream.read(&mut buf).await.unwrap(), 0);
        assert!(begun.elapsed() >= IDLE);
    }

    #[tokio::test]
    async fn no_timeout_runs_while_a_request_is_answered() {
        let (mut peer, mut stream) = timed(Some(HEAD));
        let state = stream.state.clone();
        let mut buf = [0; 8];
        peer.write_all(b"POST").await.unwrap();
        stream.read_exact(&mut buf[..4]).await.unwrap();
        {
            let _guard = state.begin_request();
            let read = tokio::time::timeout(IDLE * 2, stream.read(&mut buf)).await;
            assert!(read.is_err(), "nothing came and nothing ended");
        }
        let begun = Instant::now();
        assert_eq!(stream.read(&mut buf).await.unwrap(), 0);
        assert!(begun.elapsed() >= IDLE);
    }

    #[tokio::test]
    async fn http2_times_out_only_before_the_first_request() {
        let (mut peer, mut stream) = timed(None);
        let state = stream.state.clone();
        let mut buf = [0; 8];
        peer.write_all(b"PRI").await.unwrap();
        stream.read_exact(&mut buf[..3]).await.unwrap();
        state.begin_http2();
        state.begin_http2();
        let read = tokio::time::timeout(IDLE * 2, stream.read(&mut buf)).await;
        assert!(read.is_err());
    }
}
