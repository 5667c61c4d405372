//! The pages of docs/reference that are generated: from settings, `--help`, metrics and alerts, and from
//! tables of keys, events and conditions, which are compared with the sources.
//!
//! `NADMIT_UPDATE=1 cargo test --test it docs::reference` rewrites them.

mod alerts;
mod command_line;
mod conditions;
mod events;
mod keys;
mod metric_list;
mod metrics;
mod settings;

use std::{collections::BTreeSet, fmt::Display, fs, path::Path};

use libtest_mimic::{Failed, Trial};

use super::{
    ROOT,
    links::{anchor, prose},
    sources,
};
use crate::support::TestResult;

/// The page on problems, in docs/.
const TROUBLESHOOTING: &str = "how-to/troubleshooting.md";

/// A function that returns the text of a page.
type PageFn = fn() -> Result<String, Failed>;

/// Names of pages, and functions that return their texts.
const PAGES: &[(&str, PageFn)] = &[
    ("alerts", alerts::page),
    ("command-line", command_line::page),
    ("conditions", conditions::page),
    ("events", events::page),
    ("labels-and-annotations", keys::page),
    ("settings", settings::page),
];

pub(super) fn tests() -> Vec<Trial> {
    let current = |(name, page): &(&'static str, PageFn)| {
        let (name, page) = (*name, *page);
        Trial::test(format!("docs::reference::{name}_is_current"), move || {
            is_current(name, &page()?)
        })
    };
    let pages = PAGES.iter().map(current);
    pages
        .chain(tests!["docs::reference";
            command_line::exit_codes_are_those_of_the_program,
            command_line::all_variables_are_documented,
            conditions::all_condition_reasons_are_documented,
            events::all_event_reasons_are_documented,
            keys::all_keys_are_documented,
            metrics::all_labels_are_documented,
            settings::all_headings_are_keys,
            sources::literals_are_read,
        ])
        .chain(metrics::tests())
        .collect()
}

/// Compares a page with its text. `NADMIT_UPDATE=1` writes it.
fn is_current(name: &str, page: &str) -> TestResult {
    let path = Path::new(ROOT).join(format!("docs/reference/{name}.md"));
    if std::env::var_os("NADMIT_UPDATE").is_some() {
        fs::write(&path, page)?;
    }
    if fs::read_to_string(&path).unwrap_or_default() == page {
        return Ok(());
    }
    let message = format!(
        "docs/reference/{name}.md is not current; NADMIT_UPDATE=1 cargo test --test it \
         docs::reference rewrites it"
    );
    Err(message.into())
}

/// Compares what the sources have with what a table documents.
fn agree<T: Ord + Display>(found: &BTreeSet<T>, documented: &BTreeSet<T>) -> TestResult {
    let list = |items: Vec<&T>| {
        let items: Vec<String> = items.into_iter().map(ToString::to_string).collect();
        items.join(", ")
    };
    let missing = list(found.difference(documented).collect());
    let stale = list(documented.difference(found).collect());
    if missing.is_empty() && stale.is_empty() {
        return Ok(());
    }
    Err(format!("not documented: [{missing}]; only documented: [{stale}]").into())
}

/// Returns a table of Markdown.
fn table<const N: usize>(head: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> String {
    let line = |cells: [String; N]| format!("| {} |\n", cells.join(" | "));
    let mut table = line(head.map(str::to_owned));
    table.push_str(&format!("|{}\n", "---|".repeat(N)));
    for row in rows {
        table.push_str(&line(row.map(|cell| cell.replace('|', "\\|"))));
    }
    table
}

/// Returns a link to the first section of the page on problems that names this alert or event.
fn troubleshooting_link(name: &str) -> Result<Option<String>, Failed> {
    let page = fs::read_to_string(Path::new(ROOT).join("docs").join(TROUBLESHOOTING))?;
    let (mut heading, name) = (None, code(name));
    for (_, line) in prose(&page) {
        let title = line.trim_start_matches('#');
        if let Some(text) = title.strip_prefix(' ').filter(|_| line.starts_with("##")) {
            heading = Some(text);
        } else if line.contains(&name) {
            let link = |text| format!("[{text}](../{TROUBLESHOOTING}#{})", anchor(text));
            return Ok(heading.map(link));
        }
    }
    Ok(None)
}

/// Returns the text as code.
fn code(text: &str) -> String {
    format!("`{text}`")
}
