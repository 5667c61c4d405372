//! A network namespace of the test's own, and the plugins run in it as libcni does.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio, id},
    sync::{
        Mutex,
        atomic::{AtomicU32, Ordering},
    },
};

use libtest_mimic::Failed;
use serde_json::{Value, json};

use crate::support::TestResult;
use crate::{command::CniCall, components};

/// Debian's folder of plugins; `NADMIT_CNI_PLUGINS` names another one.
const PACKAGED: &str = "/usr/lib/cni";
/// The version of Debian's plugins, which do not print theirs.
const PACKAGED_VERSION: PluginVersion = [1, 1, 1];
/// The name of the created interface.
const INTERFACE: &str = "net1";

/// The master's hardware address.
pub(super) const MASTER_MAC: &str = "02:5e:00:c0:ff:ee";

/// The names of the interfaces that the plugins use.
pub(crate) struct PluginHost {
    /// A number that is unique in its process.
    number: String,
    /// The parent interface of networks.
    pub(crate) master: String,
    /// The name of the bridge that plugins may create.
    pub(crate) bridge: String,
    plugins: PluginRelease,
    state: tempfile::TempDir,
    /// Interfaces and addresses are shared: one plugin runs at a time.
    one_at_a_time: Mutex<()>,
}

/// The plugins of one attachment, in order.
pub(crate) struct PluginChain<'c> {
    /// The container ID of the attachment.
    pub(crate) id: &'c str,
    /// The version of the CNI specification.
    pub(crate) version: Value,
    /// The plugins' configurations.
    pub(crate) plugins: Vec<Value>,
    /// `CNI_ARGS`
    pub(crate) args: &'c str,
}

/// A version of the plugins, as three numbers.
pub(crate) type PluginVersion = [u32; 3];

/// A release of the CNI plugins on this machine.
#[derive(Debug, Clone)]
pub(crate) struct PluginRelease {
    folder: PathBuf,
    pub(crate) version: PluginVersion,
}

impl PluginRelease {
    /// Returns Debian's plugins, or those that `NADMIT_CNI_PLUGINS` names.
    pub(crate) fn packaged() -> Self {
        let named = env::var_os("NADMIT_CNI_PLUGINS");
        Self::of(named.map_or_else(|| PACKAGED.into(), PathBuf::from))
    }

    /// Returns the plugins that `tests/real/build.sh plugins` has built.
    pub(crate) fn pinned() -> Option<Self> {
        let folder = components::folder("plugins")?;
        folder.join("macvlan").exists().then(|| Self::of(folder))
    }

    fn of(folder: PathBuf) -> Self {
        // Without a command a plugin prints its version.
        let about = Command::new(folder.join("bridge"))
            .stdin(Stdio::null())
            .output();
        let about = about.map(|output| String::from_utf8_lossy(&output.stderr).into_owned());
        let version = about.ok().and_then(|about| {
            let version = about
                .lines()
                .next()?
                .rsplit(' ')
                .next()?
                .strip_prefix('v')?;
            parse_version(version)
        });
        Self {
            folder,
            version: version.unwrap_or(PACKAGED_VERSION),
        }
    }

    /// Returns true if they can be run here.
    pub(crate) fn can_run(&self) -> bool {
        let root = fs::metadata("/proc/self")
            .is_ok_and(|me| std::os::unix::fs::MetadataExt::uid(&me) == 0);
        root && self.folder.join("macvlan").exists() && PluginHost::can_make_interfaces()
    }
}

/// Parses three numbers with dots between them.
pub(crate) fn parse_version(text: &str) -> Option<PluginVersion> {
    let mut numbers = text.split('.').map(|part| part.parse().ok());
    let version = [numbers.next()??, numbers.next()??, numbers.next()??];
    numbers.next().is_none().then_some(version)
}

impl PluginHost {
    fn can_make_interfaces() -> bool {
        VethPair::new(&format!("ndp{}", id() % 100_000)).is_ok()
    }

    /// Returns true if the kernel supports interfaces of this kind.
    pub(crate) fn knows(link: &str) -> bool {
        let names = ["ndk", "ndl"].map(|prefix| format!("{prefix}{}", id() % 100_000));
        let [parent, child] = &names;
        let Ok(_parent) = VethPair::new(parent) else {
            return false;
        };
        let add = match link {
            "vlan_filtering" => vec!["link", "add", child, "type", "bridge", link, "1"],
            "dummy" => vec!["link", "add", child, "type", link],
            _ => {
                let mut add = vec!["link", "add", "link", parent, "name", child, "type", link];
                add.extend(if link == "vlan" {
                    &["id", "5"][..]
                } else {
                    &[]
                });
                add
            }
        };
        ip(&add).is_ok() && ip(&["link", "del", child]).is_ok()
    }

    /// Chooses names of the test's own.
    pub(crate) fn new(plugins: PluginRelease) -> Result<Self, Failed> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = format!(
            "{}x{}",
            id() % 100_000,
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        let (master, bridge) = (format!("ndm{number}"), format!("ndb{number}"));
        let state = tempfile::tempdir()?;
        Ok(Self {
            number,
            master,
            bridge,
            plugins,
            state,
            one_at_a_time: Mutex::new(()),
        })
    }

    /// Runs a configuration's plugins one after another, and deletes the attachment; the outer
    /// error is the test's, the inner one the plugins'.
    pub(super) fn add(&self, id: &str, config: &str) -> Result<Result<(), String>, Failed> {
        self.add_then(id, config, |_| Ok(()))
    }

    /// Runs a configuration's plugins, and reads the interface with `ip` before it is deleted.
    pub(super) fn add_then<T>(
        &self,
        id: &str,
        config: &str,
        look: impl FnOnce(&Value) -> Result<T, Failed>,
    ) -> Result<Result<T, String>, Failed> {
        let config: Value = serde_json::from_str(config)?;
        let plugins = match config.get("plugins").and_then(Value::as_array) {
            Some(list) => list.clone(),
            None => vec![config.clone()],
        };
        let version = config.get("cniVersion").cloned().unwrap_or(json!("0.1.0"));
        let chain = PluginChain {
            id,
            version,
            plugins,
            args: "",
        };
        self.run(chain, look)
    }

    /// Runs plugins one after another, reads the interface, and deletes the attachment.
    pub(crate) fn run<T>(
        &self,
        chain: PluginChain<'_>,
        look: impl FnOnce(&Value) -> Result<T, Failed>,
    ) -> Result<Result<T, String>, Failed> {
        let _alone = self
            .one_at_a_time
            .lock()
            .map_err(|_| "another test panicked")?;
        // Its own, so that leftovers of a plugin do not affect others.
        let _master = VethPair::new(&self.master)?;
        let namespace = TestNamespace::new(&self.number)?;
        let (mut done, mut result, mut outcome) = (Vec::new(), None, Ok(()));
        for plugin in chain.plugins.clone() {
            let mut plugin = plugin;
            plugin["cniVersion"] = chain.version.clone();
            plugin["name"] = json!("nadmit-it");
            let ipam = plugin.get_mut("ipam").and_then(Value::as_object_mut);
            if let Some(ipam) = ipam.filter(|ipam| ipam.get("type") == Some(&json!("host-local"))) {
                ipam.insert(
                    "dataDir".into(),
                    json!(self.state.path().display().to_string()),
                );
            }
            if let Some(result) = &result {
                plugin["prevResult"] = Value::clone(result);
            }
            match namespace.exec(&self.plugins, "ADD", &chain, &plugin)? {
                Ok(output) => result = serde_json::from_str(&output).ok(),
                Err(error) => outcome = Err(error),
            }
            done.push(plugin);
            if outcome.is_err() {
                break;
            }
        }
        let looked = match &outcome {
            Ok(()) => Ok(look(&namespace.interface()?)),
            Err(printed) => Err(printed.clone()),
        };
        for plugin in done.iter().rev() {
            // Deleting an interface that was not created may fail.
            let _ = namespace.exec(&self.plugins, "DEL", &chain, plugin)?;
        }
        // A bridge stays, with its address as a gateway.
        let _ = ip(&["link", "del", &self.bridge]);
        looked.map_or_else(|printed| Ok(Err(printed)), |seen| seen.map(Ok))
    }
}

/// A veth pair that is removed when this is dropped, at once and with all links on it: a
/// namespace's interfaces are removed some time after it, and a passthru master is exclusive.
struct VethPair<'a>(&'a str);

impl<'a> VethPair<'a> {
    fn new(name: &'a str) -> Result<Self, Failed> {
        let peer = format!("{name}p");
        let pair = ["type", "veth", "peer", "name", &peer];
        ip(&[&["link", "add", name, "address", MASTER_MAC], &pair[..]].concat())?;
        let master = Self(name);
        ip(&["link", "set", name, "up"])?;
        ip(&["link", "set", &peer, "up"])?;
        Ok(master)
    }
}

impl Drop for VethPair<'_> {
    fn drop(&mut self) {
        let _ = ip(&["link", "del", self.0]);
    }
}

/// A network namespace that is removed when this is dropped.
struct TestNamespace(String);

impl TestNamespace {
    fn new(number: &str) -> Result<Self, Failed> {
        let name = format!("nadmit-it-{number}");
        ip(&["netns", "add", &name])?;
        Ok(Self(name))
    }

    /// Returns the interface with its addresses.
    fn interface(&self) -> Result<Value, Failed> {
        let output = Command::new("ip")
            .args(["-n", &self.0, "-j", "addr", "show", "dev", INTERFACE])
            .output()?;
        // A plugin of the chain may have created none.
        let shown: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        Ok(shown.get(0).cloned().unwrap_or_default())
    }

    fn exec(
        &self,
        plugins: &PluginRelease,
        command: &str,
        chain: &PluginChain<'_>,
        config: &Value,
    ) -> Result<Result<String, String>, Failed> {
        let kind = config
            .get("type")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let path = plugins.folder.join(kind);
        if kind.is_empty() || kind.contains('/') || !path.exists() {
            return Ok(Err(format!("there is no plugin {kind:?}")));
        }
        let call = CniCall {
            program: &path,
            verb: command,
            container: &format!("nadmit-{}", chain.id),
            namespace: &Path::new("/var/run/netns").join(&self.0),
            interface: INTERFACE,
            args: chain.args,
            plugins: &plugins.folder,
        };
        let output = call.run(config)?;
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        Ok(if output.status.success() {
            Ok(printed)
        } else {
            Err(printed)
        })
    }
}

impl Drop for TestNamespace {
    fn drop(&mut self) {
        let _ = ip(&["netns", "del", &self.0]);
    }
}

impl Drop for PluginHost {
    fn drop(&mut self) {
        // It exists only if a plugin created it.
        let _ = ip(&["link", "del", &self.bridge]);
    }
}

fn ip(arguments: &[&str]) -> TestResult {
    let output = Command::new("ip").args(arguments).output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!(
        "ip {}: {}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr)
    )
    .into())
}
