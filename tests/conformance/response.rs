//! The response, parsed strictly: members that the API does not have are errors.

use std::collections::BTreeMap;

use serde::Deserialize;

/// The returned `AdmissionReview`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Review {
    #[serde(rename = "apiVersion")]
    pub(crate) api_version: String,
    pub(crate) kind: String,
    pub(crate) response: Response,
}

/// `AdmissionResponse` of `admission.k8s.io/v1`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Response {
    pub(crate) uid: String,
    pub(crate) allowed: bool,
    pub(crate) status: Option<Status>,
    #[serde(default)]
    pub(crate) warnings: Vec<String>,
    #[serde(default)]
    pub(crate) audit_annotations: BTreeMap<String, String>,
    pub(crate) patch: Option<String>,
    pub(crate) patch_type: Option<String>,
}

/// `Status` of `meta/v1`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Status {
    pub(crate) status: String,
    pub(crate) message: String,
    pub(crate) reason: String,
    pub(crate) code: u16,
    pub(crate) details: Details,
}

/// `StatusDetails` of `meta/v1`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Details {
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) causes: Vec<Cause>,
}

/// `StatusCause` of `meta/v1`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Cause {
    pub(crate) reason: String,
    pub(crate) field: String,
    pub(crate) message: String,
}
