//! Counters of reviews, on the hot path.
//!
//! A lookup by labels hashes four strings under a lock. Each counter is therefore looked up once
//! and stored in a table, indexed by its labels. Counters that were never incremented are not
//! exported.

use std::{array, sync::OnceLock};

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
};

use nadmit_admission::{AdmissionRequest, Operation, Verdict, Webhook};

/// Resources counted by name; all others are counted as `other`, the last entry.
const RESOURCES: [&str; 6] = [
    "pods",
    "pods/status",
    "pods/binding",
    "bindings",
    "network-attachment-definitions",
    "other",
];
const WEBHOOKS: usize = 2;
const OPERATIONS: usize = 4;
const VERDICTS: usize = 3;

/// Reviews by webhook, resource, operation and decision.
#[derive(Debug)]
pub(super) struct ReviewCounters {
    family: Family<ReviewMetricLabels, Counter>,
    counters: [OnceLock<Counter>; WEBHOOKS * RESOURCES.len() * OPERATIONS * VERDICTS],
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ReviewMetricLabels {
    webhook: &'static str,
    resource: &'static str,
    operation: &'static str,
    decision: &'static str,
}

impl Default for ReviewCounters {
    fn default() -> Self {
        Self {
            family: Family::default(),
            counters: array::from_fn(|_| OnceLock::new()),
        }
    }
}

impl ReviewCounters {
    /// Returns the metric family to register.
    pub(super) fn family(&self) -> Family<ReviewMetricLabels, Counter> {
        self.family.clone()
    }

    pub(super) fn count(&self, webhook: Webhook, request: &AdmissionRequest<'_>, verdict: Verdict) {
        let resource = resource_index(request);
        let mut index = webhook_index(webhook);
        index = index * RESOURCES.len() + resource;
        index = index * OPERATIONS + operation_index(request.operation);
        index = index * VERDICTS + verdict_index(verdict);
        let counter = self.counters[index].get_or_init(|| {
            self.family.get_or_create_owned(&ReviewMetricLabels {
                webhook: webhook_name(webhook),
                resource: RESOURCES[resource],
                operation: request.operation.name(),
                decision: verdict.name(),
            })
        });
        counter.inc();
    }
}

/// Returns the name of a webhook in metrics and logs.
pub(crate) fn webhook_name(webhook: Webhook) -> &'static str {
    match webhook {
        Webhook::Validate => "validate",
        Webhook::Mutate => "mutate",
    }
}

/// Returns the index of the request's resource in [`RESOURCES`].
fn resource_index(request: &AdmissionRequest<'_>) -> usize {
    let group = &*request.resource.group;
    let resource = &*request.resource.resource;
    let subresource = request.subresource.as_deref().unwrap_or_default();
    match (group, resource, subresource) {
        ("", "pods", "") => 0,
        ("", "pods", "status") => 1,
        ("", "pods", "binding") => 2,
        ("", "bindings", "") => 3,
        ("k8s.cni.cncf.io", "network-attachment-definitions", "") => 4,
        _ => 5,
    }
}

pub(super) fn webhook_index(webhook: Webhook) -> usize {
    match webhook {
        Webhook::Validate => 0,
        Webhook::Mutate => 1,
    }
}

fn operation_index(operation: Operation) -> usize {
    match operation {
        Operation::Create => 0,
        Operation::Update => 1,
        Operation::Delete => 2,
        Operation::Connect => 3,
    }
}

fn verdict_index(verdict: Verdict) -> usize {
    match verdict {
        Verdict::Allow => 0,
        Verdict::Warn => 1,
        Verdict::Deny => 2,
    }
}
