//! The expected response, and its differences from the actual one.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use serde::Deserialize;

use crate::{
    curl::{CurlOutcome, HttpAnswer},
    request::{CaseRequest, ObjectId},
    response::{ReviewBody, ReviewResponse, StatusCause},
};

/// The expectations of a response. An absent member is expected to be absent: a response that
/// denies or warns about more than is listed is wrong.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Expect {
    /// Set if the request is allowed. If it is not, `denied` has the reasons.
    pub(crate) allowed: Option<bool>,
    /// The causes of the denial, in any order.
    pub(crate) denied: Vec<ExpectedFinding>,
    /// The warnings, in any order.
    pub(crate) warned: Vec<ExpectedFinding>,
    /// A code that is denied or warned about, whatever other warnings there are. Not for case
    /// files, which list them all.
    #[serde(skip)]
    pub(crate) found: Option<String>,
    /// Parts of the status message.
    pub(crate) message: Vec<String>,
    /// The HTTP status; 200 if absent. Another status comes without a review.
    pub(crate) status: Option<u16>,
    /// Parts of the message that comes instead of a review.
    pub(crate) says: Vec<String>,
    /// Headers of the response, by their names in lower case.
    pub(crate) headers: BTreeMap<String, String>,
    /// `1.1` or `2`.
    pub(crate) http: Option<String>,
    /// The number of connections that were opened.
    pub(crate) connections: Option<u32>,
    /// curl's exit code if there is no response at all; parts of its error message are in `says`.
    pub(crate) curl_exit: Option<i32>,
}

/// One finding: a cause or a warning.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ExpectedFinding {
    /// The rule's code.
    pub(crate) code: String,
    /// The whole field path.
    pub(crate) field: Option<String>,
    /// Parts of the message.
    pub(crate) says: Vec<String>,
}

/// The differences of a response, one line each.
#[derive(Debug, Default)]
pub(crate) struct Mismatches(pub(crate) Vec<String>);

impl Mismatches {
    fn unless(&mut self, holds: bool, fault: impl FnOnce() -> String) {
        if !holds {
            self.0.push(fault());
        }
    }

    fn equal<T: PartialEq + std::fmt::Debug>(&mut self, what: &str, expected: T, got: T) {
        let fault = || format!("{what}: expected {expected:?}, got {got:?}");
        if expected != got {
            self.0.push(fault());
        }
    }

    fn parts(&mut self, what: &str, expected: &[String], got: &str) {
        for part in expected {
            self.unless(got.contains(part), || {
                format!("{what}: expected {part:?} in it, got {got:?}")
            });
        }
    }
}

impl Expect {
    /// Returns the expectation of an allowed request without findings.
    pub(crate) fn allowed() -> Self {
        Self {
            allowed: Some(true),
            ..Self::default()
        }
    }

    /// Returns the expectation of a denial for these codes.
    pub(crate) fn denied(codes: &[&str]) -> Self {
        let expected_text = |code: &&str| ExpectedFinding {
            code: (*code).to_owned(),
            ..ExpectedFinding::default()
        };
        Self {
            allowed: Some(false),
            denied: codes.iter().map(expected_text).collect(),
            ..Self::default()
        }
    }

    /// Returns the expectation of this code, and no other denial.
    pub(crate) fn found(code: &str) -> Self {
        Self {
            found: Some(code.to_owned()),
            ..Self::default()
        }
    }

    /// Checks that enough is specified for a response to fail.
    pub(crate) fn check(&self) -> Result<()> {
        let review = self.status.is_none() && self.curl_exit.is_none();
        ensure!(
            review == self.allowed.is_some(),
            "write either \"allowed\", or \"status\" or \"curl_exit\" of a request without a review"
        );
        ensure!(
            self.allowed.unwrap_or(true) == self.denied.is_empty(),
            "\"denied\" goes with \"allowed: false\", and only with it"
        );
        Ok(())
    }

    /// Compares the outcome with the expectation.
    pub(crate) fn judge(&self, question: &CaseRequest, exchange: &CurlOutcome) -> Mismatches {
        let mut faults = Mismatches::default();
        faults.equal("curl's exit", self.curl_exit.unwrap_or(0), exchange.exit);
        if self.curl_exit.is_some() {
            faults.parts("curl", &self.says, &exchange.complaint);
            return faults;
        }
        if let Some(connections) = self.connections {
            faults.equal("connections", connections, exchange.connections);
        }
        for answer in &exchange.answers {
            self.judge_http(question, answer, &mut faults);
        }
        faults
    }

    fn judge_http(&self, question: &CaseRequest, answer: &HttpAnswer, faults: &mut Mismatches) {
        let status = self.status.unwrap_or(200);
        faults.equal("HTTP status", status, answer.status);
        if let Some(version) = &self.http {
            faults.equal("HTTP version", version.as_str(), &answer.version);
        }
        for (name, value) in &self.headers {
            let got = answer.header(name);
            faults.equal(&format!("header {name}"), Some(value.as_str()), got);
        }
        let content_type = answer.header("content-type").unwrap_or_default();
        let body = String::from_utf8_lossy(&answer.body);
        if status != 200 {
            faults.unless(content_type.starts_with("text/plain"), || {
                format!("content-type: expected plain text, got {content_type:?}")
            });
            faults.parts("the sentence", &self.says, &body);
            faults.equal("lines of the answer", 1, body.lines().count());
            return;
        }
        faults.equal("content-type", "application/json", content_type);
        match serde_json::from_slice::<ReviewBody>(&answer.body) {
            Ok(review) => self.judge_review(question, &review, faults),
            Err(error) => faults
                .0
                .push(format!("the body is no AdmissionReview: {error}")),
        }
    }

    fn judge_review(&self, question: &CaseRequest, review: &ReviewBody, faults: &mut Mismatches) {
        let response = &review.response;
        faults.equal("kind", "AdmissionReview", &review.kind);
        faults.equal("apiVersion", "admission.k8s.io/v1", &review.api_version);
        faults.equal("uid", question.uid.as_deref(), Some(response.uid.as_str()));
        faults.equal("patch", None, response.patch.as_deref());
        faults.equal("patchType", None, response.patch_type.as_deref());
        if let Some(allowed) = self.allowed {
            faults.equal("allowed", allowed, response.allowed);
        }
        let causes = causes(response);
        let warnings: Vec<StatusCause> =
            response.warnings.iter().map(|line| warning(line)).collect();
        if let Some(code) = &self.found {
            find(code, &causes, &warnings, faults);
        } else {
            compare("denied", &self.denied, &causes, faults);
            let warned: Vec<ExpectedFinding> = self.warned.iter().map(shortened).collect();
            compare("warned", &warned, &warnings, faults);
        }
        judge_status(question.object.as_ref(), response, faults);
        let message = response
            .status
            .as_ref()
            .map(|status| status.message.as_str());
        faults.parts("status.message", &self.message, message.unwrap_or_default());
        judge_audit(&causes, &warnings, response, faults);
    }
}

/// Returns an expected warning, whose path is short.
fn shortened(expected: &ExpectedFinding) -> ExpectedFinding {
    ExpectedFinding {
        field: expected.field.as_deref().map(short_path),
        ..expected.clone()
    }
}

fn causes(response: &ReviewResponse) -> Vec<StatusCause> {
    let details = response.status.as_ref().map(|status| &status.details);
    details
        .map(|details| details.causes.clone())
        .unwrap_or_default()
}

/// Parses a warning: `[nadmit code] path: message`.
fn warning(line: &str) -> StatusCause {
    let parts = line
        .strip_prefix("[nadmit ")
        .and_then(|rest| rest.split_once("] "));
    let (code, rest) = parts.unwrap_or(("", line));
    let (field, message) = rest.split_once(": ").unwrap_or(("", rest));
    StatusCause {
        reason: code.to_owned(),
        field: field.to_owned(),
        message: message.to_owned(),
    }
}

/// Checks that each expected finding is present, and no other.
fn compare(what: &str, expected: &[ExpectedFinding], got: &[StatusCause], faults: &mut Mismatches) {
    let mut left: Vec<&StatusCause> = got.iter().collect();
    for expected_text in expected {
        match left.iter().position(|cause| expected_text.fits(cause)) {
            Some(index) => {
                left.remove(index);
            }
            None => faults.0.push(format!("{what}: expected {expected_text:?}")),
        }
    }
    let unexpected = left
        .into_iter()
        .map(|cause| format!("{what}: got {cause:?}"));
    faults.0.extend(unexpected);
}

/// Checks that this code is present, and that no other denies.
fn find(code: &str, denied: &[StatusCause], warned: &[StatusCause], faults: &mut Mismatches) {
    let expected_text = denied.iter().chain(warned);
    let codes: Vec<&str> = expected_text.map(|cause| cause.reason.as_str()).collect();
    faults.unless(codes.contains(&code), || {
        format!("expected {code} among the findings, got {codes:?}")
    });
    let others = denied.iter().filter(|cause| cause.reason != code);
    faults
        .0
        .extend(others.map(|cause| format!("denied: got {cause:?}")));
}

impl ExpectedFinding {
    fn fits(&self, cause: &StatusCause) -> bool {
        self.code == cause.reason
            && self
                .field
                .as_ref()
                .is_none_or(|field| *field == cause.field)
            && self.says.iter().all(|part| cause.message.contains(part))
    }
}

/// Checks properties that hold for every status, whatever the case expects.
fn judge_status(object: Option<&ObjectId>, response: &ReviewResponse, faults: &mut Mismatches) {
    faults.equal("a status", !response.allowed, response.status.is_some());
    let Some(status) = &response.status else {
        return;
    };
    faults.equal("status.status", "Failure", &status.status);
    faults.equal("status.reason", "Invalid", &status.reason);
    faults.equal("status.code", 422, status.code);
    let got = ObjectId {
        kind: status.details.kind.clone(),
        name: status.details.name.clone(),
    };
    faults.equal("status.details", object, Some(&got));
    judge_message(&status.message, &status.details.causes, faults);
}

/// Checks that the status message has at most three of the causes and counts the others.
fn judge_message(message: &str, causes: &[StatusCause], faults: &mut Mismatches) {
    faults.unless(message.len() <= 700, || {
        format!("status.message: more than 700 bytes: {message:?}")
    });
    let mut parts: Vec<&str> = message.split(" | ").collect();
    let more = parts
        .last()
        .and_then(|last| last.split_once(" more finding"));
    let left: usize = more.map_or(0, |(count, _)| count.parse().unwrap_or_default());
    if left > 0 {
        parts.pop();
    }
    faults.equal("causes in status.message", causes.len(), parts.len() + left);
    faults.unless((1..=3).contains(&parts.len()), || {
        format!("status.message: expected up to three findings, got {message:?}")
    });
    for part in parts {
        let is_of = |cause: &StatusCause| {
            let start = format!("[nadmit {}] {}", cause.reason, short_path(&cause.field));
            part.starts_with(&start)
        };
        faults.unless(causes.iter().any(is_of), || {
            format!("status.message: {part:?} is not one of the causes")
        });
    }
    for StatusCause {
        reason, message, ..
    } in causes
    {
        let tag = format!("[nadmit {reason}] ");
        faults.unless(message.starts_with(&tag), || {
            format!("cause: expected {tag:?} at the start, got {message:?}")
        });
    }
}

/// Returns the path that warnings and status messages have for a field.
fn short_path(field: &str) -> String {
    let annotations = [
        (
            "metadata.annotations[k8s.v1.cni.cncf.io/networks]",
            "networks",
        ),
        (
            "metadata.annotations[v1.multus-cni.io/default-network]",
            "default-network",
        ),
    ];
    for (annotation, short) in annotations {
        if let Some((_, rest)) = field.split_once(annotation) {
            return format!("{short}{rest}");
        }
    }
    field.to_owned()
}

/// Checks that the audit annotations have the decision and each code once.
fn judge_audit(
    denied: &[StatusCause],
    warned: &[StatusCause],
    response: &ReviewResponse,
    faults: &mut Mismatches,
) {
    let decision = match (denied, warned) {
        ([], []) => None,
        ([], _) => Some("warn"),
        _ => Some("deny"),
    };
    let audit = |key: &str| response.audit_annotations.get(key).map(String::as_str);
    faults.equal("audit annotation decision", decision, audit("decision"));
    let mut codes: Vec<&str> = denied.iter().chain(warned).map(|c| &*c.reason).collect();
    let mut expected_text: Vec<&str> =
        audit("findings").map_or(Vec::new(), |t| t.split(',').collect());
    codes.sort_unstable();
    codes.dedup();
    expected_text.sort_unstable();
    faults.equal("audit annotation findings", codes, expected_text);
}
