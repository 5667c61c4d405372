//! Converts a case into the bytes that are sent.

use std::{fs, path::Path};

use anyhow::{Context, Result, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;

use crate::{
    case::{Body, CaseFile},
    review,
};

/// The captured reviews, from the root of the crate.
pub(crate) const REVIEWS: &str = "tests/fixtures/reviews";

/// The body of a case's request, and the UID that its response has to echo.
pub(crate) struct CaseRequest {
    /// The bytes; `None` for a request without a body.
    pub(crate) body: Option<Vec<u8>>,
    /// The UID in it, if it has one.
    pub(crate) uid: Option<String>,
    /// Kind and name of the object under review, if the review has them.
    pub(crate) object: Option<ObjectId>,
}

/// Kind and name of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ObjectId {
    /// The object's kind.
    pub(crate) kind: String,
    /// The object's name, or the prefix of its generated name.
    pub(crate) name: String,
}

impl CaseRequest {
    /// Returns the request of a case called `name`.
    pub(crate) fn of(case: &CaseFile, name: &str) -> Result<Self> {
        if let Some(captured) = &case.review {
            let mut review = captured_review(captured)?;
            if let Some(merge) = &case.merge {
                json_patch::merge(&mut review, merge);
            }
            if let Some(patch) = &case.patch {
                json_patch::patch(&mut review, patch).context("\"patch\" does not apply")?;
            }
            return Self::ask(&review);
        }
        if case.pod.is_some() || case.old.is_some() {
            let pods = [&case.pod, &case.old].map(|pod| pod.as_ref().map(review::pod));
            return Self::ask(&review::wrap(pods, &case.admission, name));
        }
        let body = match &case.body {
            None => None,
            Some(Body::Text(text)) => Some(text.clone().into_bytes()),
            Some(Body::Base64(text)) => Some(STANDARD.decode(text).context("\"base64\"")?),
            Some(Body::ReviewOfBytes(size)) => return Self::ask_at_size(*size, name),
        };
        Ok(Self {
            body,
            uid: None,
            object: None,
        })
    }

    /// Returns the request of a review.
    pub(crate) fn ask(review: &Value) -> Result<Self> {
        let body = serde_json::to_vec(review)?;
        let request = &review["request"];
        let text = |pointer: &str| {
            let found = request.pointer(pointer).and_then(Value::as_str);
            found.filter(|text| !text.is_empty()).map(str::to_owned)
        };
        let name = text("/name")
            .or_else(|| text("/object/metadata/name"))
            .or_else(|| text("/object/metadata/generateName"))
            .or_else(|| text("/oldObject/metadata/name"));
        Ok(Self {
            body: Some(body),
            uid: text("/uid"),
            object: text("/kind/kind").map(|kind| ObjectId {
                kind,
                name: name.unwrap_or_default(),
            }),
        })
    }

    /// Returns a valid review of exactly `size` bytes.
    fn ask_at_size(size: usize, name: &str) -> Result<Self> {
        let asked = |filler: usize| {
            let pod = crate::case::PodSpec {
                annotations: [("example.com/filler".to_owned(), "x".repeat(filler))].into(),
                ..Default::default()
            };
            let pods = [Some(review::pod(&pod)), None];
            Self::ask(&review::wrap(pods, &Default::default(), name))
        };
        let length = |question: &Self| question.body.as_ref().map_or(0, Vec::len);
        let least = length(&asked(0)?);
        let filler = size.checked_sub(least);
        let question = asked(filler.with_context(|| format!("less than {least} bytes"))?)?;
        ensure!(length(&question) == size, "not of {size} bytes");
        Ok(question)
    }
}

/// Returns a captured review by its name.
pub(crate) fn captured_review(name: &str) -> Result<Value> {
    let file = Path::new(REVIEWS).join(format!("{name}.json"));
    let text = fs::read(&file).with_context(|| format!("{}", file.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("{}", file.display()))
}
