//! The host's network: the bridge of the cluster's network, the parent interface of further
//! networks, and the pods' network namespaces.

use std::{
    fs,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::{Command, id},
    sync::atomic::{AtomicU32, Ordering},
};

use serde_json::{Value, json};

const NAMESPACE: &str = "nadmit-real-";
const NAMESPACES: &str = "/var/run/netns";
/// The prefixes of the names of this process's links, before its number.
const LINK_PREFIXES: [&str; 2] = ["ndr", "ndn"];
/// The numbers that a process has for its clusters. A number is never used again: what is removed may
/// still be there while the next cluster starts. The name of a link has at most 15 bytes, and a
/// process's number is at most 2²².
const NUMBERS: u32 = 1000;
/// The number of subnets that are tried.
const SUBNETS: u32 = 1000;

/// Links and namespaces with names of the test's own; all are removed when this is dropped.
pub(in crate::real) struct Wire {
    number: u32,
    bridge: String,
    /// The parent interface of further networks.
    pub(in crate::real) master: String,
    /// The host's address on the bridge.
    pub(in crate::real) address: Ipv4Addr,
    count: AtomicU32,
}

impl Wire {
    /// Creates the bridge and the interface.
    ///
    /// # Errors If `ip` fails.
    pub(in crate::real) fn new() -> Result<Self, String> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        sweep();
        let number = id() * NUMBERS + COUNT.fetch_add(1, Ordering::Relaxed) % NUMBERS;
        let names = LINK_PREFIXES.map(|link| format!("{link}{number}"));
        let [bridge, master] = names;
        let wire = Self {
            number,
            address: free_subnet(number)?,
            bridge,
            master,
            count: AtomicU32::new(0),
        };
        ip(&["link", "add", &wire.bridge, "type", "bridge"])?;
        let address = format!("{}/24", wire.address);
        ip(&["addr", "add", &address, "dev", &wire.bridge])?;
        ip(&["link", "set", &wire.bridge, "up"])?;
        let peer = format!("{}p", wire.master);
        let (name, pair) = (&wire.master, ["type", "veth", "peer", "name", &peer]);
        ip(&[&["link", "add", name][..], &pair].concat())?;
        ip(&["link", "set", name, "up"])?;
        ip(&["link", "set", &peer, "up"])?;
        Ok(wire)
    }

    /// Returns the configuration of the cluster's network, whose plugins keep their files in this
    /// folder.
    pub(super) fn cluster_network(&self, data: &Path) -> Value {
        let [a, b, c, _] = self.address.octets();
        json!({
            "cniVersion": "1.0.0", "name": "cluster",
            "plugins": [{
                "type": "bridge", "bridge": self.bridge,
                "ipam": {
                    "type": "host-local", "dataDir": data,
                    "ranges": [[{"subnet": format!("{a}.{b}.{c}.0/24"), "gateway": self.address}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                },
            }],
        })
    }

    /// Creates a network namespace.
    pub(super) fn namespace(&self) -> Result<PodNamespace, String> {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        let namespace = PodNamespace(format!("{NAMESPACE}{}-{count}", self.number));
        ip(&["netns", "add", &namespace.0])?;
        ip(&["-n", &namespace.0, "link", "set", "lo", "up"])?;
        Ok(namespace)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        remove(self.number);
    }
}

/// A network namespace that is removed when this is dropped.
pub(super) struct PodNamespace(String);

impl PodNamespace {
    pub(super) fn name(&self) -> &str {
        &self.0
    }

    pub(super) fn path(&self) -> PathBuf {
        Path::new(NAMESPACES).join(&self.0)
    }
}

impl Drop for PodNamespace {
    fn drop(&mut self) {
        // It may have been removed already.
        let _ = ip(&["netns", "del", &self.0]);
    }
}

/// Returns the first address of a subnet that no route covers.
fn free_subnet(number: u32) -> Result<Ipv4Addr, String> {
    let routes = ip(&["route", "show"])?;
    for attempt in 0..SUBNETS {
        let [.., high, low] = (number + attempt).to_be_bytes();
        let subnet = format!("10.{}.{low}.", 208 + high % 32);
        if !routes.contains(&subnet) {
            return Ok(Ipv4Addr::new(10, 208 + high % 32, low, 1));
        }
    }
    Err("routes lead to every subnet".to_owned())
}

/// Removes the leftovers of processes that were killed.
fn sweep() {
    let names = ip(&["-o", "link", "show"]).unwrap_or_default();
    let links = names.lines().filter_map(|line| {
        let name = line.split(": ").nth(1)?.split('@').next()?;
        LINK_PREFIXES
            .iter()
            .find_map(|link| name.strip_prefix(link)?.parse().ok())
    });
    let files = fs::read_dir(NAMESPACES).into_iter().flatten().flatten();
    let namespaces = files.filter_map(|file| {
        let name = file.file_name().into_string().ok()?;
        name.strip_prefix(NAMESPACE)?
            .split('-')
            .next()?
            .parse()
            .ok()
    });
    let mut numbers: Vec<u32> = links.chain(namespaces).collect();
    numbers.sort_unstable();
    numbers.dedup();
    for number in numbers {
        if !Path::new(&format!("/proc/{}", number / NUMBERS)).exists() {
            remove(number);
        }
    }
}

fn remove(number: u32) {
    let mine = format!("{NAMESPACE}{number}-");
    for file in fs::read_dir(NAMESPACES).into_iter().flatten().flatten() {
        let name = file.file_name();
        if let Some(name) = name.to_str().filter(|name| name.starts_with(&mine)) {
            end_processes(name);
            let _ = ip(&["netns", "del", name]);
        }
    }
    for link in LINK_PREFIXES {
        let _ = ip(&["link", "del", &format!("{link}{number}")]);
    }
}

/// Kills the processes in one of the test's network namespaces.
pub(in crate::real) fn end_processes(namespace: &str) {
    let numbers = ip(&["netns", "pids", namespace]).unwrap_or_default();
    for number in numbers.lines() {
        let _ = Command::new("kill").args(["-KILL", number]).status();
    }
}

/// Runs `ip`, and returns its output.
pub(in crate::real) fn ip(arguments: &[&str]) -> Result<String, String> {
    let output = Command::new("ip").args(arguments).output();
    let output = output.map_err(|error| format!("ip: {error}"))?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(format!(
            "ip {}: {}",
            arguments.join(" "),
            String::from_utf8_lossy(&output.stderr)
        )),
    }
}
