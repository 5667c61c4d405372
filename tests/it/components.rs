//! The paths of real programs that `tests/real/build.sh` has built.

use std::{env, fs, path::PathBuf, process::Command};

use libtest_mimic::{Failed, Trial};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/compatibility.md");
const BUILD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/real/build.sh");
/// The names of the programs in the page.
const PAGE_ROWS: &[(&str, &str)] = &[
    ("kubernetes", "kube-apiserver, etcd"),
    ("etcd", "kube-apiserver, etcd"),
    ("kubernetes-old", "kube-apiserver"),
    ("plugins", "CNI plugins"),
    ("whereabouts", "Whereabouts"),
];

pub(crate) fn tests() -> Vec<Trial> {
    // Benches include this file, without the macros of the tests.
    vec![Trial::test(
        "components::the_page_names_the_built_versions",
        the_page_names_the_built_versions,
    )]
}

/// Compares the page with the versions that the binaries print; programs that are not built are
/// skipped.
fn the_page_names_the_built_versions() -> Result<(), Failed> {
    let page = fs::read_to_string(PAGE)?;
    let printed = Command::new(BUILD).arg("--versions").output()?;
    let printed = String::from_utf8(printed.stdout)?;
    for (part, row) in PAGE_ROWS {
        let row = page
            .lines()
            .find(|line| line.starts_with(&format!("| {row} |")))
            .ok_or_else(|| format!("no row {row:?}"))?;
        let named = row.split('|').nth(2).unwrap_or_default();
        let named: Vec<&str> = named.split(',').map(str::trim).collect();
        let lines = printed
            .lines()
            .filter_map(|line| line.strip_prefix(part)?.strip_prefix(' '));
        for line in lines {
            let mut words = line.split_whitespace();
            let fits = words.any(|word| named.contains(&word.trim_start_matches('v')));
            if !fits {
                return Err(format!("{part}: {line:?}, the page has {named:?}").into());
            }
        }
    }
    Ok(())
}

/// Returns the folder of a component, whether or not it is built.
pub(crate) fn folder(part: &str) -> Option<PathBuf> {
    Some(cache()?.join("current").join(part))
}

/// Returns Multus: the binary that `MULTUS` names, else the one that is linked into the cache.
pub(crate) fn multus() -> Option<PathBuf> {
    let named = env::var_os("MULTUS").filter(|value| !value.is_empty());
    let path = named.map(PathBuf::from);
    let path = path.or_else(|| Some(folder("multus")?.join("multus")))?;
    path.is_file().then_some(path)
}

/// Returns the folder of a real control plane: the one that `KUBEBUILDER_ASSETS` names, else the built one.
pub(crate) fn assets() -> Option<PathBuf> {
    let named = env::var_os("KUBEBUILDER_ASSETS").filter(|value| !value.is_empty());
    named.map(PathBuf::from).or_else(|| folder("assets"))
}

/// Returns the cache, as `tests/real/README.md` describes it.
fn cache() -> Option<PathBuf> {
    let named = |key| env::var_os(key).filter(|value| !value.is_empty());
    named("NADMIT_REAL_CACHE").map(PathBuf::from).or_else(|| {
        let caches = named("XDG_CACHE_HOME").map(PathBuf::from);
        let caches = caches.or_else(|| Some(PathBuf::from(named("HOME")?).join(".cache")));
        Some(caches?.join("nadmit-real"))
    })
}
