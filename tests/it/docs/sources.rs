//! The sources of the program, without their tests, and the string literals in them.

use std::{collections::BTreeSet, fs, path::Path};

use libtest_mimic::Failed;
use proc_macro2::{Delimiter, TokenStream, TokenTree};

use super::{ROOT, below};
use crate::support::TestResult;

/// The crate that only tests use.
const ONLY_TESTED: &str = "fake-apiserver";
/// The beginning of a module of tests at the end of a file.
const TESTS: &str = "#[cfg(test)]\nmod tests {";

/// Returns the texts of the files in a folder, each with its path, without tests.
pub(super) fn texts(folder: &str) -> Result<Vec<(String, String)>, Failed> {
    let root = Path::new(ROOT);
    let mut found = Vec::new();
    for path in below(&root.join(folder), &["rs"]) {
        let name = path.strip_prefix(root)?.display().to_string();
        let is_test = |part: &str| matches!(part, "tests" | "tests.rs" | ONLY_TESTED | "benches");
        if name.split('/').any(is_test) {
            continue;
        }
        let text = fs::read_to_string(&path)?;
        let text = text.split(TESTS).next().unwrap_or_default().to_owned();
        found.push((name, text));
    }
    if found.is_empty() {
        return Err(format!("{folder} has no sources").into());
    }
    Ok(found)
}

/// Returns the string literals of the files in these folders.
pub(super) fn all_literals(folders: &[&str]) -> Result<BTreeSet<String>, Failed> {
    let mut found = BTreeSet::new();
    for folder in folders {
        for (_, text) in texts(folder)? {
            found.extend(literals(&text, Docs::Left)?);
        }
    }
    Ok(found)
}

/// The treatment of doc comments, which are literals, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Docs {
    Read,
    Left,
}

/// Returns the string literals of a file outside of its unit tests.
pub(super) fn literals(source: &str, docs: Docs) -> Result<Vec<String>, proc_macro2::LexError> {
    let mut found = Vec::new();
    collect(source.parse()?, docs, &mut found);
    Ok(found)
}

fn collect(tokens: TokenStream, docs: Docs, found: &mut Vec<String>) {
    let mut is_test = false;
    for token in tokens {
        match token {
            TokenTree::Group(group) => {
                let text = group.stream().to_string();
                let is_attribute = group.delimiter() == Delimiter::Bracket;
                if is_attribute && text == "cfg (test)" {
                    is_test = true;
                    continue;
                }
                let is_doc = is_attribute && text.starts_with("doc = ");
                if group.delimiter() == Delimiter::Brace && std::mem::take(&mut is_test) {
                    continue;
                }
                if !is_doc || docs == Docs::Read {
                    collect(group.stream(), docs, found);
                }
            }
            TokenTree::Punct(punct) if punct.as_char() == ';' => is_test = false,
            TokenTree::Literal(literal) => {
                let text = literal.to_string();
                let text = text
                    .trim_start_matches(['b', 'r', '#'])
                    .trim_end_matches('#');
                let inner = text.strip_prefix('"').and_then(|t| t.strip_suffix('"'));
                // A backslash at the end of a line joins it with the next one.
                found.extend(inner.map(|inner| {
                    let lines = inner.split("\\\n").map(str::trim_start);
                    lines.collect::<String>().replace("\\\"", "\"")
                }));
            }
            TokenTree::Punct(_) | TokenTree::Ident(_) => {}
        }
    }
}

/// Returns the literals that follow `start`, such as the first arguments of calls, after white space.
pub(super) fn first_arguments<'t>(text: &'t str, start: &'t str) -> impl Iterator<Item = &'t str> {
    text.split(start).skip(1).filter_map(|after| {
        let literal = after.trim_start().strip_prefix('"')?;
        Some(literal.split_once('"')?.0)
    })
}

pub(super) fn literals_are_read() -> TestResult {
    let source = r##"
        // "comment" and '"'
        /// A doc.
        fn a() { f("one \
            two", r#"th"ree"#); }
        #[cfg(test)]
        use x;
        #[cfg(test)]
        mod tests { const T: &str = "no"; }
        const B: &str = "t\"wo"; const C: &'static [u8] = b"six"; const D: char = '\'';
        m! { "five" => '"' }
    "##;
    let without = literals(source, Docs::Left)?;
    let with = literals(source, Docs::Read)?;
    let expected = ["one two", "th\"ree", "t\"wo", "six", "five"];
    match without == expected && with.len() == expected.len() + 1 {
        true => Ok(()),
        false => Err(format!("{without:?} {with:?}").into()),
    }
}
