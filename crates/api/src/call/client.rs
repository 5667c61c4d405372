//! A client that leaves retries to this module.

use bytes::Bytes;
use http::{
    Response, StatusCode,
    header::{CONTENT_TYPE, RETRY_AFTER},
};
use http_body_util::{BodyExt as _, Full, combinators::UnsyncBoxBody};
use hyper::body::Body;
use kube::{Client, Config, client::ClientBuilder};
use serde_json::json;
use tower::{BoxError, util::MapResponseLayer};

/// Returns a client of this cluster without retries of its own, which keeps the server's
/// `Retry-After` where
/// [`super::ApiError`] finds it.
///
/// # Errors
/// If certificates, keys or tokens cannot be used.
pub fn client(mut config: Config) -> kube::Result<Client> {
    config.default_retry = false;
    // A watch may be idle for minutes; all other calls have timeouts in this module.
    config.read_timeout = None;
    let builder = ClientBuilder::try_from(config)?;
    Ok(builder
        .with_layer(&MapResponseLayer::new(keep_retry_after))
        .build())
}

/// Converts the plain-text response of a throttled request (by priority and fairness) into a
/// `Status`. kube would drop its `Retry-After` header.
pub(super) fn keep_retry_after<B>(response: Response<B>) -> Response<UnsyncBoxBody<Bytes, BoxError>>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let (mut parts, body) = response.into_parts();
    let busy = [
        StatusCode::TOO_MANY_REQUESTS,
        StatusCode::SERVICE_UNAVAILABLE,
    ];
    let seconds = parts.headers.get(RETRY_AFTER);
    let seconds = seconds.and_then(|value| value.to_str().ok()?.trim().parse::<u32>().ok());
    let kind = parts.headers.get(CONTENT_TYPE);
    let json = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
    let Some(seconds) = seconds.filter(|_| busy.contains(&parts.status) && !json) else {
        return Response::from_parts(parts, body.map_err(Into::into).boxed_unsync());
    };
    let reason = match parts.status {
        StatusCode::TOO_MANY_REQUESTS => "TooManyRequests",
        _ => "ServiceUnavailable",
    };
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure",
        "message": format!("try again in {seconds} s"),
        "reason": reason,
        "details": {"retryAfterSeconds": seconds},
        "code": parts.status.as_u16(),
    });
    parts.headers.remove(http::header::CONTENT_LENGTH);
    let body = Full::from(status.to_string()).map_err(|never| match never {});
    Response::from_parts(parts, body.boxed_unsync())
}
