//! The language of messages, logs and `--help`: every string literal of the product's sources is read as
//! text for users, and so are the doc comments from which clap makes the help.

use std::{fs, path::Path};

use libtest_mimic::{Failed, Trial};
use nadmit::rules::{RULES, RuleDocs};
use proc_macro2::{Delimiter, TokenStream, TokenTree};

use super::{
    ROOT, below, shown,
    words::{SENTENCE, banned, long_sentences},
};
use crate::support::TestResult;

/// The folders of the product's sources.
const SOURCES: &[&str] = &["crates", "src"];
/// The crates and folders that users see nothing of.
const OTHERS: &[&str] = &["crates/fake-apiserver/", "/tests/", "/tests.rs"];
/// The folders whose doc comments are help texts.
const HELP: &[&str] = &["src/cli/", "src/install/"];

pub(super) fn tests() -> Vec<Trial> {
    tests!["docs::messages";
        messages_and_help_are_plain,
        headings_quote_messages,
        explanations_of_rules_are_complete,
        literals_outside_of_tests_are_found,
    ]
}

/// A text in the sources of the product.
struct SourceText {
    /// The path of the file.
    file: String,
    text: String,
}

/// Returns every text of the sources that users can see.
fn source_texts() -> Result<Vec<SourceText>, Failed> {
    let mut found = Vec::new();
    for folder in SOURCES {
        for path in below(&Path::new(ROOT).join(folder), &["rs"]) {
            let file = shown(&path);
            if OTHERS.iter().any(|other| file.contains(other)) {
                continue;
            }
            let with_docs = HELP.iter().any(|folder| file.starts_with(folder));
            let texts = literals(&fs::read_to_string(&path)?, with_docs)?;
            // Others are names, such as those of functions that serde calls.
            let texts = texts.into_iter().filter(|text| text.contains(' '));
            found.extend(texts.map(|text| SourceText {
                file: file.clone(),
                text,
            }));
        }
    }
    Ok(found)
}

fn messages_and_help_are_plain() -> TestResult {
    let mut wrong = Vec::new();
    for SourceText { file, text } in source_texts()? {
        for word in banned(&text) {
            wrong.push(format!("{file}: {word:?} in {text:?}"));
        }
    }
    match wrong.as_slice() {
        [] => Ok(()),
        wrong => Err(format!(
            "docs/glossary.md has the words to use\n{}",
            wrong.join("\n")
        )
        .into()),
    }
}

/// A heading that quotes a message of nadmit quotes it exactly, apart from numbers and omissions.
fn headings_quote_messages() -> TestResult {
    const PAGE: &str = "docs/how-to/troubleshooting.md";
    /// Messages of the API server and of Go.
    const FOREIGN: &[&str] = &["failed calling webhook ", "x509: "];
    let texts = source_texts()?;
    let page = fs::read_to_string(Path::new(ROOT).join(PAGE))?;
    let headings = page.lines().filter_map(|line| line.strip_prefix("### \""));
    let (mut wrong, mut count) = (Vec::new(), 0);
    for heading in headings {
        let quoted = heading
            .rsplit_once('"')
            .map_or(heading, |(quoted, _)| quoted);
        if FOREIGN.iter().any(|start| quoted.starts_with(start)) {
            continue;
        }
        for part in quoted.split(|c: char| c.is_ascii_digit() || c == '…') {
            count += 1;
            let part = part.trim_matches([' ', ';', ':', '"']);
            if !texts.iter().any(|one| one.text.contains(part)) {
                wrong.push(format!("{PAGE}: {part:?} is in no message"));
            }
        }
    }
    match wrong.as_slice() {
        [] if count > 5 => Ok(()),
        wrong => Err(wrong.join("\n").into()),
    }
}

/// Each part of a rule's explanation has whole, short sentences.
fn explanations_of_rules_are_complete() -> TestResult {
    let mut wrong = Vec::new();
    for rule in RULES {
        let RuleDocs {
            checks,
            consequence,
            fix,
            source,
        } = rule.docs;
        for text in [checks, consequence, fix, source] {
            if !text.ends_with('.') {
                wrong.push(format!("{}: not a sentence: {text:?}", rule.code));
            }
        }
        for text in [checks, consequence, fix] {
            for (_, count, sentence) in long_sentences(text) {
                wrong.push(format!("{}: {count} words: {sentence}", rule.code));
            }
        }
        if rule.summary.ends_with('.') || rule.summary.split_whitespace().count() > SENTENCE {
            wrong.push(format!("{}: the summary {:?}", rule.code, rule.summary));
        }
    }
    match wrong.as_slice() {
        [] => Ok(()),
        wrong => Err(wrong.join("\n").into()),
    }
}

/// Returns the string literals of a file outside of its unit tests, and its doc comments if `with_docs`
/// is set.
fn literals(source: &str, with_docs: bool) -> Result<Vec<String>, proc_macro2::LexError> {
    let mut found = Vec::new();
    collect(source.parse()?, with_docs, &mut found);
    Ok(found)
}

fn collect(tokens: TokenStream, with_docs: bool, found: &mut Vec<String>) {
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
                if !is_doc || with_docs {
                    collect(group.stream(), with_docs, found);
                }
            }
            TokenTree::Punct(punct) if punct.as_char() == ';' => is_test = false,
            TokenTree::Literal(literal) => {
                let text = literal.to_string();
                let text = text.trim_start_matches(['r', '#']).trim_end_matches('#');
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

fn literals_outside_of_tests_are_found() -> TestResult {
    let source = r##"
        /// A doc.
        fn a() { f("one \
            two", r#"three "x""#); }
        #[cfg(test)]
        use x;
        #[cfg(test)]
        mod tests { const T: &str = "four"; }
        const B: &str = "five";
    "##;
    let without = literals(source, false)?;
    let with = literals(source, true)?;
    let expected = ["one two", "three \"x\"", "five"];
    match without == expected && with.len() == 4 {
        true => Ok(()),
        false => Err(format!("{without:?} {with:?}").into()),
    }
}
