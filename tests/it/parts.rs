//! Real programs that `tests/real/build.sh` has built: where they are.

use std::{env, path::PathBuf};

/// Returns the folder of a part, whether or not it is built.
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
