//! The parent interface of the networks, and the pods' network namespaces.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, id},
    sync::atomic::{AtomicU32, Ordering},
};

use anyhow::{Context as _, ensure};

const NAMESPACES: &str = "/var/run/netns";
/// The prefix of the names of a process's links and namespaces, before its number.
const PREFIX: &str = "ndw";

/// A veth pair, and namespaces with names of this process's own; all are removed when this is dropped.
pub(crate) struct NodeLinks {
    /// The parent interface of the networks.
    pub(crate) master: String,
    count: AtomicU32,
}

impl NodeLinks {
    /// Creates the interface, and removes what a killed process has left behind.
    pub(crate) fn new() -> anyhow::Result<Self> {
        for number in leftovers() {
            if !Path::new(&format!("/proc/{number}")).exists() {
                remove(number);
            }
        }
        let links = Self {
            master: master(id()),
            count: AtomicU32::new(0),
        };
        let peer = format!("{}p", links.master);
        ip(&[
            "link",
            "add",
            &links.master,
            "type",
            "veth",
            "peer",
            "name",
            &peer,
        ])?;
        for name in [&links.master, &peer] {
            ip(&["link", "set", name, "up"])?;
        }
        Ok(links)
    }

    /// Creates a network namespace, and returns its file.
    pub(crate) fn namespace(&self) -> anyhow::Result<PathBuf> {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        let name = format!("{}-{count}", self.master);
        ip(&["netns", "add", &name])?;
        Ok(Path::new(NAMESPACES).join(name))
    }
}

impl Drop for NodeLinks {
    fn drop(&mut self) {
        remove(id());
    }
}

/// Removes a namespace, and the interfaces in it.
pub(crate) fn remove_namespace(file: &Path) {
    if let Some(name) = file.file_name().and_then(|name| name.to_str()) {
        // It may have been removed already.
        let _ = ip(&["netns", "del", name]);
    }
}

fn master(process: u32) -> String {
    format!("{PREFIX}{process}")
}

/// Returns the numbers of the processes that have links or namespaces.
fn leftovers() -> Vec<u32> {
    let names = ["/sys/class/net", NAMESPACES]
        .into_iter()
        .filter_map(|folder| fs::read_dir(folder).ok());
    let mut found: Vec<u32> = names
        .flatten()
        .flatten()
        .filter_map(|file| {
            let name = file.file_name();
            let rest = name.to_str()?.strip_prefix(PREFIX)?;
            let end = rest.find(|c: char| !c.is_ascii_digit());
            rest[..end.unwrap_or(rest.len())].parse().ok()
        })
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}

fn remove(process: u32) {
    let mine = format!("{}-", master(process));
    for file in fs::read_dir(NAMESPACES).into_iter().flatten().flatten() {
        if file
            .file_name()
            .to_str()
            .is_some_and(|name| name.starts_with(&mine))
        {
            remove_namespace(&file.path());
        }
    }
    let _ = ip(&["link", "del", &master(process)]);
}

fn ip(arguments: &[&str]) -> anyhow::Result<()> {
    let output = Command::new("ip").args(arguments).output().context("ip")?;
    ensure!(
        output.status.success(),
        "ip {}: {}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}
