//! The response, parsed strictly: members that the API does not have are errors.

use std::collections::BTreeMap;

use serde::Deserialize;

/// The returned `AdmissionReview`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReviewBody {
    #[serde(rename = "apiVersion")]
    pub(crate) api_version: String,
    pub(crate) kind: String,
    pub(crate) response: ReviewResponse,
}

/// `AdmissionResponse` of `admission.k8s.io/v1`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct ReviewResponse {
    pub(crate) uid: String,
    pub(crate) allowed: bool,
    pub(crate) status: Option<ResponseStatus>,
    #[serde(default)]
    pub(crate) warnings: Vec<String>,
    #[serde(default)]
    pub(crate) audit_annotations: BTreeMap<String, String>,
    pub(crate) patch: Option<String>,
    pub(crate) patch_type: Option<String>,
}

/// `ResponseStatus` of `meta/v1`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ResponseStatus {
    pub(crate) status: String,
    pub(crate) message: String,
    pub(crate) reason: String,
    pub(crate) code: u16,
    pub(crate) details: StatusDetails,
}

/// `StatusDetails` of `meta/v1`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct StatusDetails {
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) causes: Vec<StatusCause>,
}

/// `StatusCause` of `meta/v1`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StatusCause {
    pub(crate) reason: String,
    pub(crate) field: String,
    pub(crate) message: String,
}
