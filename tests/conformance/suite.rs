//! All tests of a run, and the conversion of a case into a test.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, Result, bail};
use libtest_mimic::{Failed, Trial};

use crate::{
    captured,
    case::{CaseFile, MANIFESTS, Sending},
    coverage,
    curl::{Curl, CurlOutcome},
    examples,
    expect::Expect,
    request::CaseRequest,
    scenarios,
    target::Targets,
};

/// The case files, from the root of the crate.
const CASES: &str = "tests/conformance/cases";

/// The state that all tests share. The servers end when it is dropped.
#[derive(Debug)]
pub(crate) struct Suite {
    curl: Option<Curl>,
    targets: Arc<Targets>,
}

/// A request to a server, and the expected response.
pub(crate) struct RequestCase {
    /// The file that it comes from.
    pub(crate) source: PathBuf,
    /// The property that it shows.
    pub(crate) about: String,
    /// The folder to serve.
    pub(crate) manifests: PathBuf,
    /// The parameters of the request.
    pub(crate) sending: Sending,
    /// The request.
    pub(crate) question: CaseRequest,
    /// The expected response.
    pub(crate) expect: Expect,
}

impl Drop for Suite {
    fn drop(&mut self) {
        self.targets.stop();
    }
}

impl Suite {
    /// Returns a suite without servers.
    pub(crate) fn new() -> Result<Self> {
        std::env::set_current_dir(env!("CARGO_MANIFEST_DIR"))?;
        Ok(Self {
            curl: Curl::find(),
            targets: Targets::new(),
        })
    }

    /// Returns all tests.
    pub(crate) fn tests(&self) -> Result<Vec<Trial>> {
        let mut tests = Vec::new();
        let mut cases = Vec::new();
        for group in entries(Path::new(CASES))? {
            for file in entries(&group)? {
                let case = CaseFile::read(&file);
                tests.push(self.case_trial(&group, &file, &case));
                cases.extend(case);
            }
        }
        tests.extend(captured::tests(self)?);
        tests.extend(examples::tests(self)?);
        tests.extend(coverage::tests(&cases));
        tests.extend(scenarios::tests(
            self.curl.as_ref(),
            self.targets.is_elsewhere(),
        ));
        Ok(tests)
    }

    /// Returns the test of a case file. A file that cannot be read becomes a failing test.
    fn case_trial(&self, group: &Path, file: &Path, case: &Result<CaseFile>) -> Trial {
        let name = format!("{}::{}", stem(group), stem(file));
        let asked = match case {
            Ok(case) => RequestCase::of(case, file, &name),
            Err(error) => Err(anyhow::anyhow!("{error:#}")),
        };
        self.test(name, asked)
    }

    /// Returns a test that sends a request.
    pub(crate) fn test(&self, name: String, asked: Result<RequestCase>) -> Trial {
        let (curl, targets) = (self.curl.clone(), self.targets.clone());
        let ignored = self.is_ignored(&asked);
        let run = move || {
            let curl = curl.context("there is no curl")?;
            asked?.run(&curl, &targets)
        };
        let run = move || run().map_err(|error: anyhow::Error| Failed::from(format!("{error:#}")));
        Trial::test(name, run).with_ignored_flag(ignored)
    }

    /// Returns true if this curl cannot send the request, or this server cannot respond to it.
    fn is_ignored(&self, asked: &Result<RequestCase>) -> bool {
        let Some(curl) = &self.curl else {
            return true;
        };
        let Ok(asked) = asked else {
            return false;
        };
        let elsewhere = self.targets.is_elsewhere() && asked.manifests != Path::new(MANIFESTS);
        elsewhere || !curl.can(&asked.sending)
    }
}

impl RequestCase {
    fn of(case: &CaseFile, file: &Path, name: &str) -> Result<Self> {
        Ok(Self {
            source: file.to_owned(),
            about: case.about.clone(),
            manifests: case.manifests().to_owned(),
            sending: case.request.clone(),
            question: CaseRequest::of(case, name)?,
            expect: case.expect.clone(),
        })
    }

    /// Sends the request, and compares the response.
    fn run(&self, curl: &Curl, targets: &Targets) -> Result<()> {
        let endpoint = targets.serving(&self.manifests)?;
        let exchange = curl.send(&endpoint, &self.sending, self.question.body.as_deref())?;
        let faults = self.expect.judge(&self.question, &exchange).0;
        if faults.is_empty() {
            return Ok(());
        }
        bail!(
            "{}\n  {}\n\n- {}\n\nthe whole answer:\n{}",
            self.source.display(),
            self.about,
            faults.join("\n- "),
            whole(&exchange)
        );
    }
}

/// Formats the whole outcome for reading.
fn whole(exchange: &CurlOutcome) -> String {
    let mut text = exchange.complaint.clone();
    for answer in &exchange.answers {
        let body = match serde_json::from_slice::<serde_json::Value>(&answer.body) {
            Ok(json) => format!("{json:#}"),
            Err(_) => String::from_utf8_lossy(&answer.body).into_owned(),
        };
        text += &format!("HTTP/{} {}\n", answer.version, answer.status);
        for (name, value) in &answer.headers {
            text += &format!("{name}: {value}\n");
        }
        text += &format!("\n{body}\n");
    }
    text
}

/// Returns the entries of a folder, by name.
pub(crate) fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let read = || -> std::io::Result<Vec<PathBuf>> {
        let entries = fs::read_dir(folder)?;
        entries.map(|entry| Ok(entry?.path())).collect()
    };
    let mut paths = read().with_context(|| format!("{}", folder.display()))?;
    paths.sort_unstable();
    Ok(paths)
}

/// Returns a file's name without its last extension.
pub(crate) fn stem(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or_default();
    stem.to_string_lossy().into_owned()
}
