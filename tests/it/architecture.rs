//! The layering of modules: permitted imports, and what pure modules may not use.
//!
//! This table is the one in ARCHITECTURE.md, whose diagram is printed from it (`cargo test --test
//! it architecture -- --nocapture` shows it when it differs).

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use crate::support::TestResult;
use libtest_mimic::{Failed, Trial};

/// A module: its name, whether it is pure, and the modules that it may import.
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

/// The modules from the bottom to the top: each imports only modules listed above it.
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
    pure("inspect", &["network", "allocation", "catalog"]),
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
            "inspect",
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
            "inspect",
            "check",
            "server",
            "controllers",
        ],
    ),
];

/// Paths that make a module impure.
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

/// Names that make a module impure, however they are imported.
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
            "architecture::every_folder_is_a_module",
            every_folder_is_a_module,
        ),
        Trial::test("architecture::modules_import_only_what_they_may", imports),
        Trial::test("architecture::there_are_no_cycles", no_cycles),
        Trial::test("architecture::pure_modules_have_no_side_effects", purity),
        Trial::test("architecture::the_diagram_is_current", diagram_is_current),
        Trial::test("architecture::files_have_module_docs", module_docs),
    ]
}

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Returns the path and text of every Rust file below `folder`, except tests.
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

/// Returns the code of a file without comments and without its unit tests, which may use anything.
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

/// Returns the modules that a text names by `crate::module` or in a `use crate::{module, ...}`.
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

/// Returns the first identifiers of a group's entries: `{a::b, c::{d, e}}` names a and c.
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
    let modules: BTreeSet<String> = MODULES
        .iter()
        .map(|module| module.name.to_owned())
        .collect();
    if folders == modules {
        return Ok(());
    }
    Err(format!("folders of src/ {folders:?}, modules of the table {modules:?}").into())
}

fn imports() -> TestResult {
    let names: BTreeSet<&str> = MODULES.iter().map(|module| module.name).collect();
    let mut wrong = Vec::new();
    for module in MODULES {
        for (path, text) in files(&source().join(module.name))? {
            let code = code(&text);
            for named in named_modules(&code) {
                let foreign = names.contains(named) && named != module.name;
                if foreign && !module.imports.contains(&named) {
                    wrong.push(format!(
                        "{}: {} may not import {named}",
                        path.display(),
                        module.name
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
    let positions: BTreeMap<&str, usize> = MODULES
        .iter()
        .enumerate()
        .map(|(index, module)| (module.name, index))
        .collect();
    for (index, module) in MODULES.iter().enumerate() {
        for import in module.imports {
            match positions.get(import) {
                Some(below) if *below < index => {}
                _ => return Err(format!("{} imports {import}, not below it", module.name).into()),
            }
        }
    }
    Ok(())
}

fn purity() -> TestResult {
    let mut wrong = Vec::new();
    for module in MODULES.iter().filter(|module| module.pure) {
        for (path, text) in files(&source().join(module.name))? {
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
                let std_module = line
                    .trim_end_matches(',')
                    .split("::")
                    .next()
                    .unwrap_or_default();
                let impure = ["fs", "env", "process", "thread", "time"];
                if impure.contains(&std_module) && code.contains("use std::{") {
                    wrong.push(format!("{}: std::{std_module}", path.display()));
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

/// Renders the table for ARCHITECTURE.md.
fn render_diagram() -> String {
    let mut lines = String::new();
    for module in MODULES {
        let kind = if module.pure { "pure" } else { "" };
        let imports = if module.imports.is_empty() {
            "-".into()
        } else {
            module.imports.join(" ")
        };
        lines.push_str(format!("{:<10} {kind:<5} <- {imports}", module.name).trim_end());
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
        "ARCHITECTURE.md does not show the current modules:\n{}",
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
