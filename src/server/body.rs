//! Bodies: read once, whole, within a size, a time and the memory that there is for all of them; or thrown away so
//! that the connection stays of use.

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
    reject::{Reason, Reject},
    share::Taken,
};

/// The most that is set aside because a header announced it.
const TRUSTED_LENGTH: usize = 256 << 10;
/// The room that is taken before a piece is read: a frame of HTTP/2 has no more.
const PIECE: usize = 16 << 10;
/// How many times the body limit is read only to be thrown away: more than the longest review has.
const DISCARDED: u64 = 5;

/// A body with the room that it takes up.
#[derive(Debug)]
pub(super) struct Whole {
    pub(super) bytes: Bytes,
    pub(super) room: Taken,
}

/// What a body may take up of time and room.
pub(super) struct Allowance<'a> {
    pub(super) limits: &'a Limits,
    pub(super) budget: &'a Budget,
    pub(super) connection: &'a Connection,
    pub(super) patience: Duration,
}

/// Reads the whole body.
pub(super) async fn read(body: &mut Body, allowance: &Allowance<'_>) -> Result<Whole, Reject> {
    let _reading = allowance.connection.read();
    let crowded = AtomicBool::new(false);
    let mut whole = pin!(collect(body, allowance, &crowded));
    // Most bodies come with their head: then no time passes, and no clock is wound up.
    let at_once = poll_fn(|cx| Poll::Ready(whole.as_mut().poll(cx))).await;
    if let Poll::Ready(whole) = at_once {
        return whole;
    }
    let whole = time::timeout(allowance.patience, whole).await;
    whole.unwrap_or_else(|_| {
        Err(match crowded.load(Ordering::Relaxed) {
            true => no_room(allowance),
            false => too_slow(allowance.patience),
        })
    })
}

async fn collect(
    body: &mut Body,
    allowance: &Allowance<'_>,
    crowded: &AtomicBool,
) -> Result<Whole, Reject> {
    let limit = allowance.limits.body_bytes;
    let announced = body.size_hint().lower();
    if announced > limit as u64 {
        return Err(too_large(limit));
    }
    let mut room = Room {
        taken: None,
        allowance,
        crowded,
    };
    let mut pieces = Pieces {
        announced: usize::try_from(announced).unwrap_or(limit),
        ..Pieces::default()
    };
    loop {
        let left = body.size_hint().upper().unwrap_or(u64::MAX);
        let piece = PIECE.min(usize::try_from(left).unwrap_or(PIECE));
        room.extend_to(pieces.length() + piece).await;
        let Some(data) = next(body).await? else {
            return Ok(Whole {
                room: room.of(pieces.length()).await,
                bytes: pieces.whole(),
            });
        };
        if pieces.length() + data.len() > limit {
            return Err(too_large(limit));
        }
        // Of HTTP/1 a piece may be larger than was expected.
        room.extend_to(pieces.length() + data.len()).await;
        pieces.push(data);
    }
}

/// The room that a body has while it grows.
struct Room<'a> {
    taken: Option<Taken>,
    allowance: &'a Allowance<'a>,
    crowded: &'a AtomicBool,
}

impl Room<'_> {
    async fn extend_to(&mut self, bytes: usize) {
        let has = self.taken.as_ref().map_or(0, Taken::amount);
        if bytes <= has {
            return;
        }
        let Allowance {
            budget, connection, ..
        } = self.allowance;
        self.crowded.store(true, Ordering::Relaxed);
        let more = budget.take(connection, bytes - has).await;
        self.crowded.store(false, Ordering::Relaxed);
        match &mut self.taken {
            Some(taken) => taken.add(more),
            none => *none = Some(more),
        }
    }

    async fn of(mut self, bytes: usize) -> Taken {
        if let Some(mut taken) = self.taken.take() {
            taken.shrink_to(bytes);
            return taken;
        }
        self.allowance
            .budget
            .take(self.allowance.connection, 0)
            .await
    }
}

/// A body as it comes in. Small ones come in one piece, which is then the body: nothing is copied.
#[derive(Default)]
struct Pieces {
    announced: usize,
    first: Bytes,
    joined: BytesMut,
}

impl Pieces {
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
            self.joined.reserve(self.announced.min(TRUSTED_LENGTH));
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

/// The next piece of data; trailers are none.
async fn next(body: &mut Body) -> Result<Option<Bytes>, Reject> {
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            let sentence = format!("the body could not be read to its end: {error}; send it whole");
            Reject::new(Reason::BodyCut, sentence)
        })?;
        if let Ok(data) = frame.into_data() {
            return Ok(Some(data));
        }
    }
    Ok(None)
}

fn too_large(limit: usize) -> Reject {
    let sentence = format!(
        "the body is larger than {limit} bytes, and is not read; make the object smaller (in JSON a character may \
         take six bytes)"
    );
    Reject::new(Reason::TooLarge, sentence)
}

/// Returns the first piece of a body that was refused for the length that its head announced; empty if none
/// comes.
pub(super) async fn beginning(body: &mut Body, headers: &HeaderMap, limits: &Limits) -> Bytes {
    // Who waits for "100 Continue" shall not be told to send it.
    if headers.contains_key(header::EXPECT) {
        return Bytes::new();
    }
    match time::timeout(limits.body, next(body)).await {
        Ok(Ok(Some(first))) => first,
        Ok(Ok(None) | Err(_)) | Err(_) => Bytes::new(),
    }
}

fn too_slow(limit: Duration) -> Reject {
    let sentence = format!("the body did not arrive within {limit:?}; send it at once");
    Reject::new(Reason::BodyTimeout, sentence)
}

fn no_room(allowance: &Allowance<'_>) -> Reject {
    let sentence = format!(
        "for {:?} the bodies of other requests left no room for this one ({} MiB are for all); try again, or run \
         more replicas",
        allowance.patience,
        allowance.limits.bodies_bytes >> 20
    );
    Reject::new(Reason::Crowded, sentence)
}

/// Throws away what is left of a body, so that the next request of the connection can be read, and
/// so that callers who read no answer before they have sent everything get theirs (curl over
/// HTTP/2 takes an earlier end of the stream for an error).
///
/// Says whether the connection is of further use.
pub(super) async fn discard(
    body: &mut Body,
    version: Version,
    headers: &HeaderMap,
    limits: &Limits,
    connection: &Connection,
) -> bool {
    let _reading = connection.read();
    drain(body, headers, limits).await || version == Version::HTTP_2
}

/// Reads a body to its end; says whether it came to it.
async fn drain(body: &mut Body, headers: &HeaderMap, limits: &Limits) -> bool {
    let most = limits.body_bytes as u64 * DISCARDED;
    // Who waits for "100 Continue" has not sent it, and shall not be told to.
    if headers.contains_key(header::EXPECT) || body.size_hint().lower() > most {
        return body.is_end_stream();
    }
    let to_the_end = async {
        let mut seen = 0;
        while seen <= most {
            match next(body).await {
                Ok(Some(data)) => seen += data.len() as u64,
                Ok(None) => return true,
                Err(_) => return false,
            }
        }
        false
    };
    time::timeout(limits.body, to_the_end)
        .await
        .unwrap_or(false)
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
    ) -> Result<Whole, Reject> {
        let allowance = Allowance {
            limits,
            budget,
            connection: &Connection::new(None),
            patience: limits.body,
        };
        read(body, &allowance).await
    }

    #[tokio::test]
    async fn pieces_are_put_together_up_to_the_limit() {
        let budget = budget(32 * PIECE);
        for (parts, whole) in [(&[][..], ""), (&["abc"], "abc"), (&["ab", "", "c"], "abc")] {
            let body = read_within(&budget, &mut pieces(parts), &limits(3))
                .await
                .unwrap();
            assert_eq!(
                (&*body.bytes, body.room.amount()),
                (whole.as_bytes(), whole.len())
            );
        }
        for parts in [&["abcd"][..], &["ab", "cd"], &["abc", "d"]] {
            let error = read_within(&budget, &mut pieces(parts), &limits(3))
                .await
                .unwrap_err();
            assert_eq!(error.reason, Reason::TooLarge);
        }
    }

    #[tokio::test]
    async fn a_body_that_never_ends_is_given_up() {
        let mut body = Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>());
        let error = read_within(&budget(PIECE), &mut body, &limits(3))
            .await
            .unwrap_err();
        assert_eq!(error.reason, Reason::BodyTimeout);
        let headers = HeaderMap::new();
        let caller = Connection::new(None);
        assert!(!discard(&mut body, Version::HTTP_11, &headers, &limits(3), &caller).await);
    }

    #[tokio::test]
    async fn a_body_for_which_there_is_no_room_is_refused_and_told_to_come_again() {
        let budget = budget(PIECE);
        let _held = budget.try_take(Connection::new(None).id, PIECE);
        let error = read_within(&budget, &mut pieces(&["abc"]), &limits(3))
            .await
            .unwrap_err();
        assert_eq!(error.reason, Reason::Crowded);
        assert!(error.sentence.contains("left no room"), "{error:?}");
        assert_eq!(error.response(false).headers()["retry-after"], "1");
    }
}
