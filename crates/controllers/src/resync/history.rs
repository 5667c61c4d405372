//! The last run of the resync, shared by all replicas in an annotation of the Lease.

use std::{fmt::Display, time::Duration};

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use kube::{
    Client,
    api::{Api, Patch, PatchParams},
};
use serde::{Deserialize, Serialize};
use serde_json::json;

use nadmit_api::call::{ApiError, RetryPolicy, call};

/// The annotation; its value is JSON.
const ANNOTATION: &str = "nadmit.io/full-comparison";
/// The maximum number of characters of a run's message.
const MAX_MESSAGE_CHARS: usize = 200;

/// A run of the full resync.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResyncRun {
    /// The scheduled time of the run.
    pub due: Timestamp,
    /// The time at which it started.
    pub started: Timestamp,
    /// The time at which it ended; absent while it runs and if it was interrupted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Timestamp>,
    /// True if it ended without an error.
    #[serde(default)]
    pub succeeded: bool,
    /// A summary of the result, or the error.
    #[serde(default)]
    pub message: String,
}

impl ResyncRun {
    pub(super) fn begun(due: Timestamp, started: Timestamp) -> Self {
        Self {
            due,
            started,
            ended: None,
            succeeded: false,
            message: String::new(),
        }
    }

    pub(super) fn end<S: Display, E: Display>(&mut self, ended: Timestamp, outcome: &Result<S, E>) {
        self.ended = Some(ended);
        self.succeeded = outcome.is_ok();
        let message = match outcome {
            Ok(summary) => summary.to_string(),
            Err(error) => error.to_string(),
        };
        self.message = message.chars().take(MAX_MESSAGE_CHARS).collect();
    }

    /// Returns true if the run has ended, with an error or without.
    pub fn is_over(&self) -> bool {
        self.ended.is_some()
    }
}

/// The store of the last run. It needs `get` and `patch` on the Lease.
#[derive(Clone)]
pub struct ResyncHistory {
    api: Api<Lease>,
    name: String,
    patience: RetryPolicy,
}

impl ResyncHistory {
    /// Uses the Lease `name` in nadmit's own namespace. Sends no request.
    pub fn new(client: Client, namespace: &str, name: &str) -> Self {
        Self {
            api: Api::namespaced(client, namespace),
            name: name.to_owned(),
            patience: RetryPolicy::default().within(Duration::from_secs(5)),
        }
    }

    /// Returns the last run; `None` without a valid record of one.
    pub(super) async fn last(&self) -> Result<Option<ResyncRun>, ApiError> {
        let lease = match call(self.patience, || self.api.get(&self.name)).await {
            Ok(lease) => lease,
            Err(ApiError::NotFound(_)) => return Ok(None),
            Err(error) => return Err(error),
        };
        let annotations = lease.metadata.annotations.unwrap_or_default();
        let recorded = annotations.get(ANNOTATION);
        Ok(recorded.and_then(|text| serde_json::from_str(text).ok()))
    }

    /// Records a run, replacing the one before.
    pub(super) async fn record(&self, run: &ResyncRun) -> Result<(), ApiError> {
        // A run consists of times and text, which always serialize.
        let text = serde_json::to_string(run).unwrap_or_default();
        let patch = json!({"metadata": {"annotations": {ANNOTATION: text}}});
        let params = PatchParams::default();
        let patch = Patch::Merge(&patch);
        call(self.patience, || {
            self.api.patch(&self.name, &params, &patch)
        })
        .await?;
        Ok(())
    }
}
