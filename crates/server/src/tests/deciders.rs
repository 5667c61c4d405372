//! Stand-ins for the server's dependencies: decisions that the rules would seldom make, and a live
//! catalog with scripted results.

use std::sync::{Arc, Mutex};

use arc_swap::ArcSwapOption;
use tokio::sync::Notify;

use nadmit_admission::{
    AdmissionRequest as ReviewRequest, AdmissionResponse, Decision, Freshness, ReviewContext,
    Webhook,
};
use nadmit_catalog::{Catalog, LiveCatalog, LiveRead, LiveReadError, LiveReadFuture};
use nadmit_rules::{Finding, Level};

/// A fake live catalog.
pub(super) enum FakeOrigin {
    Answers,
    Fails,
    /// Completes when notified.
    Waits(Arc<Notify>),
    /// Publishes a catalog that declares the namespace `db`.
    Publishes(Mutex<Option<Arc<ArcSwapOption<Catalog>>>>),
}

impl LiveCatalog for FakeOrigin {
    fn refresh<'a>(&'a self, reads: &'a [LiveRead]) -> LiveReadFuture<'a> {
        Box::pin(async move {
            assert_eq!(reads.len(), 1);
            match self {
                Self::Answers => {}
                Self::Fails => return Err(LiveReadError::Folder("the origin is away".into())),
                Self::Waits(proceed) => proceed.notified().await,
                Self::Publishes(catalog) => {
                    let fresh = Catalog::new(
                        [("db".into(), nadmit_catalog::NamespaceLabels::default())],
                        [],
                        [],
                    );
                    let catalog = catalog.lock().unwrap();
                    catalog.as_ref().unwrap().store(Some(Arc::new(fresh)));
                }
            }
            Ok(())
        })
    }
}

/// Denies reviews if the namespace `db` is verified to be absent.
pub(super) fn deny_unless_found(
    _: Webhook,
    request: &ReviewRequest<'_>,
    context: &ReviewContext<'_>,
) -> Decision {
    unless_db_is_there(request, context, Level::Deny, Decision::VerifyLive)
}

/// Warns about reviews if the namespace `db` is absent.
pub(super) fn warn_unless_found(
    _: Webhook,
    request: &ReviewRequest<'_>,
    context: &ReviewContext<'_>,
) -> Decision {
    unless_db_is_there(request, context, Level::Warn, Decision::Refresh)
}

/// Allows reviews if the namespace `db` exists. Otherwise it first requests a live read with
/// `look_up`, then reports a finding at `level`.
fn unless_db_is_there(
    request: &ReviewRequest<'_>,
    context: &ReviewContext<'_>,
    level: Level,
    look_up: fn(Vec<LiveRead>) -> Decision,
) -> Decision {
    if context.catalog.namespace("db").is_some() {
        return Decision::Respond(AdmissionResponse::allow(request));
    }
    let lookup = LiveRead::Network {
        namespace: "db".into(),
        name: "storage".into(),
    };
    if context.freshness == Freshness::Cached {
        return look_up(vec![lookup]);
    }
    let finding = Finding {
        code: "unknown-network",
        level,
        would_deny: false,
        field: "metadata".to_owned(),
        position: None,
        span: None,
        message: "it is not there".to_owned(),
        detail: String::new(),
        help: "make it".to_owned(),
        requires_live_read: Some(lookup),
    };
    Decision::Respond(AdmissionResponse::new(request, vec![finding]))
}

/// Panics in `/validate`, but not in `/mutate`.
pub(super) fn panics(
    webhook: Webhook,
    request: &ReviewRequest<'_>,
    _: &ReviewContext<'_>,
) -> Decision {
    assert!(webhook == Webhook::Mutate, "a bug of ours");
    Decision::Respond(AdmissionResponse::allow(request))
}
