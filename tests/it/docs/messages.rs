//! The language of messages, logs and `--help`: every string literal of the product's sources is read as
//! text for users, and so are the doc comments from which clap makes the help.

use std::{fs, path::Path};

use libtest_mimic::{Failed, Trial};
use nadmit::rules::{RULES, RuleDocs};

use super::{
    ROOT,
    sources::{self, Docs},
    words::{SENTENCE, banned, long_sentences},
};
use crate::{prose::none_of, support::TestResult};

/// The folders of the product's sources.
const SOURCES: &[&str] = &["crates", "src"];
/// The folders whose doc comments are help texts.
const HELP: &[&str] = &["src/cli/", "src/install/"];

pub(super) fn tests() -> Vec<Trial> {
    tests!["docs::messages";
        messages_and_help_are_plain,
        headings_quote_messages,
        explanations_of_rules_are_complete,
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
        for (file, source) in sources::texts(folder)? {
            let is_help = HELP.iter().any(|folder| file.starts_with(folder));
            let docs = if is_help { Docs::Read } else { Docs::Left };
            // Others are names, such as those of functions that serde calls.
            let texts = sources::literals(&source, docs)?.into_iter();
            let texts = texts.filter(|text| text.contains(' '));
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
    none_of(&wrong, "docs/glossary.md has the words to use")
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
