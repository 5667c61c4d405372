//! `captured`: every captured review gets a response with its own UID.

use std::path::Path;

use anyhow::Result;
use libtest_mimic::Trial;

use crate::{
    case::{MANIFESTS, Sending},
    expect::Expect,
    request::{CaseRequest, REVIEWS, captured_review},
    suite::{RequestCase, Suite, entries, stem},
};

/// Reviews that are denied, with the code. All others are allowed without findings.
const DENIED: [(&str, &str); 3] = [
    // The networks of existing pods are edited.
    (
        "pod-apply-serverside-update.validate",
        "attachments-changed",
    ),
    ("pod-update-annotations.validate", "attachments-changed"),
    // The configuration is {}.
    ("nad-create-dryrun.validate", "invalid-network-config"),
];

/// Returns a test for each captured review, sent to its original webhook.
pub(crate) fn tests(suite: &Suite) -> Result<Vec<Trial>> {
    let files = entries(Path::new(REVIEWS))?.into_iter();
    let reviews = files.filter(|file| file.extension().is_some_and(|ending| ending == "json"));
    let test = |file: std::path::PathBuf| {
        let name = stem(&file);
        suite.test(format!("captured::{name}"), asked(&file, &name))
    };
    Ok(reviews.map(test).collect())
}

fn asked(file: &Path, name: &str) -> Result<RequestCase> {
    let webhook = if name.contains(".mutate") {
        "mutate"
    } else {
        "validate"
    };
    let refused = DENIED.iter().find(|(refused, _)| *refused == name);
    let expect = refused.map_or_else(Expect::allowed, |(_, code)| Expect::denied(&[*code]));
    Ok(RequestCase {
        source: file.to_owned(),
        about: "A request of a real API server is answered.".to_owned(),
        manifests: MANIFESTS.into(),
        sending: Sending {
            path: format!("/{webhook}?timeout=10s"),
            ..Sending::default()
        },
        question: CaseRequest::ask(&captured_review(name)?)?,
        expect,
    })
}
