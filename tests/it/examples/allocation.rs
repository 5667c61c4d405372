//! Examples of what pools allocate and refuse: the last pod is created, the others exist.

use std::sync::Arc;

use libtest_mimic::Failed;
use nadmit::{
    admission::{AdmissionResponse, Decision, Review, ReviewContext, Webhook, decide},
    allocation::{SharedIndex, Stored, Timestamp, Version, Write, reconcile::adopt},
    catalog::Catalog,
    manifests,
    rules::{Example, Policy},
    sources,
};
use serde_json::Value;

use crate::support;

/// The webhooks that review the pod.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum ReviewPath {
    /// Both webhooks.
    Whole,
    /// Only the validating webhook.
    ValidateOnly,
    /// Both, with an additional annotation that leaves no room.
    Long,
}

/// Returns the response of `/mutate` and, if that allows the pod, of `/validate`.
pub(super) fn judged(way: ReviewPath, example: Example) -> Result<AdmissionResponse, Failed> {
    let Some((pod, world)) = example.0.split_last() else {
        return Err("no document".into());
    };
    let read = manifests::read(&world.join("---\n"), "world.yaml");
    if let Some(error) = read.errors.first() {
        return Err(error.to_string().into());
    }
    let (catalog, _) = sources::catalog_of([("world.yaml", read.objects)]);
    let index = SharedIndex::default();
    settle(&catalog, &index);
    let mut pod: Value = serde_saphyr::from_str(pod)?;
    if way == ReviewPath::Long {
        pod["metadata"]["annotations"]["example.com/notes"] = "x".repeat((256 << 10) - 100).into();
    }
    if way != ReviewPath::ValidateOnly {
        let answer = ask(Webhook::Mutate, &pod, &catalog, &index)?;
        if !answer.findings().is_empty() {
            return Ok(answer);
        }
        if let Some(patch) = answer.patch() {
            json_patch::patch(&mut pod, patch)?;
        }
    }
    ask(Webhook::Validate, &pod, &catalog, &index)
}

fn ask(
    webhook: Webhook,
    pod: &Value,
    catalog: &Catalog,
    index: &SharedIndex,
) -> Result<AdmissionResponse, Failed> {
    let body = support::create(pod);
    let review = Review::parse(&body)?;
    let policy = Policy::default();
    let context = ReviewContext::authoritative(catalog, &policy, index);
    match decide(webhook, &review.request, &context) {
        Decision::Respond(answer) => Ok(answer),
        Decision::Commit(plan) => {
            let versions: Vec<Version> = (100..).take(plan.writes.len()).map(Version).collect();
            index.lock().commit(plan.plan_id, &versions);
            Ok(plan.response)
        }
        other => Err(format!("no answer, but {other:?}").into()),
    }
}

/// Records what is in use, as a server does before its pools allocate anything.
fn settle(catalog: &Catalog, index: &SharedIndex) {
    let mut index = index.synced(catalog.pool_config());
    let in_use = catalog.addresses_in_use("kube-system");
    let layout = Arc::clone(catalog.pool_config());
    let actions = adopt(&layout, &in_use, Timestamp(0));
    let writes = actions.into_iter().filter_map(|action| action.write);
    for (number, write) in (1..).zip(writes) {
        if let Write::Create(allocation) = write {
            index.apply(Stored {
                allocation,
                version: Version(number),
            });
        }
    }
    for pool in layout.pools.keys() {
        index.set_ready(pool);
    }
}
