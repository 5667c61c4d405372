//! Requests to the API server that leave no trace in the log: kube's own calls log the whole response
//! if they cannot parse it, and these responses contain keys. They also drop the `Date` header.

use std::time::Duration;

use http::{Method, Request, Response, header};
use http_body_util::BodyExt as _;
use jiff::{Timestamp, fmt::rfc2822};
use kube::{
    Client,
    client::Body,
    core::{Status, response::reason},
};
use serde_json::Value;
use tokio::time::timeout;

use nadmit_api::call::ApiError;

/// The field manager of the writes.
const MANAGER: &str = "nadmit-certificates";

/// Reads and writes single objects by path.
pub(super) struct RawRequests {
    client: Client,
    /// The timeout of one request.
    request_timeout: Duration,
}

/// An object and the API server's time.
pub(super) struct DatedObject {
    /// The object; `None` if it does not exist.
    pub(super) object: Option<Value>,
    pub(super) time: Option<Timestamp>,
}

impl RawRequests {
    pub(super) fn new(client: Client, request_timeout: Duration) -> Self {
        Self {
            client,
            request_timeout,
        }
    }

    /// Reads an object from the API server.
    pub(super) async fn get(&self, path: &str) -> Result<DatedObject, ApiError> {
        let request = Request::get(path).body(Body::empty());
        let (result, time) = self.send(request).await?;
        match result {
            Ok(object) => Ok(DatedObject {
                object: Some(object),
                time,
            }),
            Err(ApiError::NotFound(_)) => Ok(DatedObject { object: None, time }),
            Err(error) => Err(error),
        }
    }

    /// Creates an object in a collection.
    pub(super) async fn create(&self, path: &str, object: &Value) -> Result<Value, ApiError> {
        self.write(Method::POST, path, "application/json", object)
            .await
    }

    /// Replaces an object under the version it contains.
    pub(super) async fn replace(&self, path: &str, object: &Value) -> Result<Value, ApiError> {
        self.write(Method::PUT, path, "application/json", object)
            .await
    }

    /// Applies a JSON patch.
    pub(super) async fn patch(&self, path: &str, patch: &Value) -> Result<Value, ApiError> {
        self.write(Method::PATCH, path, "application/json-patch+json", patch)
            .await
    }

    async fn write(
        &self,
        method: Method,
        path: &str,
        kind: &str,
        body: &Value,
    ) -> Result<Value, ApiError> {
        let request = Request::builder()
            .method(method)
            .uri(format!("{path}?fieldManager={MANAGER}"))
            .header(header::CONTENT_TYPE, kind)
            .body(Body::from(body.to_string().into_bytes()));
        self.send(request).await?.0
    }

    async fn send(
        &self,
        request: http::Result<Request<Body>>,
    ) -> Result<(Result<Value, ApiError>, Option<Timestamp>), ApiError> {
        let request = request.map_err(|error| ApiError::Unavailable(error.to_string()))?;
        let exchange = async {
            let response = self.client.send(request).await?;
            let (parts, body) = response.into_parts();
            let body = body.collect().await?.to_bytes();
            kube::Result::Ok(Response::from_parts(parts, body))
        };
        let response = match timeout(self.request_timeout, exchange).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return Err(ApiError::from_kube(&error)),
            Err(_) => return Err(ApiError::timed_out(self.request_timeout)),
        };
        let time = response.headers().get(header::DATE).and_then(|date| {
            let parsed = rfc2822::DateTimeParser::new().parse_timestamp(date.as_bytes());
            parsed.ok()
        });
        let status = response.status();
        if status.is_success() {
            // The error must contain no part of the response.
            let object = serde_json::from_slice(response.body());
            let unreadable = || ApiError::Uncertain {
                after: None,
                message: "the answer is not JSON".to_owned(),
            };
            return Ok((object.map_err(|_| unreadable()), time));
        }
        let failure = serde_json::from_slice::<Status>(response.body());
        let failure = failure.unwrap_or_else(|_| Status::failure("", reason::UNKNOWN));
        let failure = failure.with_code(status.as_u16());
        Ok((Err(ApiError::from_status(&failure)), time))
    }
}
