//! Configurations from public reports, each with the verdict of the real components
//! (`tests/fixtures/reports`).

use std::{fs, path::PathBuf};

use crate::support::TestResult;
use libtest_mimic::Trial;
use nadmit::{
    check::{self, CheckOptions, CheckOutcome},
    rules::{Level, Policy, Profile},
};
use serde::Deserialize;

const CASES: &str = include_str!("../fixtures/reports/cases.json");

/// The cases of `cases.json`.
#[derive(Deserialize)]
struct ReportCases {
    cases: Vec<ReportCase>,
}

/// One report: its input is `ID/in.yaml`.
#[derive(Deserialize, Clone)]
struct ReportCase {
    id: String,
    /// The reason for the verdict.
    why: String,
    /// The profile; the default one if absent.
    #[serde(default)]
    profile: Option<String>,
    /// The codes that deny; empty means no denial, `*` any code.
    deny: Vec<String>,
    /// The codes that have to warn, or `*` for any; if absent, warnings are ignored.
    #[serde(default)]
    warn: Vec<String>,
    /// Text that a message or its help has to contain.
    #[serde(default)]
    words: Option<String>,
}

pub(crate) fn tests() -> Vec<Trial> {
    let ReportCases { cases } =
        serde_json::from_str(CASES).unwrap_or_else(|error| panic!("cases.json: {error}"));
    let test =
        |case: ReportCase| Trial::test(format!("reports::{}", case.id), move || judge(&case));
    cases.into_iter().map(test).collect()
}

/// Compares the verdict of `nadmit check` with the expected one.
fn judge(case: &ReportCase) -> TestResult {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/reports");
    let path = root.join(&case.id).join("in.yaml");
    fs::metadata(&path)?;
    let files = check::gather(&[path], |_, _| {})?;
    let profile = match &case.profile {
        None => Profile::default(),
        Some(name) => name.parse().map_err(|_| format!("no profile {name}"))?,
    };
    let policy = Policy::of(profile);
    let outcome = check::run(files, &policy, CheckOptions::default());
    let wrong = differences(case, &outcome);
    if wrong.is_empty() {
        return Ok(());
    }
    Err(format!("{}\n{}", wrong.join("\n"), case.why).into())
}

fn differences(case: &ReportCase, outcome: &CheckOutcome) -> Vec<String> {
    let found = |level| {
        let diagnostics = outcome.diagnostics.iter().filter(move |r| r.level == level);
        diagnostics.map(|r| r.code).collect::<Vec<_>>()
    };
    let (denied, warned) = (found(Level::Deny), found(Level::Warn));
    let expected = |code: &&String, found: &[&str]| match code.as_str() {
        "*" => !found.is_empty(),
        code => found.contains(&code),
    };
    let mut wrong = Vec::new();
    if case.deny.is_empty() && !denied.is_empty() {
        wrong.push(format!("denied by {denied:?}"));
    }
    for code in case.deny.iter().filter(|code| !expected(code, &denied)) {
        wrong.push(format!("not denied by {code}, but by {denied:?}"));
    }
    for code in case.warn.iter().filter(|code| !expected(code, &warned)) {
        wrong.push(format!("not warned of by {code}, but by {warned:?}"));
    }
    if let Some(words) = &case.words {
        let says = |r: &check::Diagnostic| r.message.contains(words) || r.help.contains(words);
        if !outcome.diagnostics.iter().any(says) {
            wrong.push(format!("no message contains {words:?}"));
        }
    }
    wrong
}
