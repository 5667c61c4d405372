//! The rooms: who may import whom, and what pure rooms may not touch.
//!
//! The table here is the table of ARCHITECTURE.md; the picture there is printed from it
//! (`cargo test --test it architecture -- --nocapture` shows it when it differs).

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use crate::support::TestResult;
use libtest_mimic::{Failed, Trial};

/// A room: its name, whether it is pure, and the rooms that it may import.
struct Module {
    name: &'static str,
    pure: bool,
    imports: &'static [&'static str],
}

const fn pure(name: &'static str, imports: &'static [&'static str]) -> Module {
    Module {
        name,
        pure: true,
        imports,
    }
}

const fn impure(name: &'static str, imports: &'static [&'static str]) -> Module {
    Module {
        name,
        pure: false,
        imports,
    }
}

/// From the bottom to the top: a room imports only what stands above it in this list.
const MODULES: &[Module] = &[
    pure("network", &[]),
    pure("allocation", &["network"]),
    impure("clock", &["allocation"]),
    impure("files", &[]),
    pure("catalog", &["network", "allocation"]),
    pure("rules", &["network", "allocation", "catalog"]),
    pure("admission", &["network", "allocation", "catalog", "rules"]),
    pure("document", &["network"]),
    pure("config", &["network", "rules", "document"]),
    impure("api", &["network", "allocation"]),
    pure("manifests", &["network", "allocation", "document"]),
    impure(
        "sources",
        &[
            "network",
            "allocation",
            "catalog",
            "api",
            "files",
            "manifests",
        ],
    ),
    impure("ledger", &["allocation", "api"]),
    impure("install", &["network", "rules", "config", "sources"]),
    pure("operate", &["network", "allocation", "catalog"]),
    impure("pki", &[]),
    impure(
        "check",
        &[
            "network",
            "allocation",
            "catalog",
            "rules",
            "document",
            "manifests",
            "sources",
        ],
    ),
    impure(
        "server",
        &[
            "allocation",
            "clock",
            "catalog",
            "rules",
            "admission",
            "config",
            "files",
            "ledger",
            "operate",
            "pki",
        ],
    ),
    impure(
        "controllers",
        &[
            "network",
            "allocation",
            "clock",
            "catalog",
            "rules",
            "admission",
            "api",
            "ledger",
            "pki",
        ],
    ),
    impure(
        "cli",
        &[
            "network",
            "allocation",
            "clock",
            "catalog",
            "rules",
            "admission",
            "config",
            "api",
            "manifests",
            "sources",
            "ledger",
            "install",
            "operate",
            "check",
            "server",
            "controllers",
        ],
    ),
];

/// Paths that would make a pure room depend on the world around it.
const IMPURE_PATHS: &[&str] = &[
    "tokio::",
    "kube::",
    "k8s_openapi::",
    "axum::",
    "hyper::",
    "rustls::",
    "tracing::",
    "rand::",
    "jiff::",
    "getrandom::",
    "std::fs",
    "std::env",
    "std::io",
    "std::process",
    "std::thread",
    "std::time",
];

/// Names that would do so, however they were imported.
const IMPURE_NAMES: &[&str] = &[
    "SystemTime",
    "Instant",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
];

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        Trial::test(
            "architecture::every_folder_is_a_room",
            every_folder_is_a_module,
        ),
        Trial::test("architecture::modules_import_only_what_they_may", imports),
        Trial::test("architecture::there_are_no_circles", no_cycles),
        Trial::test("architecture::pure_rooms_do_not_touch_the_world", purity),
        Trial::test("architecture::the_picture_is_current", diagram_is_current),
        Trial::test("architecture::files_have_module_docs", module_docs),
    ]
}

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Every Rust file below `folder` that is no test, with its text.
fn files(folder: &Path) -> Result<Vec<(PathBuf, String)>, Failed> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.file_stem().is_some_and(|stem| stem == "tests") {
            continue;
        }
        if path.is_dir() {
            found.extend(files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path)?;
            found.push((path, text));
        }
    }
    found.sort();
    Ok(found)
}

/// The code of a file: without comments, and without its own tests, which may use anything.
fn code(text: &str) -> String {
    let before_tests = text
        .split("#[cfg(test)]\nmod tests")
        .next()
        .unwrap_or_default();
    let lines = before_tests
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

/// The rooms that a text names by `crate::room` or in a `use crate::{room, ...}`.
fn named_modules(code: &str) -> BTreeSet<&str> {
    let mut found = BTreeSet::new();
    for piece in code.split("crate::").skip(1) {
        match piece.strip_prefix('{') {
            None => {
                found.insert(identifier(piece));
            }
            Some(group) => found.extend(top_level(group)),
        }
    }
    found
}

fn identifier(text: &str) -> &str {
    let end = text
        .find(|c: char| !c.is_alphanumeric() && c != '_')
        .unwrap_or(text.len());
    &text[..end]
}

/// The first identifiers of a group's entries: `{a::b, c::{d, e}}` names a and c.
fn top_level(group: &str) -> Vec<&str> {
    let (mut depth, mut start, mut entries) = (0, 0, Vec::new());
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                entries.push(&group[start..at]);
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                entries.push(&group[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    entries
        .into_iter()
        .map(|entry| identifier(entry.trim()))
        .filter(|e| !e.is_empty())
        .collect()
}

fn every_folder_is_a_module() -> TestResult {
    let folders: BTreeSet<String> = fs::read_dir(source())?
        .filter_map(Result::ok)
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    let rooms: BTreeSet<String> = MODULES.iter().map(|room| room.name.to_owned()).collect();
    if folders == rooms {
        return Ok(());
    }
    Err(format!("folders of src/ {folders:?}, rooms of the table {rooms:?}").into())
}

fn imports() -> TestResult {
    let names: BTreeSet<&str> = MODULES.iter().map(|room| room.name).collect();
    let mut wrong = Vec::new();
    for room in MODULES {
        for (path, text) in files(&source().join(room.name))? {
            let code = code(&text);
            for named in named_modules(&code) {
                let foreign = names.contains(named) && named != room.name;
                if foreign && !room.imports.contains(&named) {
                    wrong.push(format!(
                        "{}: {} may not import {named}",
                        path.display(),
                        room.name
                    ));
                }
            }
        }
    }
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(wrong.join("\n").into())
    }
}

fn no_cycles() -> TestResult {
    let place: BTreeMap<&str, usize> = MODULES
        .iter()
        .enumerate()
        .map(|(index, room)| (room.name, index))
        .collect();
    for (index, room) in MODULES.iter().enumerate() {
        for import in room.imports {
            match place.get(import) {
                Some(below) if *below < index => {}
                _ => return Err(format!("{} imports {import}, not below it", room.name).into()),
            }
        }
    }
    Ok(())
}

fn purity() -> TestResult {
    let mut wrong = Vec::new();
    for room in MODULES.iter().filter(|room| room.pure) {
        for (path, text) in files(&source().join(room.name))? {
            let code = code(&text);
            let words: BTreeSet<&str> = code
                .split(|c: char| !c.is_alphanumeric() && c != '_' && c != ':')
                .collect();
            let paths = IMPURE_PATHS
                .iter()
                .filter(|p| words.iter().any(|w| w.starts_with(**p)));
            let parts: BTreeSet<&str> = words.iter().flat_map(|word| word.split("::")).collect();
            let names = IMPURE_NAMES.iter().filter(|name| parts.contains(**name));
            wrong.extend(
                paths
                    .chain(names)
                    .map(|what| format!("{}: {what}", path.display())),
            );
            // Inside a `use std::{...}` the path is split.
            for line in code.lines().map(str::trim) {
                let module = line
                    .trim_end_matches(',')
                    .split("::")
                    .next()
                    .unwrap_or_default();
                let std_world = ["fs", "env", "process", "thread", "time"];
                if std_world.contains(&module) && code.contains("use std::{") {
                    wrong.push(format!("{}: std::{module}", path.display()));
                }
            }
        }
    }
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(wrong.join("\n").into())
    }
}

/// The table as ARCHITECTURE.md shows it.
fn render_diagram() -> String {
    let mut lines = String::new();
    for room in MODULES {
        let kind = if room.pure { "pure" } else { "" };
        let imports = if room.imports.is_empty() {
            "-".into()
        } else {
            room.imports.join(" ")
        };
        lines.push_str(format!("{:<10} {kind:<5} <- {imports}", room.name).trim_end());
        lines.push('\n');
    }
    lines
}

fn diagram_is_current() -> TestResult {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("ARCHITECTURE.md");
    let text = fs::read_to_string(page)?;
    if text.contains(&render_diagram()) {
        return Ok(());
    }
    Err(format!(
        "ARCHITECTURE.md does not show the rooms as they are:\n{}",
        render_diagram()
    )
    .into())
}

fn module_docs() -> TestResult {
    let silent: Vec<String> = files(&source())?
        .into_iter()
        .filter(|(_, text)| !text.starts_with("//!"))
        .map(|(path, _)| path.display().to_string())
        .collect();
    if silent.is_empty() {
        Ok(())
    } else {
        Err(silent.join("\n").into())
    }
}
