//! Who dawdles is cut: the clock of one connection.
//!
//! Two waits must be told apart. Between requests a connection may be idle for minutes, for the
//! API server keeps it on purpose; but once the first byte of a request's head has come, the rest
//! must follow within seconds. hyper's own limit for heads starts when the last answer has left
//! and so counts idleness, too. Hence a stream that keeps the time itself: the idle wait starts
//! when it is the caller's turn, the head's wait at the first byte that comes then, and neither
//! runs while a request is being answered.
//!
//! It costs one look at the time a request: the timer is moved only when it fires too early.

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

/// Whose turn it is on a connection: shared by its stream and its service. Even while a request
/// is awaited, odd while one is answered.
#[derive(Debug, Default)]
pub(super) struct ConnectionState(AtomicUsize);

/// A request is being answered until this is dropped.
pub(super) struct RequestGuard<'a>(&'a ConnectionState);

impl ConnectionState {
    /// A request of HTTP/1 has come: they come one by one.
    pub(super) fn begin_request(&self) -> RequestGuard<'_> {
        self.0.fetch_add(1, Ordering::Relaxed);
        RequestGuard(self)
    }

    /// A request of HTTP/2 has come: from now on pings tell whether the caller is there.
    pub(super) fn begin_http2(&self) {
        self.0.store(1, Ordering::Relaxed);
    }

    /// Whether no request has come yet.
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

/// How long a caller may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct ConnectionTimeouts {
    /// To begin the first request.
    pub(super) first: Duration,
    /// To begin another, and to take in an answer.
    pub(super) idle: Duration,
    /// To send a head once begun; `None` where heads are not told from other bytes (HTTP/2).
    pub(super) head: Option<Duration>,
}

/// A stream that ends when its caller dawdles.
pub(super) struct IdleTimeout<S> {
    stream: S,
    state: Arc<ConnectionState>,
    timeouts: ConnectionTimeouts,
    phase: usize,
    in_head: bool,
    deadline: Instant,
    timer: Pin<Box<Sleep>>,
}

/// What the caller dawdled over.
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

    /// Whether it is the caller's turn; a new turn starts the clock anew.
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

    /// Nothing moves: ready when that has lasted too long, else the timer wakes the task.
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
                // As if the caller had hung up, which is no error between requests.
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
        let (caller, stream) = duplex(64);
        let timeouts = ConnectionTimeouts {
            first: IDLE,
            idle: IDLE,
            head,
        };
        (caller, IdleTimeout::new(stream, Arc::default(), timeouts))
    }

    #[tokio::test]
    async fn an_idle_connection_ends_and_a_slow_head_fails() {
        let begun = Instant::now();
        let (mut caller, mut stream) = timed(Some(HEAD));
        let mut buf = [0; 8];
        caller.write_all(b"POST").await.unwrap();
        assert_eq!(stream.read(&mut buf).await.unwrap(), 4);
        let error = stream.read(&mut buf).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(begun.elapsed() < IDLE);

        let (_caller, mut stream) = timed(Some(HEAD));
        assert_eq!(stream.read(&mut buf).await.unwrap(), 0);
        assert!(begun.elapsed() >= IDLE);
    }

    #[tokio::test]
    async fn no_timeout_runs_while_a_request_is_answered() {
        let (mut caller, mut stream) = timed(Some(HEAD));
        let state = stream.state.clone();
        let mut buf = [0; 8];
        caller.write_all(b"POST").await.unwrap();
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
        let (mut caller, mut stream) = timed(None);
        let state = stream.state.clone();
        let mut buf = [0; 8];
        caller.write_all(b"PRI").await.unwrap();
        stream.read_exact(&mut buf[..3]).await.unwrap();
        state.begin_http2();
        state.begin_http2();
        let read = tokio::time::timeout(IDLE * 2, stream.read(&mut buf)).await;
        assert!(read.is_err());
    }
}
