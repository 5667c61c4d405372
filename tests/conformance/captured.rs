//! `captured`: every review that was captured is answered, and with its own UID.

use std::path::Path;

use anyhow::Result;
use libtest_mimic::Trial;

use crate::{
    case::{MANIFESTS, Sending},
    expect::Expect,
    question::{Question, REVIEWS, captured_review},
    suite::{Asked, Suite, entries, stem},
};

/// The edits of a pod's networks. All other reviews are allowed without a word.
const EDITS: [&str; 2] = [
    "pod-apply-serverside-update.validate",
    "pod-update-annotations.validate",
];

/// One trial for each captured review, sent to the webhook that it was sent to.
pub(crate) fn trials(suite: &Suite) -> Result<Vec<Trial>> {
    let files = entries(Path::new(REVIEWS))?.into_iter();
    let reviews = files.filter(|file| file.extension().is_some_and(|ending| ending == "json"));
    let trial = |file: std::path::PathBuf| {
        let name = stem(&file);
        suite.trial(format!("captured::{name}"), asked(&file, &name))
    };
    Ok(reviews.map(trial).collect())
}

fn asked(file: &Path, name: &str) -> Result<Asked> {
    let webhook = if name.contains(".mutate") {
        "mutate"
    } else {
        "validate"
    };
    let expect = if EDITS.contains(&name) {
        Expect::denied(&["attachments-changed"])
    } else {
        Expect::allowed()
    };
    Ok(Asked {
        source: file.to_owned(),
        about: "A request of a real API server is answered.".to_owned(),
        manifests: MANIFESTS.into(),
        sending: Sending {
            path: format!("/{webhook}?timeout=10s"),
            ..Sending::default()
        },
        question: Question::ask(&captured_review(name)?)?,
        expect,
    })
}
