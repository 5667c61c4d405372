//! The paths of the real programs, and the reasons why a test has to be ignored.

use std::{
    env, fs, io,
    os::unix::fs::{MetadataExt as _, symlink},
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use crate::{components, deploy::objects::tool};

/// The programs of the control plane, in the folder of `KUBEBUILDER_ASSETS`.
const CONTROL_PLANE: [&str; 4] = [
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
];
const CONTROL_PLANE_SOURCE: &str =
    "KUBEBUILDER_ASSETS, or tests/real/build.sh kubernetes etcd and tests/real/assets.sh";
const PLUGINS_SOURCE: &str = "NADMIT_CNI_PLUGINS, or tests/real/build.sh plugins";
/// The CNI plugins that are run.
const PLUGINS: [&str; 4] = ["bridge", "host-local", "macvlan", "static"];

/// The folders and programs of a cluster.
#[derive(Debug, Clone)]
pub(super) struct Programs {
    /// The folder of the control plane's programs.
    pub(super) assets: PathBuf,
    /// The folder of the CNI plugins.
    plugins: PathBuf,
    /// The plugin of Whereabouts, if it is built.
    pub(super) whereabouts: Option<PathBuf>,
    /// Multus as a thin plugin; without it a model decides what is attached.
    pub(super) multus: Option<PathBuf>,
    pub(super) kubectl: PathBuf,
}

impl Programs {
    /// Finds everything: where the environment says, else in the cache of `tests/real/build.sh`.
    ///
    /// # Errors If something is missing; the reason names its source.
    pub(super) fn find() -> Result<Self, String> {
        static FOUND: OnceLock<Result<Programs, String>> = OnceLock::new();
        FOUND.get_or_init(Self::locate).clone()
    }

    fn locate() -> Result<Self, String> {
        let assets = holding(components::assets(), &CONTROL_PLANE, CONTROL_PLANE_SOURCE)?;
        let plugins = holding(plugins(), &PLUGINS, PLUGINS_SOURCE)?;
        let kubectl = Some(assets.join("kubectl")).filter(|file| file.is_file());
        let kubectl = kubectl.or_else(|| tool("kubectl"));
        let parts = Self {
            assets,
            plugins,
            whereabouts: components::folder("whereabouts")
                .map(|folder| folder.join("whereabouts"))
                .filter(|file| file.is_file()),
            multus: components::multus(),
            kubectl: kubectl.ok_or("needs kubectl: tests/real/build.sh kubernetes")?,
        };
        can_make_namespaces()?;
        Ok(parts)
    }

    /// Creates a folder with links to all plugins, as a node has them in one folder.
    pub(super) fn gather_plugins(&self, folder: &Path) -> io::Result<PathBuf> {
        fs::create_dir(folder)?;
        for plugin in fs::read_dir(&self.plugins)? {
            let plugin = plugin?;
            symlink(plugin.path(), folder.join(plugin.file_name()))?;
        }
        if let Some(whereabouts) = &self.whereabouts {
            symlink(whereabouts, folder.join("whereabouts"))?;
        }
        Ok(folder.to_owned())
    }
}

/// Returns the folder, which has to contain these programs.
fn holding(folder: Option<PathBuf>, programs: &[&str], from: &str) -> Result<PathBuf, String> {
    let folder = folder.unwrap_or_default();
    let missing = programs.iter().find(|name| !folder.join(name).is_file());
    match missing {
        Some(name) => Err(format!("needs {name}: {from}")),
        None => Ok(folder),
    }
}

/// Returns the folder of the CNI plugins: the one that `NADMIT_CNI_PLUGINS` names, else the built
/// one.
fn plugins() -> Option<PathBuf> {
    let named = env::var_os("NADMIT_CNI_PLUGINS").filter(|value| !value.is_empty());
    named
        .map(PathBuf::from)
        .or_else(|| components::folder("plugins"))
}

/// Checks that this process may create network namespaces and links in them.
fn can_make_namespaces() -> Result<(), String> {
    let root = std::fs::metadata("/proc/self").is_ok_and(|me| me.uid() == 0);
    if !root {
        return Err("needs root and network namespaces".to_owned());
    }
    let name = format!("ndrt{}", std::process::id());
    let peer = format!("{name}p");
    for (what, add, remove) in [
        (
            "network namespaces",
            vec!["netns", "add", &name],
            vec!["netns", "del", &name],
        ),
        (
            "bridges",
            vec!["link", "add", &name, "type", "bridge"],
            vec!["link", "del", &name],
        ),
        (
            "veth pairs",
            vec!["link", "add", &name, "type", "veth", "peer", "name", &peer],
            vec!["link", "del", &name],
        ),
    ] {
        if !ip(&add) || !ip(&remove) {
            return Err(format!("needs ip and a kernel that makes {what}"));
        }
    }
    Ok(())
}

fn ip(arguments: &[&str]) -> bool {
    let output = Command::new("ip").args(arguments).output();
    output.is_ok_and(|output| output.status.success())
}
