//! The language of user pages: words that have to be decoded do not come back, and sentences stay short.

use std::{fs, path::Path};

use libtest_mimic::Trial;

use super::{ROOT, links::prose, pages, shown};
use crate::{
    prose::{as_words, none_of},
    support::TestResult,
};

/// Words and idioms of former pages, in lower case.
const WORDS: &[&str] = &[
    "mend",
    "mends",
    "mended",
    "mending",
    "afresh",
    "whoever",
    "is none",
    "is no",
    "put in",
    "speak of",
    "spoken of",
];
/// The phrase that may contain `is no`.
const ALLOWED: &str = "there is no";

/// Folders and pages whose sentences are short.
const SHORT: &[&str] = &[
    "README.md",
    "docs/README.md",
    "docs/comparison.md",
    "docs/compatibility.md",
    "docs/from-annotation-to-interface.md",
    "docs/operating-in-a-cluster.md",
    "docs/pools.md",
    "docs/security.md",
    "docs/tutorials/",
    "docs/how-to/",
    "docs/reference/",
    "docs/explanation/",
];
/// The most words of a sentence.
pub(super) const SENTENCE: usize = 25;
/// The most words of a sentence in a step.
const STEP: usize = 20;

pub(super) fn tests() -> Vec<Trial> {
    tests!["docs::words";
        idioms_do_not_come_back,
        sentences_are_short,
        an_idiom_is_found,
        a_long_sentence_is_found,
    ]
}

/// Returns the text without spans of code, targets of links, and marks of emphasis.
fn plain(text: &str) -> String {
    let mut plain = String::new();
    for (index, part) in text.split('`').enumerate() {
        plain += if index % 2 == 0 { part } else { "code" };
    }
    let mut found = String::new();
    let mut rest = plain.as_str();
    while let Some((before, link)) = rest.split_once("](") {
        found += before;
        rest = link.split_once(')').map_or("", |(_, after)| after);
    }
    found += rest;
    found.replace(['*', '[', ']', '>'], "")
}

/// Returns the banned words of a line.
pub(super) fn banned(line: &str) -> Vec<&'static str> {
    let line = as_words(&plain(line).to_lowercase().replace(ALLOWED, ""));
    let is_in = |word: &&&str| line.contains(&format!(" {word} "));
    WORDS.iter().filter(is_in).copied().collect()
}

fn idioms_do_not_come_back() -> TestResult {
    let mut wrong = Vec::new();
    for path in pages() {
        let page = shown(&path);
        let text = fs::read_to_string(&path)?;
        // Headings are anchors that other pages link to.
        for (number, line) in prose(&text).filter(|(_, line)| !line.starts_with('#')) {
            for word in banned(line) {
                wrong.push(format!("{page}:{number}: {word:?}"));
            }
        }
    }
    none_of(&wrong, "docs/glossary.md has the words to use")
}

/// A paragraph, an item of a list, or a cell of a table.
struct Passage {
    line: usize,
    text: String,
    is_step: bool,
}

fn passages(page: &str) -> Vec<Passage> {
    let mut passages: Vec<Passage> = Vec::new();
    let mut last = 0;
    for (number, line) in prose(page) {
        let text = line.trim();
        let goes_on = last + 1 == number;
        last = number;
        if text.is_empty() || text.starts_with(['#', '<']) {
            last = 0;
            continue;
        }
        if let Some(row) = text.strip_prefix('|') {
            last = 0;
            passages.extend(row.split('|').map(|cell| Passage {
                line: number,
                text: cell.trim().to_owned(),
                is_step: false,
            }));
            continue;
        }
        let step = text
            .split_once(". ")
            .filter(|(count, _)| !count.is_empty() && count.chars().all(|c| c.is_ascii_digit()));
        let item = step.map(|(_, text)| text).or(text.strip_prefix("- "));
        match (item, passages.last_mut()) {
            (None, Some(passage)) if goes_on => {
                passage.text.push(' ');
                passage.text.push_str(text);
            }
            _ => passages.push(Passage {
                line: number,
                text: item.unwrap_or(text).to_owned(),
                is_step: step.is_some(),
            }),
        }
    }
    passages
}

/// Returns the sentences with more words than are allowed, each with its line and number of words.
pub(super) fn long_sentences(page: &str) -> Vec<(usize, usize, String)> {
    let mut found = Vec::new();
    for Passage {
        line,
        text,
        is_step,
    } in passages(page)
    {
        let most = if is_step { STEP } else { SENTENCE };
        let text = plain(&text);
        let mut count = 0;
        let mut sentence = String::new();
        for word in text.split_whitespace() {
            count += usize::from(word.contains(char::is_alphanumeric));
            sentence.push_str(word);
            sentence.push(' ');
            let bare = word.trim_end_matches(['"', ')']);
            if bare.ends_with(['.', '!', '?', ':', ';']) {
                if count > most {
                    found.push((line, count, sentence.clone()));
                }
                count = 0;
                sentence.clear();
            }
        }
        if count > most {
            found.push((line, count, sentence));
        }
    }
    found
}

fn sentences_are_short() -> TestResult {
    let mut wrong = Vec::new();
    for path in pages() {
        let page = shown(&path);
        if !SHORT.iter().any(|short| page.starts_with(short)) {
            continue;
        }
        let text = fs::read_to_string(Path::new(ROOT).join(&page))?;
        for (line, count, sentence) in long_sentences(&text) {
            wrong.push(format!("{page}:{line}: {count} words: {sentence}"));
        }
    }
    match wrong.as_slice() {
        [] => Ok(()),
        wrong => Err(wrong.join("\n").into()),
    }
}

fn an_idiom_is_found() -> TestResult {
    let found =
        banned("This is no MAC; Mend it. There is no `mend` in [the input](put in), recommend.");
    match found == ["mend", "is no"] {
        true => Ok(()),
        false => Err(format!("{found:?}").into()),
    }
}

fn a_long_sentence_is_found() -> TestResult {
    let page = format!(
        "# T\n{}\nthe end.\n\n1. {}\n   two. Short.\n\n| a | b |\n```\n{}\n```\n",
        "a ".repeat(24),
        "b ".repeat(20),
        "c ".repeat(50)
    );
    let found: Vec<(usize, usize)> = long_sentences(&page)
        .into_iter()
        .map(|(line, count, _)| (line, count))
        .collect();
    match found == [(2, 26), (5, 21)] {
        true => Ok(()),
        false => Err(format!("{found:?}").into()),
    }
}
