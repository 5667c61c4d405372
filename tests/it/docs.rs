//! Every manifest in the documentation and the examples is checked with `nadmit check`.
//!
//! A block of YAML in docs/ or README.md that names a `kind` is a manifest, and so is a block of
//! JSON with a `cniVersion`; the blocks of a page are checked together like the files of a folder.
//! Other YAML has to be a valid nadmit.yaml. A block has no findings, unless an HTML comment before
//! it says so:
//!
//! - `<!-- check: deny unknown-network, warn unknown-key -->`: exactly these findings.
//! - `<!-- check: an edit or a deletion -->`, `a rule that is off`, `what only a running server
//!   sees`: not visible in files; the block only has to be readable.
//! - `<!-- check: no manifest -->`: the block is not checked.
//! - `<!-- check: each block alone -->` at the top of a page: its blocks are checked separately,
//!   and the stated findings have to be among those found.

mod api;
pub(crate) mod console;
mod links;
mod messages;
mod reference;
mod security;
mod sources;
mod words;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use crate::support::TestResult;
use libtest_mimic::Trial;
use nadmit::{
    check::{self, CheckOptions, CheckOutcome, File, INVALID_MANIFEST},
    config::Config,
    rules::{NamespaceIsolation, Policy},
};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const EXAMPLES: &str = "deploy/examples";
/// The networks that the other examples are checked against.
const NETWORKS: &str = "deploy/examples/networks";

/// Returns the settings of the examples, in which Multus isolates namespaces.
fn policy() -> Policy {
    let mut policy = Policy::default();
    policy.namespace_isolation = Some(NamespaceIsolation::On);
    policy
}

/// Warnings about correct examples, with the reasons.
const EXPECTED_WARNINGS: &[(&str, &str)] = &[
    (
        "on-node.yaml",
        "warn config-on-node", // Istio's network is a file on each node.
    ),
    (
        "overlapping-ranges.yaml",
        "warn fragile-network-name", // The name is from OpenShift's documentation.
    ),
];

/// Distinct levels and codes of findings.
type FindingSet = BTreeSet<String>;

pub(crate) fn tests() -> Vec<Trial> {
    let pages = pages().into_iter().flat_map(|page| {
        let blocks = blocks(&fs::read_to_string(&page).unwrap_or_default());
        let name = shown(&page);
        let count = Trial::test(format!("docs::{name}::has_its_blocks"), {
            let (name, blocks) = (name.clone(), blocks.len());
            move || has_blocks(&name, blocks)
        });
        let world: Vec<DocBlock> = blocks.clone();
        let each = blocks.into_iter().enumerate().map(move |(index, block)| {
            let world = world.clone();
            Trial::test(format!("docs::{name}:{}", block.line), move || {
                judged(&world, index)
            })
        });
        each.chain([count]).collect::<Vec<_>>()
    });
    let examples = manifests(&Path::new(ROOT).join(EXAMPLES))
        .into_iter()
        .map(|path| Trial::test(format!("docs::{}", shown(&path)), move || example(&path)));
    let pages = pages.chain(examples).chain(api::tests());
    pages
        .chain(security::tests())
        .chain(console::tests())
        .chain(links::tests())
        .chain(messages::tests())
        .chain(reference::tests())
        .chain(words::tests())
        .collect()
}

/// Returns README.md and the pages of docs/.
fn pages() -> Vec<PathBuf> {
    let mut pages = below(&Path::new(ROOT).join("docs"), &["md"]);
    pages.push(Path::new(ROOT).join("README.md"));
    pages
}

fn manifests(folder: &Path) -> Vec<PathBuf> {
    below(folder, &["yaml", "yml", "json"])
}

fn below(folder: &Path, suffixes: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(below(&path, suffixes));
        } else if suffixes
            .iter()
            .any(|s| path.extension().is_some_and(|e| e == *s))
        {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn shown(path: &Path) -> String {
    let path = path.strip_prefix(ROOT).unwrap_or(path);
    path.display().to_string()
}

/// Checks that pages known to have manifests still yield them; otherwise the parser is broken.
fn has_blocks(page: &str, count: usize) -> TestResult {
    let least = match page {
        "docs/rules.md" => 100,
        "docs/from-annotation-to-interface.md" => 15,
        "docs/tutorials/first-pool.md" => 3,
        "docs/how-to/migrate-from-whereabouts.md" => 1,
        _ => 0,
    };
    if count >= least {
        return Ok(());
    }
    Err(format!("{page} has {count} blocks, but should have {least}").into())
}

/// A block of a page.
#[derive(Debug, Clone)]
struct DocBlock {
    /// The line of the page where it begins.
    line: usize,
    language: String,
    text: String,
    /// The text of the comment before it, without `check:`.
    stated: Option<String>,
    /// Set if the page's blocks are checked separately.
    alone: bool,
}

fn blocks(page: &str) -> Vec<DocBlock> {
    let (mut blocks, mut open, mut stated, mut alone) = (Vec::new(), None, None, false);
    for (index, line) in page.lines().enumerate() {
        match (&mut open, line.trim_end()) {
            (None, text) if text.starts_with("```") => {
                let language = text.trim_start_matches('`').to_owned();
                let stated = stated.take();
                let (line, text) = (index + 2, String::new());
                open = Some(DocBlock {
                    line,
                    language,
                    text,
                    stated,
                    alone,
                });
            }
            (Some(_), "```") => blocks.extend(open.take()),
            (Some(block), _) => block.text += &format!("{line}\n"),
            (None, "") => {}
            (None, text) => {
                let comment = text.strip_prefix("<!-- check:");
                stated = comment.and_then(|c| Some(c.strip_suffix("-->")?.trim().to_owned()));
                if stated.as_deref() == Some("each block alone") {
                    (alone, stated) = (true, None);
                }
            }
        }
    }
    blocks.retain(|block| block.sort() != BlockKind::Other);
    blocks
}

#[derive(Debug, PartialEq)]
enum BlockKind {
    Manifest,
    Settings,
    Other,
}

impl DocBlock {
    fn sort(&self) -> BlockKind {
        let has = |key: &str| self.text.lines().any(|line| line.starts_with(key));
        match &*self.language {
            _ if self.stated.as_deref() == Some("no manifest") => BlockKind::Other,
            "yaml" | "yml" if has("kind:") || has("apiVersion:") || has("{apiVersion") => {
                BlockKind::Manifest
            }
            "yaml" | "yml" => BlockKind::Settings,
            "json" if self.text.contains("\"cniVersion\"") => BlockKind::Manifest,
            _ => BlockKind::Other,
        }
    }

    fn file(&self) -> File {
        let suffix = if self.language == "json" {
            "json"
        } else {
            "yaml"
        };
        File {
            name: format!("{}.{suffix}", self.line),
            text: Ok(self.text.clone()),
        }
    }

    /// Returns the expected findings; `None` if they do not matter.
    fn expected(&self) -> Option<FindingSet> {
        match self.stated.as_deref() {
            None => Some(FindingSet::new()),
            Some(
                "an edit or a deletion" | "a rule that is off" | "what only a running server sees",
            ) => None,
            Some(list) => Some(
                list.split(',')
                    .map(|findings| findings.trim().to_owned())
                    .collect(),
            ),
        }
    }
}

fn judged(world: &[DocBlock], index: usize) -> TestResult {
    let block = &world[index];
    if block.sort() == BlockKind::Settings {
        return match Config::parse(&block.text, "nadmit.yaml") {
            Ok(_) => Ok(()),
            Err(errors) => Err(format!("{errors}\n(not nadmit.yaml? then say what it is)").into()),
        };
    }
    let together = world.iter().filter(|b| b.sort() == BlockKind::Manifest);
    let files: Vec<File> = match block.alone {
        true => vec![block.file()],
        false => together.map(DocBlock::file).collect(),
    };
    let name = block.file().name;
    let outcome = check::run(files, &policy(), CheckOptions::default());
    let (findings, rendered) = findings_of(&outcome, &name);
    match block.expected() {
        // There the networks of a pod's example are checked, too.
        Some(expected)
            if block.alone && !expected.is_empty() && findings.is_superset(&expected) =>
        {
            Ok(())
        }
        Some(expected) if findings != expected => {
            Err(format!("expected {expected:?}, but it says\n{rendered}").into())
        }
        None if findings
            .iter()
            .any(|findings| findings.contains(INVALID_MANIFEST)) =>
        {
            Err(rendered.into())
        }
        _ => Ok(()),
    }
}

/// Returns the findings of a run on one file: levels and codes, and the rendered text.
fn findings_of(outcome: &CheckOutcome, file: &str) -> (FindingSet, String) {
    let of = |r: &&check::Diagnostic| outcome.files[r.file].name == file;
    let diagnostics: Vec<_> = outcome.diagnostics.iter().filter(of).collect();
    let findings = diagnostics
        .iter()
        .map(|r| format!("{} {}", r.level, r.code));
    let words = diagnostics
        .iter()
        .map(|r| format!("{} {} {}: {}\n", r.level, r.code, r.field, r.message));
    (findings.collect(), words.collect())
}

/// An example in deploy/examples: correct ones and networks have no findings, and the name of a
/// wrong one is the code of its finding.
fn example(path: &Path) -> TestResult {
    let networks = Path::new(ROOT).join(NETWORKS);
    let files = check::gather(&[networks, path.to_owned()], |_, _| {})?;
    let outcome = check::run(files, &policy(), CheckOptions::default());
    let (findings, rendered) = findings_of(&outcome, &path.display().to_string());
    let file = path.file_name().unwrap_or_default().to_string_lossy();
    let code = path.file_stem().unwrap_or_default().to_string_lossy();
    let folder = path.parent().and_then(Path::file_name).unwrap_or_default();
    let right = if folder == "wrong" {
        // That example is about an edit: as a new pod it is correct.
        let found = |word: &str| findings.contains(&format!("{word} {code}"));
        found("deny") || found("warn") || code == "attachments-changed"
    } else {
        let known = EXPECTED_WARNINGS.iter().find(|(name, _)| *name == file);
        findings
            == known
                .map(|(_, findings)| (*findings).to_owned())
                .into_iter()
                .collect()
    };
    if right {
        return Ok(());
    }
    Err(format!("it says\n{rendered}").into())
}
