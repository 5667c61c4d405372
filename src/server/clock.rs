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
pub(super) struct Turns(AtomicUsize);

/// A request is being answered until this is dropped.
pub(super) struct Turn<'a>(&'a Turns);

impl Turns {
    /// A request of HTTP/1 has come: they come one by one.
    pub(super) fn begin(&self) -> Turn<'_> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Turn(self)
    }

    /// A request of HTTP/2 has come: from now on pings tell whether the caller is there.
    pub(super) fn begin_for_good(&self) {
        self.0.store(1, Ordering::Relaxed);
    }

    /// Whether no request has come yet.
    pub(super) fn is_untouched(&self) -> bool {
        self.number() == 0
    }

    fn number(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// How long a caller may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Waits {
    /// To begin the first request.
    pub(super) first: Duration,
    /// To begin another, and to take in an answer.
    pub(super) idle: Duration,
    /// To send a head once begun; `None` where heads are not told from other bytes (HTTP/2).
    pub(super) head: Option<Duration>,
}

/// A stream that ends when its caller dawdles.
pub(super) struct Timed<S> {
    stream: S,
    turns: Arc<Turns>,
    waits: Waits,
    turn: usize,
    in_head: bool,
    deadline: Instant,
    timer: Pin<Box<Sleep>>,
}

/// What the caller dawdled over.
enum Late {
    Idle,
    Head,
}

impl<S> Timed<S> {
    pub(super) fn new(stream: S, turns: Arc<Turns>, waits: Waits) -> Self {
        let deadline = Instant::now() + waits.first;
        Self {
            stream,
            turn: turns.number(),
            turns,
            waits,
            in_head: false,
            deadline,
            timer: Box::pin(sleep_until(deadline)),
        }
    }

    /// Whether it is the caller's turn; a new turn starts the clock anew.
    fn is_waiting(&mut self) -> bool {
        let turn = self.turns.number();
        let waiting = turn.is_multiple_of(2);
        if turn != self.turn {
            self.turn = turn;
            self.in_head = false;
            if waiting {
                self.deadline = Instant::now() + self.waits.idle;
            }
        }
        waiting
    }

    fn bytes_came(&mut self) {
        if self.is_waiting()
            && !self.in_head
            && let Some(head) = self.waits.head
        {
            self.in_head = true;
            self.deadline = Instant::now() + head;
        }
    }

    /// Nothing moves: ready when that has lasted too long, else the timer wakes the task.
    fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<Late> {
        if !self.is_waiting() {
            return Poll::Pending;
        }
        if self.timer.deadline() > self.deadline {
            self.timer.as_mut().reset(self.deadline);
        }
        loop {
            ready!(self.timer.as_mut().poll(cx));
            if self.timer.deadline() >= self.deadline {
                return Poll::Ready(if self.in_head { Late::Head } else { Late::Idle });
            }
            self.timer.as_mut().reset(self.deadline);
        }
    }

    fn or_late<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_pending() {
            ready!(self.poll_late(cx));
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        written
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Timed<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let filled = buf.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(cx, buf);
        if read.is_pending() {
            return Poll::Ready(match ready!(this.poll_late(cx)) {
                // As if the caller had hung up, which is no error between requests.
                Late::Idle => Ok(()),
                Late::Head => Err(io::ErrorKind::TimedOut.into()),
            });
        }
        if buf.filled().len() > filled {
            this.bytes_came();
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Timed<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write(cx, buf);
        this.or_late(cx, written)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = Pin::new(&mut this.stream).poll_flush(cx);
        this.or_late(cx, flushed)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let shut = Pin::new(&mut this.stream).poll_shutdown(cx);
        this.or_late(cx, shut)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write_vectored(cx, bufs);
        this.or_late(cx, written)
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

    fn timed(head: Option<Duration>) -> (tokio::io::DuplexStream, Timed<impl AsyncRead + Unpin>) {
        let (caller, stream) = duplex(64);
        let waits = Waits {
            first: IDLE,
            idle: IDLE,
            head,
        };
        (caller, Timed::new(stream, Arc::default(), waits))
    }

    #[tokio::test]
    async fn an_idle_caller_ends_and_a_slow_head_fails() {
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
    async fn no_clock_runs_while_a_request_is_answered_and_a_new_one_after_it() {
        let (mut caller, mut stream) = timed(Some(HEAD));
        let turns = stream.turns.clone();
        let mut buf = [0; 8];
        caller.write_all(b"POST").await.unwrap();
        stream.read_exact(&mut buf[..4]).await.unwrap();
        {
            let _turn = turns.begin();
            let read = tokio::time::timeout(IDLE * 2, stream.read(&mut buf)).await;
            assert!(read.is_err(), "nothing came and nothing ended");
        }
        let begun = Instant::now();
        assert_eq!(stream.read(&mut buf).await.unwrap(), 0);
        assert!(begun.elapsed() >= IDLE);
    }

    #[tokio::test]
    async fn without_heads_only_the_first_request_is_awaited() {
        let (mut caller, mut stream) = timed(None);
        let turns = stream.turns.clone();
        let mut buf = [0; 8];
        caller.write_all(b"PRI").await.unwrap();
        stream.read_exact(&mut buf[..3]).await.unwrap();
        turns.begin_for_good();
        turns.begin_for_good();
        let read = tokio::time::timeout(IDLE * 2, stream.read(&mut buf)).await;
        assert!(read.is_err());
    }
}
