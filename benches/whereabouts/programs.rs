//! The programs that are measured, and the reason why nothing is.

use std::{
    env, fs, io,
    os::unix::fs::{MetadataExt as _, symlink},
    path::{Path, PathBuf},
};

use super::{
    components,
    links::NodeLinks,
    real::{self, RealServer},
};

/// The CNI plugins that are run, besides Whereabouts's.
const PLUGINS: [&str; 2] = ["macvlan", "static"];

/// The folders of CNI plugins.
pub(crate) struct Programs {
    plugins: PathBuf,
    whereabouts: PathBuf,
}

impl Programs {
    /// Finds the plugins, and tries whether there can be network namespaces.
    ///
    /// # Errors
    /// If something is missing; the reason names its source.
    pub(crate) fn find() -> Result<Self, String> {
        if !RealServer::is_there() {
            return Err(real::IGNORE_REASON.to_owned());
        }
        let named = env::var_os("NADMIT_CNI_PLUGINS").filter(|value| !value.is_empty());
        let plugins = named.map(PathBuf::from);
        let plugins = plugins.or_else(|| components::folder("plugins"));
        let programs = Self {
            plugins: plugins.unwrap_or_default(),
            whereabouts: components::folder("whereabouts").unwrap_or_default(),
        };
        for name in PLUGINS {
            if !programs.plugins.join(name).is_file() {
                return Err(format!("needs {name}: tests/real/build.sh plugins"));
            }
        }
        if !programs.whereabouts.join("whereabouts").is_file() {
            return Err("needs whereabouts: tests/real/build.sh whereabouts".to_owned());
        }
        let root = fs::metadata("/proc/self").is_ok_and(|me| me.uid() == 0);
        match root && NodeLinks::new().is_ok_and(|links| links.namespace().is_ok()) {
            true => Ok(programs),
            false => Err("needs root, ip, veth pairs and network namespaces".to_owned()),
        }
    }

    /// Fills a folder with links to the plugins.
    pub(crate) fn gather(&self, folder: &Path) -> io::Result<()> {
        for name in PLUGINS {
            symlink(self.plugins.join(name), folder.join(name))?;
        }
        symlink(
            self.whereabouts.join("whereabouts"),
            folder.join("whereabouts"),
        )
    }
}
