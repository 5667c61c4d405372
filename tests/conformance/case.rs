//! A case file: one request, and the expected response.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::Value;

use crate::expect::Expect;

/// The networks of a case that names no others.
pub(crate) const MANIFESTS: &str = "tests/conformance/manifests";

/// The contents of a case file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct CaseFile {
    /// One sentence: the property that the case shows.
    pub(crate) about: String,
    /// The folder to serve, from the root of the crate; [`MANIFESTS`] if absent.
    pub(crate) manifests: Option<PathBuf>,
    /// The parameters of the request.
    pub(crate) request: Sending,
    /// A captured review to send, by its name in `tests/fixtures/reviews`.
    pub(crate) review: Option<String>,
    /// Changes to that review: an RFC 6902 patch.
    pub(crate) patch: Option<json_patch::Patch>,
    /// Changes to that review: an RFC 7386 merge patch, made before `patch`.
    pub(crate) merge: Option<Value>,
    /// A pod to wrap into a review.
    pub(crate) pod: Option<PodSpec>,
    /// The pod before the update; the review is then of an UPDATE (a DELETE without `pod`).
    pub(crate) old: Option<PodSpec>,
    /// The members of the review besides the pod.
    pub(crate) admission: ReviewSpec,
    /// A body that is sent unchanged.
    pub(crate) body: Option<Body>,
    /// The expected response.
    pub(crate) expect: Expect,
}

/// The parameters of a request.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Sending {
    /// The path, with its parameters.
    pub(crate) path: String,
    /// The method.
    pub(crate) method: String,
    /// Headers besides `content-type: application/json`; `null` removes one.
    pub(crate) headers: BTreeMap<String, Option<String>>,
    /// Further options of curl.
    pub(crate) curl: Vec<String>,
    /// The number of times that it is sent, one after another, by one curl.
    pub(crate) times: usize,
}

/// A pod in short form.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct PodSpec {
    /// The pod's name: `app-0` unless it has a `generate_name`.
    pub(crate) name: Option<String>,
    /// The prefix of its generated name.
    pub(crate) generate_name: Option<String>,
    /// The pod's namespace; `db` if absent.
    pub(crate) namespace: Option<String>,
    /// The annotation `k8s.v1.cni.cncf.io/networks`.
    pub(crate) networks: Option<String>,
    /// The annotation `v1.multus-cni.io/default-network`.
    pub(crate) default_network: Option<String>,
    /// Other annotations.
    pub(crate) annotations: BTreeMap<String, String>,
    /// The pod's labels.
    pub(crate) labels: BTreeMap<String, String>,
    /// The time of its deletion request.
    pub(crate) deletion_timestamp: Option<String>,
    /// Members of its spec besides one container.
    pub(crate) spec: serde_json::Map<String, Value>,
}

/// The members of a review besides the object. Absent ones follow from the pods.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ReviewSpec {
    /// `CREATE`, `UPDATE`, `DELETE` or `CONNECT`.
    pub(crate) operation: Option<String>,
    /// `status`, `resize` and the like.
    pub(crate) subresource: Option<String>,
    /// The user who sent the request.
    pub(crate) user: Option<String>,
    /// Set for a dry run.
    pub(crate) dry_run: bool,
}

/// A raw body.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Body {
    /// This text.
    Text(String),
    /// These bytes.
    Base64(String),
    /// A valid review of exactly this many bytes, most of them in an annotation.
    ReviewOfBytes(usize),
}

impl Default for Sending {
    fn default() -> Self {
        Self {
            path: "/validate".to_owned(),
            method: "POST".to_owned(),
            headers: BTreeMap::new(),
            curl: Vec::new(),
            times: 1,
        }
    }
}

impl CaseFile {
    /// Reads a case file.
    pub(crate) fn read(file: &Path) -> Result<Self> {
        let text = fs::read_to_string(file).with_context(|| format!("{}", file.display()))?;
        let case: Self =
            serde_saphyr::from_str(&text).with_context(|| format!("{}", file.display()))?;
        case.check()
            .with_context(|| format!("{}", file.display()))?;
        Ok(case)
    }

    /// Returns the folder to serve.
    pub(crate) fn manifests(&self) -> &Path {
        self.manifests.as_deref().unwrap_or(Path::new(MANIFESTS))
    }

    /// Checks that the case has one request and an expected response.
    fn check(&self) -> Result<()> {
        ensure!(
            !self.about.is_empty(),
            "\"about\" is empty; write what holds"
        );
        let pod = self.pod.is_some() || self.old.is_some();
        let questions = [pod, self.review.is_some(), self.body.is_some()];
        ensure!(
            questions.into_iter().filter(|asked| *asked).count() <= 1,
            "more than one of \"pod\", \"review\" and \"body\"; write one"
        );
        ensure!(
            self.review.is_some() || (self.patch.is_none() && self.merge.is_none()),
            "\"patch\" and \"merge\" change a \"review\", but there is none"
        );
        self.expect.check()
    }
}
