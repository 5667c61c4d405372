//! What the server tells: a line for each review that says something, and for each refusal.
//!
//! Events with fields, no spans: when a level is off, its line costs one comparison. Texts that
//! come from callers are fields, which are escaped; bodies are never told.

use std::time::Duration;

use tracing::{debug, error, info, warn};

use super::{metrics::webhook_name, reject::Reject};
use crate::admission::{AdmissionRequest, AdmissionResponse, Verdict, Webhook};

/// Tells of a review: at debug if it was simply allowed.
pub(super) fn answered(
    webhook: Webhook,
    request: &AdmissionRequest<'_>,
    answer: &AdmissionResponse,
    elapsed: Duration,
) {
    // A macro, for tracing wants the level at compile time.
    macro_rules! line {
        ($level:ident, $text:expr) => {
            $level!(
                uid = &*request.uid,
                webhook = webhook_name(webhook),
                resource = &*request.resource.resource,
                subresource = request.subresource.as_deref(),
                operation = request.operation.name(),
                namespace = answer.namespace(),
                name = answer.name(),
                user = &*request.user_info.username,
                dry_run = request.dry_run.unwrap_or(false),
                decision = answer.verdict().name(),
                codes = answer.codes().join(","),
                elapsed = ?elapsed,
                $text
            )
        };
    }
    match answer.verdict() {
        Verdict::Allow => line!(debug, "allowed"),
        Verdict::Warn => line!(info, "allowed with warnings"),
        Verdict::Deny => line!(info, "denied"),
    }
}

/// Tells of a request that got no review back.
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
            "request not answered"
        );
    } else {
        info!(
            method,
            path,
            status = status.as_u16(),
            reason,
            sentence,
            "request refused"
        );
    }
}

/// Tells of a look-up that failed, with the call that waited for it.
pub(super) fn live_read_failed(webhook: Webhook, request: &AdmissionRequest<'_>, problem: &str) {
    warn!(
        uid = &*request.uid,
        webhook = webhook_name(webhook),
        namespace = request.namespace.as_deref(),
        name = request.name.as_deref(),
        problem,
        "a denial could not be confirmed"
    );
}

/// Tells of a panic that was caught.
pub(super) fn panicked(payload: &(dyn std::any::Any + Send)) {
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    error!(
        panic = text.unwrap_or("without words"),
        "a request made the server panic; please report this"
    );
}
