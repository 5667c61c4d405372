//! Every relative link of the documentation leads to a file, and to a heading of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Component, Path, PathBuf},
};

use libtest_mimic::{Failed, Trial};

use super::{ROOT, below, pages, shown};
use crate::support::TestResult;

/// Pages outside of docs/ and deploy/.
const OTHERS: &[&str] = &[
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
];

/// Headings of former pages, which stay there as stubs: other projects link to them.
const STUBS: &[(&str, &[&str])] = &[
    (
        "docs/install.md",
        &[
            "the-command-and-the-image",
            "which-way",
            "how-multus-isolates-namespaces",
            "first-warn-then-deny",
            "what-is-asked-of-nadmit-and-what-happens-while-it-does-not-answer",
            "after-a-node-has-crashed",
            "the-objects",
            "mending-records-by-hand",
            "monitoring",
            "the-image",
            "taking-it-out-again",
        ],
    ),
    ("docs/checking.md", &["what-would-it-break-in-mine"]),
    (
        "docs/statefulsets-and-vms.md",
        &[
            "a-statefulset",
            "scaling-and-deleting",
            "this-address-for-that-replica",
            "virtual-machines",
            "without-a-cluster",
        ],
    ),
    (
        "docs/from-whereabouts.md",
        &[
            "what-changes",
            "word-for-word",
            "before",
            "one-network",
            "back-again",
        ],
    ),
    (
        "docs/operating-addresses.md",
        &[
            "seeing",
            "freeing",
            "moving",
            "the-files",
            "restoring",
            "in-a-cluster",
            "the-socket",
            "watching",
        ],
    ),
    (
        "docs/operating-in-a-cluster.md",
        &[
            "when-addresses-come",
            "slices",
            "who-leads",
            "the-full-comparison",
            "status",
            "events",
            "what-it-may-do",
            "certificates",
            "metrics",
            "alerts",
            "taking-addresses-over",
        ],
    ),
    (
        "docs/pools.md",
        &[
            "a-pool",
            "how-large-a-pool-has-to-be",
            "slices",
            "a-reservation",
            "what-is-checked",
        ],
    ),
    (
        "docs/troubleshooting.md",
        &[
            "nadmit-itself",
            "addresses",
            "the-ledgers-file",
            "others",
            "certificates",
            "locked-out",
        ],
    ),
];

pub(super) fn tests() -> Vec<Trial> {
    tests!["docs::links"; links_lead_somewhere, former_headings_stay, headings_have_anchors]
}

/// The lines of a page without its blocks of code; each with its number.
pub(super) fn prose(page: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut is_code = false;
    (1..).zip(page.lines()).filter(move |(_, line)| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        !is_code && !is_fence
    })
}

/// Returns the anchor of a heading, as GitHub makes it.
pub(super) fn anchor(heading: &str) -> String {
    let mut text = String::new();
    let mut rest = heading;
    while let Some((before, link)) = rest.split_once('[') {
        let (name, after) = link.split_once("](").unwrap_or((link, ""));
        let after = after.split_once(')').map_or("", |(_, after)| after);
        text += before;
        text += name;
        rest = after;
    }
    text += rest;
    let lower = text.trim().to_lowercase();
    let kept = lower.chars().filter_map(|c| match c {
        ' ' => Some('-'),
        '-' | '_' => Some(c),
        c => c.is_alphanumeric().then_some(c),
    });
    kept.collect()
}

fn anchors(page: &str) -> BTreeSet<String> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut anchors = BTreeSet::new();
    for (_, line) in prose(page) {
        let Some((marks, heading)) = line.split_once(' ') else {
            continue;
        };
        if marks.is_empty() || marks.chars().any(|c| c != '#') {
            continue;
        }
        let name = anchor(heading);
        let count = seen.entry(name.clone()).or_default();
        anchors.insert(match *count {
            0 => name,
            again => format!("{name}-{again}"),
        });
        *count += 1;
    }
    anchors
}

/// Returns the targets of the links in a line, without those in spans of code.
fn targets(line: &str) -> Vec<&str> {
    let texts = line.split('`').step_by(2);
    let links = texts.flat_map(|text| text.split("](").skip(1));
    links
        .filter_map(|link| Some(link.split_once(')')?.0))
        .collect()
}

/// Returns the path without `.` and `..`.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                normal.pop();
            }
            Component::CurDir => {}
            part => normal.push(part),
        }
    }
    normal
}

fn links_lead_somewhere() -> TestResult {
    let root = Path::new(ROOT);
    let others = OTHERS.iter().map(|page| root.join(page));
    let deployed = below(&root.join("deploy"), &["md"]);
    let (mut count, mut wrong) = (0, Vec::new());
    for path in pages().into_iter().chain(others).chain(deployed) {
        let text = fs::read_to_string(&path)?;
        for (number, line) in prose(&text) {
            for target in targets(line) {
                if target.contains("://") || target.starts_with("mailto:") {
                    continue;
                }
                count += 1;
                if let Err(problem) = follow(&path, target) {
                    let problem = problem.message().unwrap_or_default().to_owned();
                    wrong.push(format!("{}:{number}: {problem}", shown(&path)));
                }
            }
        }
    }
    if count < 200 {
        return Err(format!("{count} links: this test looks wrongly").into());
    }
    match wrong.as_slice() {
        [] => Ok(()),
        wrong => Err(wrong.join("\n").into()),
    }
}

fn follow(page: &Path, target: &str) -> TestResult {
    let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
    let path = match file {
        "" => page.to_owned(),
        file => normal(&page.with_file_name(file)),
    };
    if !path.exists() {
        return Err(format!("there is no {}", shown(&path)).into());
    }
    has_anchor(&path, anchor)
}

fn has_anchor(path: &Path, anchor: &str) -> Result<(), Failed> {
    if anchor.is_empty() || anchors(&fs::read_to_string(path)?).contains(anchor) {
        return Ok(());
    }
    Err(format!("{} has no heading #{anchor}", shown(path)).into())
}

fn former_headings_stay() -> TestResult {
    for (page, headings) in STUBS {
        for heading in *headings {
            has_anchor(&Path::new(ROOT).join(page), heading)?;
        }
    }
    Ok(())
}

fn headings_have_anchors() -> TestResult {
    for (heading, expected) in [
        ("The ledger's file", "the-ledgers-file"),
        ("\"x: …\" at `/readyz`", "x--at-readyz"),
        ("[A link](b.md#c) here", "a-link-here"),
    ] {
        let found = anchor(heading);
        if found != expected {
            return Err(format!("{heading}: {found}").into());
        }
    }
    let page = "# A\n## B\n```sh\n# C\n```\n## B\n";
    let expected: BTreeSet<String> = ["a", "b", "b-1"].map(str::to_owned).into();
    match anchors(page) {
        found if found == expected => Ok(()),
        found => Err(format!("{found:?}").into()),
    }
}
