//! The sources of the program, without their tests, and the string literals in them.

use std::{collections::BTreeSet, fs, path::Path};

use libtest_mimic::Failed;

use super::super::{ROOT, below};
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
            found.extend(literals(&text));
        }
    }
    Ok(found)
}

/// Returns the string literals of a file as written, outside of comments.
fn literals(text: &str) -> Vec<String> {
    let (mut found, mut rest) = (Vec::new(), text);
    while let Some(at) = rest.find(['/', '"', '\'', 'r']) {
        let is_word = rest[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
        rest = &rest[at..];
        let raw = rest.strip_prefix('r').filter(|_| !is_word).and_then(|raw| {
            let marks = raw.len() - raw.trim_start_matches('#').len();
            let (marks, body) = raw.split_at(marks);
            Some((marks, body.strip_prefix('"')?))
        });
        if let Some((marks, body)) = raw {
            let (literal, after) = body.split_once(&format!("\"{marks}")).unwrap_or((body, ""));
            found.push(literal.to_owned());
            rest = after;
        } else if rest.starts_with("//") {
            rest = rest.split_once('\n').map_or("", |(_, after)| after);
        } else if let Some(body) = rest.strip_prefix('"') {
            let end = end_of_literal(body);
            found.push(body[..end].to_owned());
            rest = body.get(end + 1..).unwrap_or_default();
        } else if let Some(body) = rest.strip_prefix('\'') {
            rest = after_char(body);
        } else {
            rest = &rest[1..];
        }
    }
    found
}

/// Returns the position of the closing quotation mark.
fn end_of_literal(body: &str) -> usize {
    let mut is_escaped = false;
    for (at, byte) in body.bytes().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => return at,
            _ => {}
        }
    }
    body.len()
}

/// Returns the text after a character literal, or after the apostrophe of a lifetime.
fn after_char(body: &str) -> &str {
    let mut chars = body.chars();
    match (chars.next(), chars.next()) {
        (Some('\\'), Some(escaped)) => {
            let after = &body[1 + escaped.len_utf8()..];
            after.split_once('\'').map_or("", |(_, after)| after)
        }
        (Some(_), Some('\'')) => chars.as_str(),
        _ => body,
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
    let text = r##"
        // "comment" and '"'
        let a = "one"; let b = '"'; let c: &'static str = "t\"wo";
        let d = r#"th"ree"#; let e = r"four"; let f = '\''; for "five"; a / b; b"six"; '\u{1}'; "seven"
    "##;
    let found = literals(text);
    let expected = ["one", "t\\\"wo", "th\"ree", "four", "five", "six", "seven"];
    match found == expected {
        true => Ok(()),
        false => Err(format!("{found:?}").into()),
    }
}
