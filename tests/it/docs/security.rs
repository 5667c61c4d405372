//! Every test that docs/security.md names exists.

use std::{fs, path::Path};

use libtest_mimic::Trial;

use super::{ROOT, below};
use crate::support::TestResult;

/// Sources of the names of tests, of unit tests, and of cases.
const SOURCES: [(&str, &[&str]); 4] = [
    ("src", &["rs"]),
    ("crates", &["rs"]),
    ("tests", &["rs"]),
    ("tests/conformance/cases", &["yaml"]),
];

pub(super) fn tests() -> Vec<Trial> {
    tests!["docs::security"; tests_that_are_named_exist]
}

fn tests_that_are_named_exist() -> TestResult {
    let page = fs::read_to_string(Path::new(ROOT).join("docs/security.md"))?;
    let names: Vec<&str> = page.lines().filter_map(last_cell).flat_map(spans).collect();
    if names.len() < 100 {
        return Err(format!("{} names: this test looks wrongly", names.len()).into());
    }
    let known = known();
    let missing: Vec<&&str> = names.iter().filter(|name| !known.has(name)).collect();
    match missing.as_slice() {
        [] => Ok(()),
        missing => Err(format!("no test is called {missing:?}").into()),
    }
}

/// Returns the last cell of a row: the attack, its defence, and the test.
fn last_cell(line: &str) -> Option<&str> {
    let row = line.strip_prefix("| ")?.strip_suffix(" |")?;
    let cell = row.rsplit(" | ").next()?;
    let tests = ["::", "beside the code", "the same"];
    tests.iter().any(|sign| cell.contains(sign)).then_some(cell)
}

/// Returns the backticked spans that are names of tests.
fn spans(cell: &str) -> Vec<&str> {
    let spans = cell.split('`').skip(1).step_by(2);
    let is_name = |span: &&str| {
        let long = span.contains("::") || span.len() > 20;
        let name = |c: char| c.is_ascii_alphanumeric() || "_-:".contains(c);
        long && span.chars().all(name)
    };
    spans.filter(is_name).collect()
}

/// The names found in the sources.
struct KnownNames {
    texts: Vec<String>,
    cases: Vec<String>,
}

fn known() -> KnownNames {
    let mut known = KnownNames {
        texts: Vec::new(),
        cases: Vec::new(),
    };
    for (folder, suffixes) in SOURCES {
        for path in below(&Path::new(ROOT).join(folder), suffixes) {
            if path.extension().is_some_and(|suffix| suffix == "yaml") {
                let group = path.parent().and_then(Path::file_name);
                let [group, case] = [group, path.file_stem()]
                    .map(|name| name.unwrap_or_default().to_string_lossy());
                known.cases.push(format!("{group}::{case}"));
            } else {
                known.texts.extend(fs::read_to_string(path));
            }
        }
    }
    known
}

impl KnownNames {
    fn has(&self, name: &str) -> bool {
        if self.cases.iter().any(|case| case == name) {
            return true;
        }
        // A group, whose name ends with `::`, has at least one test.
        let last = name.trim_end_matches("::");
        let last = last.rsplit("::").next().unwrap_or_default();
        let spelled = [
            format!("fn {last}("),
            format!("\"{last}\""),
            format!("::{last}\""),
        ];
        let is_there = |text: &String| spelled.iter().any(|one| text.contains(one));
        self.texts.iter().any(is_there)
    }
}
