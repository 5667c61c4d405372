//! The crates of the workspace: who depends on whom, and what pure crates may not touch.
//!
//! Cargo enforces the dependencies. The table of ARCHITECTURE.md is printed from the manifests
//! (`cargo test --test it architecture -- --nocapture` shows it when it differs).

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use libtest_mimic::{Failed, Trial};

/// The crates without I/O, clock, randomness, runtime and Kubernetes client, from the bottom to the top.
const PURE: &[&str] = &[
    "cni",
    "allocation",
    "whereabouts",
    "catalog",
    "reconcile",
    "rules",
    "manifests",
    "admission",
    "inspect",
    "audit",
];

/// The other crates, from the bottom to the top.
const IMPURE: &[&str] = &[
    "host",
    "pki",
    "api",
    "sources",
    "ledger",
    "controllers",
    "server",
];

/// The crates of other projects that pure crates may depend on: parsers, encoders, hashes and
/// differences of texts.
const PURE_DEPENDENCIES: &[&str] = &[
    "base64",
    "croner",
    "json-patch",
    "serde",
    "serde-saphyr",
    "serde_json",
    "sha2",
    "shlex",
    "shuttle",
    "similar",
    "strsim",
    "thiserror",
];

/// Paths of the standard library that reach outside of the process.
const IMPURE_PATHS: &[&str] = &[
    "std::fs",
    "std::env",
    "std::io",
    "std::net::Tcp",
    "std::net::Udp",
    "std::process",
    "std::thread",
    "std::time",
];

/// Names that do so however they were imported.
const IMPURE_NAMES: &[&str] = &[
    "SystemTime",
    "Instant",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
];

pub(crate) fn tests() -> Vec<Trial> {
    tests!["architecture";
        every_crate_is_listed,
        pure_crates_depend_on_pure_crates,
        pure_crates_have_no_side_effects,
        the_table_is_current,
        files_have_module_docs,
    ]
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The crates of the workspace below `crates/`, in the order of the table.
fn crates() -> impl Iterator<Item = &'static str> {
    PURE.iter().chain(IMPURE).copied()
}

/// Returns the names in the `[dependencies]` of a crate of the workspace.
fn dependencies(name: &str) -> Result<Vec<String>, Failed> {
    let manifest = root().join("crates").join(name).join("Cargo.toml");
    let text = fs::read_to_string(manifest)?;
    let section = text.split("\n[").find(|s| s.starts_with("dependencies]"));
    let lines = section.unwrap_or_default().lines().skip(1);
    let names = lines.filter_map(|line| line.split(['.', ' ', '=']).next());
    Ok(names
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect())
}

/// Returns every Rust file below `folder` that is not a test, with its text.
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

/// Returns the code of a file: without comments, and without its own tests, which may use anything.
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

fn every_crate_is_listed() -> Result<(), Failed> {
    let folders: BTreeSet<String> = fs::read_dir(root().join("crates"))?
        .filter_map(Result::ok)
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| name != "fake-apiserver")
        .collect();
    let listed: BTreeSet<String> = crates().map(str::to_owned).collect();
    if folders == listed {
        return Ok(());
    }
    Err(format!("folders of crates/ {folders:?}, crates of the table {listed:?}").into())
}

fn pure_crates_depend_on_pure_crates() -> Result<(), Failed> {
    let mut wrong = Vec::new();
    for name in PURE {
        for dependency in dependencies(name)? {
            let pure = match dependency.strip_prefix("nadmit-") {
                Some(layer) => PURE.contains(&layer),
                None => PURE_DEPENDENCIES.contains(&&*dependency),
            };
            if !pure {
                wrong.push(format!("{name} depends on {dependency}, which is not pure"));
            }
        }
    }
    none_of(&wrong)
}

fn pure_crates_have_no_side_effects() -> Result<(), Failed> {
    let mut wrong = Vec::new();
    for name in PURE {
        for (path, text) in files(&root().join("crates").join(name).join("src"))? {
            let code = code(&text);
            wrong.extend(side_effects(&code).map(|found| format!("{}: {found}", path.display())));
        }
    }
    none_of(&wrong)
}

/// Returns the paths and names in a text of code that reach outside of the process.
fn side_effects(code: &str) -> impl Iterator<Item = String> {
    let words: BTreeSet<&str> = code
        .split(|c: char| !c.is_alphanumeric() && c != '_' && c != ':')
        .collect();
    let parts: BTreeSet<&str> = words.iter().flat_map(|word| word.split("::")).collect();
    let paths = IMPURE_PATHS
        .iter()
        .filter(|path| words.iter().any(|word| word.starts_with(**path)));
    let names = IMPURE_NAMES.iter().filter(|name| parts.contains(**name));
    let mut found: Vec<String> = paths.chain(names).map(|one| (*one).to_owned()).collect();
    // Inside of `use std::{...}` the path is split.
    for group in code.split("use std::{").skip(1) {
        let group = group.split("\n}").next().unwrap_or_default();
        let modules = group
            .lines()
            .filter_map(|line| line.trim().split("::").next());
        let modules = modules.map(|module| module.trim_end_matches(','));
        found.extend(
            modules
                .filter(|module| ["fs", "env", "io", "process", "thread", "time"].contains(module))
                .map(|module| format!("std::{module}")),
        );
    }
    found.into_iter()
}

/// Returns the table as ARCHITECTURE.md shows it.
fn table() -> Result<String, Failed> {
    let mut lines = String::new();
    for name in crates() {
        let kind = if PURE.contains(&name) { "pure" } else { "" };
        let layers: Vec<String> = dependencies(name)?
            .iter()
            .filter_map(|one| one.strip_prefix("nadmit-"))
            .map(str::to_owned)
            .collect();
        let layers = if layers.is_empty() {
            "-".to_owned()
        } else {
            layers.join(" ")
        };
        lines.push_str(&format!("{name:<11} {kind:<5} <- {layers}\n"));
    }
    Ok(lines)
}

fn the_table_is_current() -> Result<(), Failed> {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md"))?;
    let table = table()?;
    if text.contains(&table) {
        return Ok(());
    }
    Err(format!("ARCHITECTURE.md does not show the crates as they are:\n{table}").into())
}

fn files_have_module_docs() -> Result<(), Failed> {
    let mut silent = Vec::new();
    for folder in ["src", "crates"] {
        let files = files(&root().join(folder))?.into_iter();
        silent.extend(
            files
                .filter(|(_, text)| !text.starts_with("//!"))
                .map(|(path, _)| path.display().to_string()),
        );
    }
    none_of(&silent)
}

fn none_of(wrong: &[String]) -> Result<(), Failed> {
    if wrong.is_empty() {
        return Ok(());
    }
    Err(wrong.join("\n").into())
}
