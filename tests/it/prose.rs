//! The language of comments: each doc comment begins with a noun phrase or a verb, and words that only this
//! project used do not come back.
//!
//! docs/glossary.md has the words that are used.

use std::{
    fs,
    path::{Path, PathBuf},
};

use libtest_mimic::{Failed, Trial};

/// First words that make a reader look for the subject of the sentence.
const BEGINNINGS: &[&str] = &[
    "What", "Who", "Whose", "Whom", "Whether", "How", "That", "The same", "Its", "Which",
];

/// Words of private meaning, and idioms that have to be decoded.
const WORDS: &[&str] = &[
    "told",
    "tell",
    "tells",
    "hear",
    "hears",
    "heard",
    "nobody",
    "patience",
    "desk",
    "beside",
    "loudest",
    "louder",
    "anew",
    "whoever",
    "gravity",
    "gravest",
    "housekeeper",
    "steward",
    "dawdle",
    "dawdles",
    "counts for nothing",
    "comes to nothing",
    "for good",
    "who asks",
    "of before",
    "manyeth",
    "a moment ago",
];

pub(crate) fn tests() -> Vec<Trial> {
    tests!["prose";
        doc_comments_name_their_subject,
        private_words_do_not_come_back,
        doc_comments_say_more_than_the_name,
        a_banned_beginning_is_found,
        a_banned_word_is_found,
        a_repeated_name_is_found,
    ]
}

/// Returns every Rust file of the workspace, with its text.
fn files() -> Result<Vec<(PathBuf, String)>, Failed> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders: Vec<PathBuf> = ["src", "crates", "tests", "benches", "fuzz/fuzz_targets"]
        .iter()
        .map(|folder| root.join(folder))
        .collect();
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path)?;
                found.push((path, text));
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Returns the text of a comment, and whether it documents an item or module.
fn comment(line: &str) -> Option<(&str, bool)> {
    let text = line.trim_start().strip_prefix("//")?;
    let documented = text.strip_prefix(['/', '!']);
    Some((documented.unwrap_or(text).trim(), documented.is_some()))
}

/// Returns the numbers of the lines on which a doc comment begins in a banned way.
fn banned_beginnings(text: &str) -> Vec<usize> {
    let mut found = Vec::new();
    let mut goes_on = false;
    for (number, line) in (1..).zip(text.lines()) {
        let Some((sentence, true)) = comment(line) else {
            goes_on = false;
            continue;
        };
        let begins = |word: &&&str| {
            sentence
                .strip_prefix(**word)
                .is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
        };
        if !goes_on && BEGINNINGS.iter().any(|word| begins(&word)) {
            found.push(number);
        }
        goes_on = true;
    }
    found
}

/// Returns the words of a text in lower case, with one space before and after each.
pub(crate) fn as_words(text: &str) -> String {
    let lower = text.to_lowercase();
    let words = lower.split(|c: char| !c.is_alphanumeric());
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    format!(" {} ", words.join(" "))
}

/// Returns the banned words in comments, each with the number of its line.
fn banned_words(text: &str) -> Vec<(usize, &'static str)> {
    let mut found = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let Some((sentence, _)) = comment(line) else {
            continue;
        };
        let words = as_words(sentence);
        let banned = WORDS
            .iter()
            .filter(|word| words.contains(&format!(" {word} ")));
        found.extend(banned.map(|word| (number, *word)));
    }
    found
}

/// Returns the words of a text in lower case, camel case divided.
fn words(text: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut before = ' ';
    for c in text.chars() {
        let begins = before.is_lowercase() && c.is_uppercase();
        if begins || !c.is_ascii_alphabetic() {
            words.push(String::new());
        }
        if let (true, Some(word)) = (c.is_ascii_alphabetic(), words.last_mut()) {
            word.push(c.to_ascii_lowercase());
        }
        before = c;
    }
    let articles = ["", "a", "an", "the", "of", "its", "is"];
    words.retain(|word| !articles.contains(&word.as_str()));
    words
}

/// Returns the numbers of the lines with a doc comment that only repeats words of the item's line.
fn repeated_names(text: &str) -> Vec<usize> {
    let lines: Vec<&str> = text.lines().collect();
    let document = |at: usize| lines.get(at)?.trim_start().strip_prefix("/// ");
    let mut found = Vec::new();
    for at in 0..lines.len() {
        let Some(sentence) = document(at) else {
            continue;
        };
        let alone = document(at + 1).is_none() && (at == 0 || document(at - 1).is_none());
        let is_code = |line: &&&str| !line.trim_start().starts_with("#[");
        let Some(item) = lines.iter().skip(at + 1).find(is_code) else {
            continue;
        };
        let (said, named) = (words(sentence), words(item));
        if alone && !said.is_empty() && said.iter().all(|word| named.contains(word)) {
            found.push(at + 1);
        }
    }
    found
}

fn doc_comments_say_more_than_the_name() -> Result<(), Failed> {
    // Doc comments of clap's arguments and of the API's fields are what users read.
    let shown = |path: &Path| {
        let path = path.to_string_lossy();
        [
            "/src/cli/",
            "/crates/api/",
            "/tests/",
            "/benches/",
            "/fuzz/",
        ]
        .iter()
        .any(|part| path.contains(part))
    };
    let mut wrong = Vec::new();
    for (path, text) in files()?.iter().filter(|(path, _)| !shown(path)) {
        let lines = repeated_names(text).into_iter();
        wrong.extend(lines.map(|line| format!("{}:{line}", path.display())));
    }
    none_of(&wrong, "say more than the name, or leave the comment out")
}

fn doc_comments_name_their_subject() -> Result<(), Failed> {
    let mut wrong = Vec::new();
    for (path, text) in files()? {
        wrong.extend(
            banned_beginnings(&text)
                .into_iter()
                .map(|line| format!("{}:{line}", path.display())),
        );
    }
    none_of(
        &wrong,
        "begin with a noun phrase, or with a verb such as \"Returns\"",
    )
}

fn private_words_do_not_come_back() -> Result<(), Failed> {
    let mut wrong = Vec::new();
    for (path, text) in files()? {
        wrong.extend(
            banned_words(&text)
                .into_iter()
                .map(|(line, word)| format!("{}:{line}: {word:?}", path.display())),
        );
    }
    none_of(&wrong, "docs/glossary.md has the words to use")
}

/// Fails if there are wrong places, which it lists with the help.
pub(crate) fn none_of(wrong: &[String], help: &str) -> Result<(), Failed> {
    if wrong.is_empty() {
        return Ok(());
    }
    Err(format!("{}\n{help}", wrong.join("\n")).into())
}

fn a_banned_beginning_is_found() -> Result<(), Failed> {
    let text = "/// Whether it holds.\nfn a() {}\n/// Returns true if it holds.\n/// That is all.\n//! How it is.\n// How it is done.\n";
    let lines = banned_beginnings(text);
    // Line 5 continues a comment as far as the text shows: only the first line of each counts.
    if lines == [1] {
        return Ok(());
    }
    Err(format!("{lines:?}").into())
}

fn a_banned_word_is_found() -> Result<(), Failed> {
    let found = banned_words("// Whoever is told.\nlet told = 1;\n/// It counts for nothing.\n");
    if found == [(1, "told"), (1, "whoever"), (3, "counts for nothing")] {
        return Ok(());
    }
    Err(format!("{found:?}").into())
}

fn a_repeated_name_is_found() -> Result<(), Failed> {
    let text = "/// The pod name.\npub pod_name: String,\n/// The name, without its namespace.\npub name: String,\n\
                /// A read.\n#[derive(Debug)]\nenum LiveRead {\n";
    let lines = repeated_names(text);
    if lines == [1, 5] {
        return Ok(());
    }
    Err(format!("{lines:?}").into())
}
