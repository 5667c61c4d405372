//! All trials of one run, and how a case becomes one.

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

/// What every trial shares. The servers end when it is dropped.
#[derive(Debug)]
pub(crate) struct Suite {
    curl: Option<Curl>,
    targets: Arc<Targets>,
}

/// A question to ask of a server, and the right answer.
pub(crate) struct RequestCase {
    /// Where it comes from: a file.
    pub(crate) source: PathBuf,
    /// What holds.
    pub(crate) about: String,
    /// The folder to serve.
    pub(crate) manifests: PathBuf,
    /// How it is sent.
    pub(crate) sending: Sending,
    /// What is sent.
    pub(crate) question: CaseRequest,
    /// What has to come back.
    pub(crate) expect: Expect,
}

impl Drop for Suite {
    fn drop(&mut self) {
        self.targets.stop();
    }
}

impl Suite {
    /// A suite without servers yet.
    pub(crate) fn new() -> Result<Self> {
        std::env::set_current_dir(env!("CARGO_MANIFEST_DIR"))?;
        Ok(Self {
            curl: Curl::find(),
            targets: Targets::new(),
        })
    }

    /// Every trial.
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

    /// The trial of a case file. A file that cannot be read is a trial that fails.
    fn case_trial(&self, group: &Path, file: &Path, case: &Result<CaseFile>) -> Trial {
        let name = format!("{}::{}", stem(group), stem(file));
        let asked = match case {
            Ok(case) => RequestCase::of(case, file, &name),
            Err(error) => Err(anyhow::anyhow!("{error:#}")),
        };
        self.test(name, asked)
    }

    /// A trial that asks.
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

    /// Whether this curl or this server cannot be asked this.
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

    /// Asks, and compares.
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

/// Everything that came back, to read.
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

/// What a folder holds, by name.
pub(crate) fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let read = || -> std::io::Result<Vec<PathBuf>> {
        let entries = fs::read_dir(folder)?;
        entries.map(|entry| Ok(entry?.path())).collect()
    };
    let mut paths = read().with_context(|| format!("{}", folder.display()))?;
    paths.sort_unstable();
    Ok(paths)
}

/// A file's name without what follows the last dot.
pub(crate) fn stem(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or_default();
    stem.to_string_lossy().into_owned()
}
