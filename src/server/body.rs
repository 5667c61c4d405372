//! Bodies: read once, whole, within a size and a time; or thrown away so that the connection
//! stays of use.

use std::{
    future::{Future as _, poll_fn},
    pin::pin,
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
    options::Limits,
    reject::{Reason, Reject},
};

/// The most that is set aside because a header announced it.
const TRUSTED_LENGTH: usize = 256 << 10;
/// How many times the body limit is read only to be thrown away.
const DISCARDED: u64 = 2;

/// The whole body.
pub(super) async fn read(body: &mut Body, limits: &Limits) -> Result<Bytes, Reject> {
    let mut whole = pin!(collect(body, limits.body_bytes));
    // Most bodies come with their head: then no time passes, and no clock is wound up.
    let at_once = poll_fn(|cx| Poll::Ready(whole.as_mut().poll(cx))).await;
    if let Poll::Ready(whole) = at_once {
        return whole;
    }
    let whole = time::timeout(limits.body, whole).await;
    whole.unwrap_or_else(|_| Err(too_slow(limits.body)))
}

async fn collect(body: &mut Body, limit: usize) -> Result<Bytes, Reject> {
    let announced = body.size_hint().lower();
    if announced > limit as u64 {
        return Err(too_large(limit));
    }
    let Some(first) = next(body).await? else {
        return Ok(Bytes::new());
    };
    // Small bodies come in one piece, which is then the body: nothing is copied.
    let Some(second) = next(body).await? else {
        return within(first, limit);
    };
    let announced = usize::try_from(announced).unwrap_or(limit);
    let mut whole = BytesMut::with_capacity(announced.min(TRUSTED_LENGTH));
    whole.extend_from_slice(&first);
    let mut piece = Some(second);
    while let Some(data) = piece {
        if whole.len() + data.len() > limit {
            return Err(too_large(limit));
        }
        whole.extend_from_slice(&data);
        piece = next(body).await?;
    }
    Ok(whole.freeze())
}

fn within(bytes: Bytes, limit: usize) -> Result<Bytes, Reject> {
    if bytes.len() > limit {
        return Err(too_large(limit));
    }
    Ok(bytes)
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
    let sentence = format!("the body is larger than {limit} bytes; no AdmissionReview is");
    Reject::new(Reason::TooLarge, sentence)
}

fn too_slow(limit: Duration) -> Reject {
    let sentence = format!("the body did not arrive within {limit:?}; send it at once");
    Reject::new(Reason::BodyTimeout, sentence)
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
) -> bool {
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
    use futures_util::stream;

    use super::*;

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

    #[tokio::test]
    async fn pieces_are_put_together_up_to_the_limit() {
        for (parts, whole) in [(&[][..], ""), (&["abc"], "abc"), (&["ab", "", "c"], "abc")] {
            let body = read(&mut pieces(parts), &limits(3)).await;
            assert_eq!(body.ok().as_deref(), Some(whole.as_bytes()));
        }
        for parts in [&["abcd"][..], &["ab", "cd"], &["abc", "d"]] {
            let error = read(&mut pieces(parts), &limits(3)).await.unwrap_err();
            assert_eq!(error.reason, Reason::TooLarge);
        }
    }

    #[tokio::test]
    async fn a_body_that_never_ends_is_given_up() {
        let mut body = Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>());
        let error = read(&mut body, &limits(3)).await.unwrap_err();
        assert_eq!(error.reason, Reason::BodyTimeout);
        let headers = HeaderMap::new();
        assert!(!discard(&mut body, Version::HTTP_11, &headers, &limits(3)).await);
    }
}
