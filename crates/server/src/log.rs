//! Logs of the server: one line for each review and each rejected request.
//!
//! They are events without spans: a disabled level costs one comparison. Text from clients is
//! logged as fields, which are escaped. Bodies are never logged.

use std::time::Duration;

use tracing::{debug, error, info, warn};

use super::{metrics::webhook_name, reject::Reject};
use nadmit_admission::{AdmissionRequest, AdmissionResponse, Verdict, Webhook};

/// Logs a review, at debug level if it was allowed without warnings.
pub(super) fn answered(
    webhook: Webhook,
    request: &AdmissionRequest<'_>,
    response: &AdmissionResponse,
    elapsed: Duration,
) {
    // A macro, because tracing needs the level at compile time.
    macro_rules! line {
        ($level:ident, $text:expr) => {
            $level!(
                uid = &*request.uid,
                webhook = webhook_name(webhook),
                resource = &*request.resource.resource,
                subresource = request.subresource.as_deref(),
                operation = request.operation.name(),
                namespace = response.namespace(),
                name = response.name(),
                user = &*request.user_info.username,
                dry_run = request.dry_run.unwrap_or(false),
                decision = response.verdict().name(),
                codes = response.codes().join(","),
                elapsed = ?elapsed,
                $text
            )
        };
    }
    match response.verdict() {
        Verdict::Allow => line!(debug, "allowed"),
        Verdict::Warn => line!(info, "allowed with warnings"),
        Verdict::Deny => line!(info, "denied"),
    }
}

/// Logs a request that was rejected without a review.
pub(super) fn rejected(method: &str, path: &str, reject: &Reject) {
    let status = reject.reason.status();
    let reason = reject.reason.name();
    let sentence = reject.sentence.as_str();
    if status.is_server_error() {
        warn!(
            method,
            path,
            status = status.as_u16(),
            reason,
            sentence,
            "request failed"
        );
    } else {
        info!(
            method,
            path,
            status = status.as_u16(),
            reason,
            sentence,
            "request rejected"
        );
    }
}

/// Logs a failed live read with the review that needed it.
pub(super) fn live_read_failed(webhook: Webhook, request: &AdmissionRequest<'_>, problem: &str) {
    warn!(
        uid = &*request.uid,
        webhook = webhook_name(webhook),
        namespace = request.namespace.as_deref(),
        name = request.name.as_deref(),
        problem,
        "live read failed"
    );
}

/// Logs a caught panic.
pub(super) fn panicked(payload: &(dyn std::any::Any + Send)) {
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    error!(
        panic = text.unwrap_or("unknown"),
        "request handler panicked; please report this"
    );
}
