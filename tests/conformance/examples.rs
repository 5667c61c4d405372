//! `examples`: the pods in `deploy/examples` get the response that their folder implies.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use libtest_mimic::Trial;
use serde_json::Value;

use crate::{
    case::Sending,
    expect::Expect,
    request::CaseRequest,
    review,
    suite::{RequestCase, Suite, entries, stem},
};

const EXAMPLES: &str = "deploy/examples/networks";
/// Pods that are allowed without findings.
const RIGHT: &str = "deploy/examples/pods/right";
/// Pods that break one rule each; the file's name is its code.
pub(crate) const WRONG: &str = "deploy/examples/pods/wrong";

/// Returns a test for each pod.
pub(crate) fn tests(suite: &Suite) -> Result<Vec<Trial>> {
    let mut tests = Vec::new();
    for file in entries(Path::new(RIGHT))? {
        let asked = asked(&file, Expect::allowed());
        tests.push(suite.test(format!("examples::right::{}", stem(&file)), asked));
    }
    for file in entries(Path::new(WRONG))? {
        let code = stem(&file);
        let asked = asked(&file, Expect::found(&code));
        tests.push(suite.test(format!("examples::wrong::{code}"), asked));
    }
    Ok(tests)
}

fn asked(file: &Path, expect: Expect) -> Result<RequestCase> {
    let pod = read(file)?;
    let before = before(file, &pod)?;
    let review = review::wrap([Some(pod), before], &Default::default(), &stem(file));
    Ok(RequestCase {
        source: file.to_owned(),
        about: "An example is answered as its folder and name say.".to_owned(),
        manifests: EXAMPLES.into(),
        sending: Sending::default(),
        question: CaseRequest::ask(&review)?,
        expect,
    })
}

/// Returns the right pod of the same name: a wrong one is then an edit of it.
fn before(file: &Path, pod: &Value) -> Result<Option<Value>> {
    if file.parent() != Some(Path::new(WRONG)) {
        return Ok(None);
    }
    let right: Vec<PathBuf> = entries(Path::new(RIGHT))?;
    for file in right {
        let before = read(&file)?;
        let same = |key| before["metadata"][key] == pod["metadata"][key];
        if same("name") && same("namespace") {
            return Ok(Some(before));
        }
    }
    Ok(None)
}

fn read(file: &Path) -> Result<Value> {
    let text = fs::read_to_string(file).with_context(|| format!("{}", file.display()))?;
    serde_saphyr::from_str(&text).with_context(|| format!("{}", file.display()))
}
