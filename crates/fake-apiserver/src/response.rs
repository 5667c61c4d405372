//! Responses in the API server's wording.

use axum::body::Body;
use http::{Response, StatusCode, header};
use serde::Serialize;
use serde_json::{Value, json};

use super::{kinds::ResourceKind, schema::FieldCause};

#[derive(Debug)]
pub(super) struct JsonResponse {
    pub(super) code: u16,
    pub(super) body: Vec<u8>,
    pub(super) warnings: Vec<String>,
    retry_after: Option<u64>,
}

impl JsonResponse {
    pub(super) fn new(code: u16, body: &impl Serialize) -> Self {
        Self {
            code,
            // Serializing a value that was parsed from JSON cannot fail.
            body: serde_json::to_vec(body).unwrap_or_default(),
            warnings: Vec::new(),
            retry_after: None,
        }
    }

    pub(super) fn warned(mut self, warnings: Vec<String>) -> Self {
        self.warnings = warnings;
        self
    }

    pub(super) fn response(self) -> Response<Body> {
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() = status(self.code);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, json_type());
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        for warning in self.warnings {
            let warning = format!("299 - {}", Value::from(warning));
            if let Ok(value) = warning.parse() {
                headers.append(header::WARNING, value);
            }
        }
        response
    }
}

fn status(code: u16) -> StatusCode {
    StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

fn json_type() -> http::HeaderValue {
    http::HeaderValue::from_static("application/json")
}

/// Returns a stream of watch events.
pub(super) fn streamed(body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, json_type());
    response
}

/// Returns the response for a path that nothing serves, which is not a Status.
pub(super) fn nothing_there() -> Response<Body> {
    let mut response = Response::new(Body::from("404 page not found\n"));
    *response.status_mut() = StatusCode::NOT_FOUND;
    response
}

/// A Status that reports an error.
#[derive(Clone, Debug)]
pub struct ApiStatus {
    pub(super) code: u16,
    reason: String,
    pub(super) message: String,
    details: Option<Value>,
    retry_after: Option<u64>,
}

impl ApiStatus {
    /// Returns a failure with this code, reason and message.
    pub fn new(code: u16, reason: &str, message: &str) -> Self {
        Self {
            code,
            reason: reason.to_owned(),
            message: message.to_owned(),
            details: None,
            retry_after: None,
        }
    }

    pub(super) fn with(mut self, details: Value) -> Self {
        self.details = Some(details);
        self
    }

    pub(super) fn retried_after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(seconds);
        self.with(json!({"retryAfterSeconds": seconds}))
    }

    /// Adds the object to the details, called by its kind or its resource.
    fn about(self, what: &str, group: &str, name: &str) -> Self {
        let mut details = json!({"name": name, "group": group, "kind": what});
        if let Some(members) = details.as_object_mut().filter(|_| group.is_empty()) {
            members.remove("group");
        }
        self.with(details)
    }

    pub(super) fn bad_request(message: &str) -> Self {
        Self::new(400, "BadRequest", message)
    }

    pub(super) fn internal(message: &str) -> Self {
        let text = format!("Internal error occurred: {message}");
        Self::new(500, "InternalError", &text).with(json!({"causes": [{"message": message}]}))
    }

    pub(super) fn not_found(kind: &ResourceKind, name: &str) -> Self {
        let message = format!("{} \"{name}\" not found", kind.qualified());
        Self::new(404, "NotFound", &message).about(&kind.plural, &kind.group, name)
    }

    pub(super) fn already_exists(kind: &ResourceKind, name: &str) -> Self {
        let message = format!("{} \"{name}\" already exists", kind.qualified());
        Self::new(409, "AlreadyExists", &message).about(&kind.plural, &kind.group, name)
    }

    /// Returns the conflict of a write against a newer version.
    pub(super) fn modified(kind: &ResourceKind, name: &str) -> Self {
        let why = "the object has been modified; please apply your changes to the latest version \
                   and try again";
        Self::conflict(&kind.plural, &kind.group, name, why)
    }

    /// Returns a conflict. `what` is a resource or a kind, whichever the API server uses in this
    /// message.
    pub(super) fn conflict(what: &str, group: &str, name: &str, why: &str) -> Self {
        let qualified = super::kinds::qualified(what, group);
        let message = format!("Operation cannot be fulfilled on {qualified} \"{name}\": {why}");
        Self::new(409, "Conflict", &message).about(what, group, name)
    }

    pub(super) fn invalid(kind: &ResourceKind, name: &str, causes: &[FieldCause]) -> Self {
        let text: Vec<String> = causes.iter().map(FieldCause::describe).collect();
        let text = match &text[..] {
            [one] => one.clone(),
            several => format!("[{}]", several.join(", ")),
        };
        let message = format!("{} \"{name}\" is invalid: {text}", kind.qualified_kind());
        let mut refusal = Self::new(422, "Invalid", &message).about(&kind.kind, &kind.group, name);
        let causes: Vec<Value> = causes.iter().map(FieldCause::json).collect();
        if let Some(details) = &mut refusal.details {
            details["causes"] = Value::from(causes);
        }
        refusal
    }

    /// Returns the error for a `continue` token or a resourceVersion that has expired.
    pub(super) fn expired(message: &str) -> Self {
        Self::new(410, "Expired", message)
    }

    pub(super) fn status(&self) -> Value {
        let mut status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "reason": self.reason, "code": self.code,
        });
        if let Some(details) = &self.details {
            status["details"] = details.clone();
        }
        status
    }

    pub(super) fn answer(&self) -> JsonResponse {
        JsonResponse {
            retry_after: self.retry_after,
            ..JsonResponse::new(self.code, &self.status())
        }
    }
}

impl From<Value> for ApiStatus {
    /// Parses a Status that a webhook returned.
    fn from(status: Value) -> Self {
        let text = |key: &str| status[key].as_str().unwrap_or_default();
        let code = status["code"].as_u64().and_then(|c| u16::try_from(c).ok());
        Self {
            details: status.get("details").cloned(),
            ..Self::new(code.unwrap_or(400), text("reason"), text("message"))
        }
    }
}
