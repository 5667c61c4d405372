//! Error responses to requests that get no review: a status and a sentence.

use axum::{body::Body, response::Response};
use http::{HeaderValue, StatusCode, header};

use nadmit_admission::ReviewError;

/// A request that is rejected without a review.
#[derive(Debug)]
pub(super) struct Reject {
    pub(super) reason: RejectReason,
    pub(super) sentence: String,
}

/// Reason of a rejection, used as a label in metrics and logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum RejectReason {
    Path,
    Method,
    ContentType,
    ContentEncoding,
    Timeout,
    TooLarge,
    BodyTimeout,
    BodyCut,
    Crowded,
    NotJson,
    NotReview,
    NotLoaded,
    Overloaded,
    LookupFailed,
    NotRecorded,
    Panic,
}

impl RejectReason {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Path => "path",
            Self::Method => "method",
            Self::ContentType => "content-type",
            Self::ContentEncoding => "content-encoding",
            Self::Timeout => "timeout-parameter",
            Self::TooLarge => "too-large",
            Self::BodyTimeout => "body-timeout",
            Self::BodyCut => "body-cut",
            Self::Crowded => "crowded",
            Self::NotJson => "not-json",
            Self::NotReview => "not-a-review",
            Self::NotLoaded => "not-loaded",
            Self::Overloaded => "overloaded",
            Self::LookupFailed => "lookup-failed",
            Self::NotRecorded => "not-recorded",
            Self::Panic => "panic",
        }
    }

    pub(super) fn status(self) -> StatusCode {
        match self {
            Self::Path => StatusCode::NOT_FOUND,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::ContentType | Self::ContentEncoding => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BodyTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::Timeout | Self::BodyCut | Self::NotJson | Self::NotReview => {
                StatusCode::BAD_REQUEST
            }
            Self::NotLoaded | Self::Overloaded | Self::Crowded | Self::NotRecorded => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::LookupFailed | Self::Panic => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl Reject {
    pub(super) fn new(reason: RejectReason, sentence: impl Into<String>) -> Self {
        Self {
            reason,
            sentence: sentence.into(),
        }
    }

    /// Returns the HTTP response. `close` ends an HTTP/1 connection after it.
    pub(super) fn response(self, close: bool) -> Response {
        let mut response = text(self.reason.status(), self.sentence);
        if close {
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(header::CONNECTION, close);
        }
        if self.reason.status() == StatusCode::SERVICE_UNAVAILABLE {
            // The API server's client retries within its timeout.
            let soon = HeaderValue::from_static("1");
            response.headers_mut().insert(header::RETRY_AFTER, soon);
        }
        response
    }
}

impl From<ReviewError> for Reject {
    fn from(error: ReviewError) -> Self {
        let reason = match error {
            ReviewError::NotText(_) | ReviewError::NotJson(_) => RejectReason::NotJson,
            ReviewError::OtherKind(_)
            | ReviewError::OtherVersion(_)
            | ReviewError::NoRequest
            | ReviewError::NoObject(..)
            | ReviewError::Request(_) => RejectReason::NotReview,
        };
        Self::new(reason, error.to_string())
    }
}

/// Creates a response with one line of plain text.
pub(super) fn text(status: StatusCode, line: impl Into<String>) -> Response {
    let mut line = line.into();
    line.push('\n');
    let mut response = Response::new(Body::from(line));
    *response.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, plain);
    response
}
