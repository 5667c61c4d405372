//! The response: an `AdmissionReview` with a `response`.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use json_patch::Patch;
use serde::Serialize;

use super::{
    review::{API_VERSION, AdmissionRequest, KIND},
    status_message::{bounded, others, short_path, status_message, tag},
};
use nadmit_rules::{Finding, Level};

/// HTTP status "unprocessable content", which the API server passes on to the user.
const UNPROCESSABLE: u16 = 422;
/// The status reason for which kubectl lists the causes one by one.
const INVALID: &str = "Invalid";

/// HTTP status "service unavailable", after which clients retry, and its status reason.
const SERVICE_UNAVAILABLE: (u16, &str) = (503, "ServiceUnavailable");
/// HTTP status "content too large", and its status reason.
const TOO_LARGE: (u16, &str) = (413, "RequestEntityTooLarge");

/// The maximum number of warnings. The API server shortens all of them if they are too long together.
const MAX_WARNINGS: usize = 20;

/// The initial buffer size: enough for a response without findings.
const TYPICAL_BYTES: usize = 192;

/// The response to one review, with all findings.
#[derive(Debug, Clone, PartialEq)]
pub struct AdmissionResponse {
    kind: String,
    name: String,
    namespace: String,
    findings: Vec<Finding>,
    patch: Option<Patch>,
    /// Set if the review is rejected without a decision.
    error: Option<ErrorStatus>,
}

/// A rejection without a decision: HTTP code, status reason and message.
#[derive(Debug, Clone, PartialEq, Eq)]
struct ErrorStatus {
    status: (u16, &'static str),
    message: String,
}

/// The decision in one word, as logs, metrics and audit annotations show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Allowed without warnings.
    Allow,
    /// Allowed, with warnings.
    Warn,
    /// Denied.
    Deny,
}

impl Verdict {
    /// Returns the word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Warn => "warn",
            Self::Deny => "deny",
        }
    }
}

impl AdmissionResponse {
    /// Returns a response that allows the request, without findings.
    pub fn allow(request: &AdmissionRequest<'_>) -> Self {
        Self::new(request, Vec::new())
    }

    /// Returns the response for these findings: denied if one of them denies.
    pub fn new(request: &AdmissionRequest<'_>, findings: Vec<Finding>) -> Self {
        // A controller's new pod has no name yet, only the prefix of its generated name.
        let metadata = request.object.as_deref().map(|object| &object.metadata);
        // In a collection's deletion, only the object itself has the name.
        let deleted = request.old_object.as_deref();
        let name = [
            request.name.as_deref(),
            metadata.and_then(|metadata| metadata.name.as_deref()),
            metadata.and_then(|metadata| metadata.generate_name.as_deref()),
            deleted.and_then(|object| object.metadata.name.as_deref()),
        ];
        let name = name.into_iter().flatten().find(|name| !name.is_empty());
        Self {
            kind: request.kind.kind.clone().into_owned(),
            name: name.unwrap_or_default().to_owned(),
            namespace: request.namespace.clone().unwrap_or_default().into_owned(),
            findings,
            patch: None,
            error: None,
        }
    }

    /// Returns a retryable rejection ("not ready") with this reason.
    pub fn unavailable(request: &AdmissionRequest<'_>, reason: String) -> Self {
        Self {
            error: Some(ErrorStatus {
                status: SERVICE_UNAVAILABLE,
                message: format!("[nadmit] not ready: {reason}"),
            }),
            ..Self::allow(request)
        }
    }

    /// Returns the rejection of a review that is too large to read.
    pub(super) fn too_large(reason: String) -> Self {
        Self {
            kind: String::new(),
            name: String::new(),
            namespace: String::new(),
            findings: Vec::new(),
            patch: None,
            error: Some(ErrorStatus {
                status: TOO_LARGE,
                message: reason,
            }),
        }
    }

    /// Returns this response with a patch of the object. An empty patch is dropped.
    #[must_use]
    pub fn with_patch(mut self, patch: Patch) -> Self {
        self.patch = Some(patch).filter(|patch| !patch.is_empty());
        self
    }

    /// Returns this response with the findings of an earlier one before its own.
    #[must_use]
    pub(super) fn with_earlier_findings(mut self, earlier: &Self) -> Self {
        self.findings = [earlier.findings.clone(), self.findings].concat();
        self
    }

    /// Returns the patch of the object, if there is one.
    pub fn patch(&self) -> Option<&Patch> {
        self.patch.as_ref()
    }

    /// Returns all findings, in the order of the rules.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// Returns the decision in one word.
    pub fn verdict(&self) -> Verdict {
        if self.error.is_some() {
            return Verdict::Deny;
        }
        match self.findings.iter().map(|finding| finding.level).max() {
            Some(Level::Deny) => Verdict::Deny,
            Some(Level::Warn) => Verdict::Warn,
            Some(Level::Off) | None => Verdict::Allow,
        }
    }

    /// Returns the object's name, or the prefix it is generated from; may be empty.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the object's namespace; may be empty.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Returns the denials in one line, the most blocking one first, and at most three; see
    /// [`status_message`](super::status_message).
    ///
    /// The line does not contain a pod's name: a controller emits an Event with it for each pod that
    /// it tries to create, and only equal Events are counted instead of repeated.
    pub fn message(&self) -> String {
        if let Some(error) = &self.error {
            return bounded(&error.message);
        }
        let denied: Vec<&Finding> = self.denied().collect();
        status_message(&denied, self.object().as_deref())
    }

    /// Returns the object's kind and name; `None` for pods, which controllers create under ever new
    /// names.
    fn object(&self) -> Option<String> {
        if ["Pod", "Binding"].contains(&&*self.kind) {
            return None;
        }
        // Cluster-scoped objects have no namespace.
        let slash = if self.namespace.is_empty() { "" } else { "/" };
        let (kind, namespace) = (self.kind.to_lowercase(), &self.namespace);
        let name = format!("{namespace}{slash}{}", self.name);
        Some(format!("{kind} {name:?}"))
    }

    /// Returns the JSON of the `AdmissionReview` that answers the request `uid`.
    pub fn to_json(&self, uid: &str) -> Vec<u8> {
        let review = ReviewJson {
            api_version: API_VERSION,
            kind: KIND,
            response: ResponseJson {
                uid,
                allowed: self.verdict() != Verdict::Deny,
                status: (self.verdict() == Verdict::Deny).then(|| self.status()),
                warnings: self.warnings(),
                audit_annotations: (!self.findings.is_empty()).then(|| AuditJson {
                    decision: self.verdict().name(),
                    findings: self.codes().join(","),
                }),
                patch_type: self.patch.as_ref().map(|_| "JSONPatch"),
                patch: self
                    .patch
                    .as_ref()
                    .map(|patch| STANDARD.encode(serde_json::to_vec(patch).unwrap_or_default())),
            },
        };
        let mut json = Vec::with_capacity(TYPICAL_BYTES);
        match serde_json::to_writer(&mut json, &review) {
            Ok(()) => json,
            // Strings, numbers and lists of them always serialize to memory.
            Err(_) => Vec::new(),
        }
    }

    /// Returns the codes of the findings, each once, in order.
    pub fn codes(&self) -> Vec<&'static str> {
        let mut codes: Vec<&'static str> = Vec::new();
        for finding in &self.findings {
            if !codes.contains(&finding.code) {
                codes.push(finding.code);
            }
        }
        codes
    }

    /// Returns the lines that the API server passes to the client as warnings. Control characters
    /// would make it drop the whole line.
    fn warnings(&self) -> Vec<String> {
        let warned = self
            .findings
            .iter()
            .filter(|finding| finding.level == Level::Warn);
        let others = others(warned.clone().count(), MAX_WARNINGS, "warning");
        let others = others.map(|others| format!("[nadmit] {others}"));
        warned
            .take(MAX_WARNINGS)
            .map(|finding| {
                let path = short_path(&finding.field);
                format!("{} {path}: {}", tag(finding.code), finding.sentence())
            })
            .chain(others)
            .map(|line| line.replace(char::is_control, " "))
            .collect()
    }

    fn denied(&self) -> impl Iterator<Item = &Finding> {
        self.findings
            .iter()
            .filter(|finding| finding.level == Level::Deny)
    }

    fn status(&self) -> StatusJson<'_> {
        let causes = self.denied().map(|finding| CauseJson {
            reason: finding.code,
            field: &finding.field,
            message: format!("{} {}", tag(finding.code), finding.sentence()),
        });
        let error = self.error.as_ref().map(|error| error.status);
        let (code, reason) = error.unwrap_or((UNPROCESSABLE, INVALID));
        StatusJson {
            status: "Failure",
            message: self.message(),
            reason,
            code,
            details: DetailsJson {
                name: &self.name,
                kind: &self.kind,
                causes: causes.collect(),
            },
        }
    }
}

#[derive(Serialize)]
struct ReviewJson<'a> {
    #[serde(rename = "apiVersion")]
    api_version: &'a str,
    kind: &'a str,
    response: ResponseJson<'a>,
}

#[derive(Serialize)]
struct ResponseJson<'a> {
    uid: &'a str,
    allowed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<StatusJson<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
    #[serde(rename = "auditAnnotations", skip_serializing_if = "Option::is_none")]
    audit_annotations: Option<AuditJson>,
    #[serde(rename = "patchType", skip_serializing_if = "Option::is_none")]
    patch_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch: Option<String>,
}

#[derive(Serialize)]
struct StatusJson<'a> {
    status: &'a str,
    message: String,
    reason: &'a str,
    code: u16,
    details: DetailsJson<'a>,
}

#[derive(Serialize)]
struct DetailsJson<'a> {
    name: &'a str,
    kind: &'a str,
    causes: Vec<CauseJson<'a>>,
}

#[derive(Serialize)]
struct CauseJson<'a> {
    reason: &'a str,
    field: &'a str,
    message: String,
}

/// The audit annotations; the API server prefixes each key with the webhook's name.
#[derive(Serialize)]
struct AuditJson {
    decision: &'static str,
    findings: String,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::Review;

    fn message(kind: &str, name: &str) -> String {
        let review = json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": {
            "uid": "u", "kind": {"kind": kind}, "resource": {"group": "", "resource": "x"},
            "operation": "CREATE", "namespace": "db",
            "object": {"metadata": {"name": name, "namespace": "db"}},
        }});
        let body = review.to_string();
        let review = Review::parse(body.as_bytes()).unwrap_or_else(|e| panic!("{e}"));
        let finding = |code| Finding {
            code,
            level: Level::Deny,
            would_deny: false,
            field: "spec.x".to_owned(),
            position: None,
            span: None,
            message: "it is not there".to_owned(),
            detail: String::new(),
            help: "create it".to_owned(),
            requires_live_read: None,
        };
        let findings = vec![finding("one"), finding("two")];
        AdmissionResponse::new(&review.request, findings).message()
    }

    #[test]
    fn warnings_beyond_the_limit_are_counted() {
        let warnings = |count: usize| {
            let warned = Finding {
                code: "one",
                level: Level::Warn,
                would_deny: false,
                field: "spec.x".to_owned(),
                position: None,
                span: None,
                message: "it is so".to_owned(),
                detail: String::new(),
                help: "fix it".to_owned(),
                requires_live_read: None,
            };
            let response = AdmissionResponse {
                kind: "Pod".to_owned(),
                name: String::new(),
                namespace: String::new(),
                findings: vec![warned; count],
                patch: None,
                error: None,
            };
            response.warnings()
        };
        assert_eq!(warnings(20).len(), 20);
        for (count, last) in [
            (21, "[nadmit] 1 more warning: run nadmit check"),
            (99, "[nadmit] 79 more warnings: run nadmit check"),
            (100, "[nadmit] 80 or more other warnings: run nadmit check"),
        ] {
            let lines = warnings(count);
            assert_eq!(lines.len(), 21);
            assert_eq!(lines.last().map(String::as_str), Some(last));
        }
    }

    #[test]
    fn messages_for_pods_of_one_controller_are_equal() {
        let first = message("Pod", "web-5f6d-abcde");
        assert_eq!(first, message("Pod", "web-5f6d-fghij"));
        assert_eq!(
            first,
            "[nadmit one] spec.x: it is not there; create it \
             | [nadmit two] spec.x: it is not there; create it"
        );
        let other = message("AddressPool", "storage");
        assert!(
            other.ends_with("create it (addresspool \"db/storage\")"),
            "{other}"
        );
    }
}
