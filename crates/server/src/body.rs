//! Request bodies: read whole within limits of size, time and memory, or discarded so that the
//! connection can be reused.

use std::{
    future::{Future as _, poll_fn},
    mem,
    pin::pin,
    sync::atomic::{AtomicBool, Ordering},
    task::Poll,
    time::Duration,
};

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Version, header};
use http_body_util::BodyExt;
use hyper::body::Body as _;
use tokio::time;

use super::{
    budget::Budget,
    connections::Connection,
    options::Limits,
    quota::QuotaGuard,
    reject::{Reject, RejectReason},
};

/// Maximum number of bytes preallocated because of a `Content-Length` header.
const MAX_PREALLOCATION: usize = 256 << 10;
/// Memory reserved before a piece is read, in bytes: the maximum size of an HTTP/2 frame here.
const PIECE_BYTES: usize = 16 << 10;
/// Multiple of the body limit that is read and discarded; the longest review is smaller.
const MAX_DISCARD_FACTOR: u64 = 5;

/// A complete body with the memory reserved for it.
#[derive(Debug)]
pub(super) struct BufferedBody {
    pub(super) bytes: Bytes,
    pub(super) memory: QuotaGuard,
}

/// Limits and accounting for reading one body.
pub(super) struct BodyContext<'a> {
    pub(super) limits: &'a Limits,
    pub(super) budget: &'a Budget,
    pub(super) connection: &'a Connection,
    pub(super) timeout: Duration,
}

/// Reads the whole body.
pub(super) async fn read(
    body: &mut Body,
    context: &BodyContext<'_>,
) -> Result<BufferedBody, Reject> {
    let _pending_body = context.connection.begin_body();
    let awaiting_memory = AtomicBool::new(false);
    let mut whole = pin!(collect(body, context, &awaiting_memory));
    // Most bodies arrive with their head: polling once first avoids a timer.
    let at_once = poll_fn(|cx| Poll::Ready(whole.as_mut().poll(cx))).await;
    if let Poll::Ready(whole) = at_once {
        return whole;
    }
    let whole = time::timeout(context.timeout, whole).await;
    whole.unwrap_or_else(|_| {
        Err(match awaiting_memory.load(Ordering::Relaxed) {
            true => memory_timed_out(context),
            false => body_timed_out(context.timeout),
        })
    })
}

async fn collect(
    body: &mut Body,
    context: &BodyContext<'_>,
    awaiting_memory: &AtomicBool,
) -> Result<BufferedBody, Reject> {
    let limit = context.limits.body_bytes;
    let announced = body.size_hint().lower();
    if announced > limit as u64 {
        return Err(too_large(limit));
    }
    let mut memory = BodyMemory {
        taken: None,
        context,
        awaiting_memory,
    };
    let mut pieces = BodyBuffer {
        announced: usize::try_from(announced).unwrap_or(limit),
        ..BodyBuffer::default()
    };
    loop {
        let left = body.size_hint().upper().unwrap_or(u64::MAX);
        let piece = PIECE_BYTES.min(usize::try_from(left).unwrap_or(PIECE_BYTES));
        memory.extend_to(pieces.length() + piece).await;
        let Some(data) = next(body).await? else {
            return Ok(BufferedBody {
                memory: memory.finish(pieces.length()).await,
                bytes: pieces.whole(),
            });
        };
        if pieces.length() + data.len() > limit {
            return Err(too_large(limit));
        }
        // An HTTP/1 piece may be larger than expected.
        memory.extend_to(pieces.length() + data.len()).await;
        pieces.push(data);
    }
}

/// The memory reserved for a body while it grows.
struct BodyMemory<'a> {
    taken: Option<QuotaGuard>,
    context: &'a BodyContext<'a>,
    awaiting_memory: &'a AtomicBool,
}

impl BodyMemory<'_> {
    async fn extend_to(&mut self, bytes: usize) {
        let has = self.taken.as_ref().map_or(0, QuotaGuard::amount);
        if bytes <= has {
            return;
        }
        let BodyContext {
            budget, connection, ..
        } = self.context;
        self.awaiting_memory.store(true, Ordering::Relaxed);
        let more = budget.take(connection, bytes - has).await;
        self.awaiting_memory.store(false, Ordering::Relaxed);
        match &mut self.taken {
            Some(taken) => taken.add(more),
            none => *none = Some(more),
        }
    }

    async fn finish(mut self, bytes: usize) -> QuotaGuard {
        if let Some(mut taken) = self.taken.take() {
            taken.shrink_to(bytes);
            return taken;
        }
        self.context.budget.take(self.context.connection, 0).await
    }
}

/// A body under construction. A body that arrives in one piece is returned without a copy.
#[derive(Default)]
struct BodyBuffer {
    announced: usize,
    first: Bytes,
    joined: BytesMut,
}

impl BodyBuffer {
    fn length(&self) -> usize {
        match self.joined.is_empty() {
            true => self.first.len(),
            false => self.joined.len(),
        }
    }

    fn push(&mut self, data: Bytes) {
        if self.length() == 0 {
            self.first = data;
            return;
        }
        if self.joined.is_empty() {
            self.joined.reserve(self.announced.min(MAX_PREALLOCATION));
            self.joined.extend_from_slice(&mem::take(&mut self.first));
        }
        self.joined.extend_from_slice(&data);
    }

    fn whole(self) -> Bytes {
        match self.joined.is_empty() {
            true => self.first,
            false => self.joined.freeze(),
        }
    }
}

/// Returns the next piece of data and skips trailers.
async fn next(body: &mut Body) -> Result<Option<Bytes>, Reject> {
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            let sentence =
                format!("nadmit could not read the whole body: {error}; send the request again");
            Reject::new(RejectReason::BodyCut, sentence)
        })?;
        if let Ok(data) = frame.into_data() {
            return Ok(Some(data));
        }
    }
    Ok(None)
}

fn too_large(limit: usize) -> Reject {
    let sentence = format!(
        "the body is larger than {limit} bytes; make the object smaller (in JSON a character may take six bytes)"
    );
    Reject::new(RejectReason::TooLarge, sentence)
}

/// Returns the first piece of a body that was rejected for its announced length; empty if none
/// arrives.
pub(super) async fn first_piece(body: &mut Body, headers: &HeaderMap, limits: &Limits) -> Bytes {
    // A client that waits for "100 Continue" must not be made to send the body.
    if headers.contains_key(header::EXPECT) {
        return Bytes::new();
    }
    match time::timeout(limits.body, next(body)).await {
        Ok(Ok(Some(first))) => first,
        Ok(Ok(None) | Err(_)) | Err(_) => Bytes::new(),
    }
}

fn body_timed_out(limit: Duration) -> Reject {
    let sentence = format!("the body did not arrive within {limit:?}; send the whole body at once");
    Reject::new(RejectReason::BodyTimeout, sentence)
}

fn memory_timed_out(context: &BodyContext<'_>) -> Reject {
    let sentence = format!(
        "the bodies of other requests left no room for this one within {:?} (limit: {} MiB); try again, \
         or run more replicas",
        context.timeout,
        context.limits.bodies_bytes >> 20
    );
    Reject::new(RejectReason::Crowded, sentence)
}

/// Discards the rest of a body, so that the next request of the connection can be read, and so that
/// clients that read no response before they have sent everything get theirs (curl over HTTP/2
/// treats an earlier end of the stream as an error).
///
/// Returns true if the connection can be reused.
pub(super) async fn discard(
    body: &mut Body,
    version: Version,
    headers: &HeaderMap,
    limits: &Limits,
    connection: &Connection,
) -> bool {
    let _pending_body = connection.begin_body();
    drain(body, headers, limits).await || version == Version::HTTP_2
}

/// Reads a body to its end; returns false if it did not get there within the limits.
async fn drain(body: &mut Body, headers: &HeaderMap, limits: &Limits) -> bool {
    let max_bytes = limits.body_bytes as u64 * MAX_DISCARD_FACTOR;
    // A client that waits for "100 Continue" has not sent the body and must not be made to.
    if headers.contains_key(header::EXPECT) || body.size_hint().lower() > max_bytes {
        return body.is_end_stream();
    }
    let drained = async {
        let mut seen = 0;
        while seen <= max_bytes {
            match next(body).await {
                Ok(Some(data)) => seen += data.len() as u64,
                Ok(None) => return true,
                Err(_) => return false,
            }
        }
        false
    };
    time::timeout(limits.body, drained).await.unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures_util::stream;

    use super::{
        super::{
            connections::Connections,
            metrics::{self, Metrics},
        },
        *,
    };

    fn pieces(pieces: &[&'static str]) -> Body {
        let pieces: Vec<Result<Bytes, std::io::Error>> = pieces
            .iter()
            .map(|piece| Ok(Bytes::from_static(piece.as_bytes())))
            .collect();
        Body::from_stream(stream::iter(pieces))
    }

    fn limits(body_bytes: usize) -> Limits {
        Limits {
            body_bytes,
            body: Duration::from_millis(20),
            ..Limits::default()
        }
    }

    fn budget(bytes: usize) -> Budget {
        let metrics = Metrics::register(&mut metrics::registry(), Arc::default());
        Budget::new(bytes, Connections::new(1), metrics)
    }

    async fn read_within(
        budget: &Budget,
        body: &mut Body,
        limits: &Limits,
    ) -> Result<BufferedBody, Reject> {
        let context = BodyContext {
            limits,
            budget,
            connection: &Connection::new(None),
            timeout: limits.body,
        };
        read(body, &context).await
    }

    #[tokio::test]
    async fn pieces_are_put_together_up_to_the_limit() {
        let budget = budget(32 * PIECE_BYTES);
        for (parts, whole) in [(&[][..], ""), (&["abc"], "abc"), (&["ab", "", "c"], "abc")] {
            let body = read_within(&budget, &mut pieces(parts), &limits(3))
                .await
                .unwrap();
            assert_eq!(
                (&*body.bytes, body.memory.amount()),
                (whole.as_bytes(), whole.len())
            );
        }
        for parts in [&["abcd"][..], &["ab", "cd"], &["abc", "d"]] {
            let error = read_within(&budget, &mut pieces(parts), &limits(3))
                .await
                .unwrap_err();
            assert_eq!(error.reason, RejectReason::TooLarge);
        }
    }

    #[tokio::test]
    async fn a_body_that_never_ends_times_out() {
        let mut body = Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>());
        let error = read_within(&budget(PIECE_BYTES), &mut body, &limits(3))
            .await
            .unwrap_err();
        assert_eq!(error.reason, RejectReason::BodyTimeout);
        let headers = HeaderMap::new();
        let connection = Connection::new(None);
        assert!(
            !discard(
                &mut body,
                Version::HTTP_11,
                &headers,
                &limits(3),
                &connection
            )
            .await
        );
    }

    #[tokio::test]
    async fn a_body_without_memory_budget_is_refused_with_retry_after() {
        let budget = budget(PIECE_BYTES);
        let _held = budget.try_take(Connection::new(None).id, PIECE_BYTES);
        let error = read_within(&budget, &mut pieces(&["abc"]), &limits(3))
            .await
            .unwrap_err();
        assert_eq!(error.reason, RejectReason::Crowded);
        assert!(error.sentence.contains("left no room"), "{error:?}");
        assert_eq!(error.response(false).headers()["retry-after"], "1");
    }
}
