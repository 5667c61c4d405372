//! The last run of the full comparison, where every replica reads it: an annotation of the Lease.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use kube::{
    Client,
    api::{Api, Patch, PatchParams},
};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::ResyncResult;
use crate::api::call::{Answer, Patience, call};

/// The annotation, in JSON.
const ANNOTATION: &str = "nadmit.io/full-comparison";
/// How many characters of an outcome's words are kept.
const MAX_MESSAGE_CHARS: usize = 200;

/// A run of the full comparison.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResyncRun {
    /// The scheduled time that it is for.
    pub due: Timestamp,
    /// When it began.
    pub started: Timestamp,
    /// When it ended; not yet, or never, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Timestamp>,
    /// Whether it came to its end without an error.
    #[serde(default)]
    pub succeeded: bool,
    /// What it came to, in words.
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

    pub(super) fn end(&mut self, ended: Timestamp, outcome: ResyncResult) {
        self.ended = Some(ended);
        self.succeeded = outcome.is_ok();
        let words = outcome.unwrap_or_else(|error| error);
        self.message = words.chars().take(MAX_MESSAGE_CHARS).collect();
    }

    /// Whether it has ended, with an error or without.
    pub fn is_over(&self) -> bool {
        self.ended.is_some()
    }
}

/// Where runs are recorded. It needs get and patch on the Lease.
#[derive(Clone)]
pub struct ResyncHistory {
    api: Api<Lease>,
    name: String,
    patience: Patience,
}

impl ResyncHistory {
    /// The annotation of the Lease `name` in nadmit's own namespace. Asks nothing yet.
    pub fn new(client: Client, namespace: &str, name: &str) -> Self {
        Self {
            api: Api::namespaced(client, namespace),
            name: name.to_owned(),
            patience: Patience::default().within(Duration::from_secs(5)),
        }
    }

    /// The last run; `None` if there is none, or what is written there is none.
    pub(super) async fn last(&self) -> Result<Option<ResyncRun>, Answer> {
        let lease = match call(self.patience, || self.api.get(&self.name)).await {
            Ok(lease) => lease,
            Err(Answer::NotFound(_)) => return Ok(None),
            Err(answer) => return Err(answer),
        };
        let annotations = lease.metadata.annotations.unwrap_or_default();
        let written = annotations.get(ANNOTATION);
        Ok(written.and_then(|text| serde_json::from_str(text).ok()))
    }

    /// Writes over the run before.
    pub(super) async fn record(&self, run: &ResyncRun) -> Result<(), Answer> {
        // A run is times and words, which JSON can always say.
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
